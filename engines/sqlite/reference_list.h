// ReferenceList holds the foreign keys of a database, read once for each state of its schema: who
// refers to a table, and by which statements that is found out. Foreign keys that SQLite could
// never enforce (their table is not there, or nothing makes the columns unique) are left out.
// Borrows the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engines/sqlite/connection.h"
#include "engines/sqlite/statement.h"
#include "model/table.h"

namespace tidemark::sqlite {

/// A foreign key with both of its ends.
struct Reference {
  TableSpec child;
  ForeignKeySpec key;
  TableSpec parent;
  bool to_key = false;  // refers to the parent's key, and nothing but its key
  Statement find_children;
  Statement find_parent;

  /// `a` is the parent's row, `b` the child's.
  std::string matches(const std::string& a, const std::string& b) const;
  /// No column of the child's is NULL; `prefix` names the child.
  std::string refers(const std::string& prefix) const;
};

class ReferenceList {
 public:
  explicit ReferenceList(Connection& connection) : connection_(connection) {}

  /// Up to date; the list and its elements stay until the schema changes.
  const std::vector<std::unique_ptr<Reference>>& all();
  /// The foreign keys that refer to `table`.
  std::vector<Reference*> to(const std::string& table);
  /// The one that `table` declares so; null when it cannot be enforced.
  Reference* of(const std::string& table, const ForeignKeySpec& key);

 private:
  Connection& connection_;
  std::optional<std::int64_t> schema_version_;
  std::vector<std::unique_ptr<Reference>> references_;
};

}  // namespace tidemark::sqlite
