// RecentList keeps the newest row versions of one table in the order they were written, so that a
// session after a few changes reads a few entries and not all versions. Entries are collected in
// memory during a transaction and written by flush(). The list is bounded: a batch that is too
// large for it empties it, and the mark from which on it is complete moves up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "engines/sqlite/connection.h"
#include "engines/sqlite/functions.h"
#include "engines/sqlite/table_sql.h"
#include "model/value.h"

namespace tidemark::sqlite {

class RecentList {
 public:
  static constexpr std::size_t kLimit = 16384;

  RecentList(Connection& connection, const TableSpec& spec, std::int64_t table_id)
      : connection_(connection), table_id_(table_id), key_size_(spec.key.size()) {}

  void add(RowView key, std::int64_t origin, std::int64_t sequence);
  /// Versions of `origin` up to `sequence` were written without being added one by one.
  void skip(std::int64_t origin, std::int64_t sequence);
  void flush();
  /// The transaction was rolled back.
  void forget();
  /// Whether the list holds every version that `known` does not cover. Flush first.
  bool is_complete_for(const KnownSequences& known);

 private:
  struct Entry {
    Row key;
    std::int64_t origin;
    std::int64_t sequence;
  };

  void raise_mark(std::int64_t origin, std::int64_t sequence);
  std::int64_t count_entries();
  void drop_oldest(std::int64_t entries);

  Connection& connection_;
  const std::int64_t table_id_;
  const std::size_t key_size_;
  std::vector<Entry> entries_;
  /// Set once a batch is too large: nothing of it is kept, only how far it went.
  bool overflowed_ = false;
  std::map<std::int64_t, std::int64_t> dropped_;
};

}  // namespace tidemark::sqlite
