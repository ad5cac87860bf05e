// RecentLists keeps, for every table under capture, the newest row versions in the order of the
// transactions that wrote them, so that a session after a few changes reads a few entries and not
// all versions: an index on the sequence of versions would cost every session that writes many.
// Who writes versions adds them here in the same transaction, or skips them where they are many. A
// list is bounded: its oldest half goes when it is full, and the mark from which on it is complete
// moves up. Used inside write transactions, which keep each other out. Holds references to the
// node's connection and origins.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engines/postgresql/connection.h"
#include "engines/postgresql/origins.h"
#include "engines/postgresql/table_sql.h"

namespace tidemark::postgresql {

class RecentLists {
 public:
  RecentLists(Connection& connection, Origins& origins)
      : connection_(connection), origins_(origins) {}

  /// Whether so many versions are skipped when they are written at once: where reading all of them
  /// is as fast, or to keep the list short.
  bool is_too_many(const TableSql& sql, std::int64_t versions);
  /// Whether they are that large a share of all versions: whole tables are better read then than
  /// row by row, which takes about eight times as long for each.
  bool is_large_share(const TableSql& sql, std::int64_t versions);

  /// "INSERT INTO tidemark.recent_1(k1, origin, sequence, batch) SELECT <values>, <batch>"; whoever
  /// completes and runs it says so by note_added().
  std::string insert_selected(const TableSql& sql, const std::string& values);
  void add(const TableSql& sql, RowView key, std::int64_t origin, std::int64_t sequence);
  void note_added(const TableSql& sql, std::int64_t entries) { added_[sql.id()] += entries; }
  /// Versions of `origin` up to `sequence` were written without being added.
  void skip(const TableSql& sql, std::int64_t origin, std::int64_t sequence);
  /// Whether the list holds every version that `known` does not cover.
  bool is_complete_for(const TableSql& sql, const Knowledge& known);

  /// Before the commit: what was added is counted, and lists that are full are cut.
  void settle();
  /// The transaction was rolled back.
  void forget() { added_.clear(); }

 private:
  void drop_oldest(const std::string& id);

  Connection& connection_;
  Origins& origins_;
  std::map<std::int64_t, std::int64_t> added_;  // in this transaction, table by table
};

}  // namespace tidemark::postgresql
