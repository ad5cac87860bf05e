// How values pass between a column of PostgreSQL, which holds one form of values only, and a column
// of SQLite, which holds any. The one table of it in the code; docs/types.md is the same for
// people. A value either comes back bit for bit as it went, or is refused with a reason: nothing is
// rounded, padded or parsed into something that only looks alike.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "model/change.h"
#include "model/table.h"

namespace tidemark {

/// SQLite's conversions on storing (sqlite.org/datatype3.html); ANY converts nothing in STRICT
/// tables.
enum class Affinity : std::uint8_t { integer, text, blob, real, numeric, any };
Affinity affinity_of(std::string_view declared_type, bool strict);
std::string_view to_string(Affinity affinity);

/// Why no value could pass between the two columns, with what to do; empty if they can.
/// `strict_table` says so of the loose column's table.
std::string exchange_obstacle(const ColumnSpec& formed, const ColumnSpec& loose, bool strict_table,
                              bool in_key);

/// The declared type of a column of SQLite that can exchange values with `formed`.
std::string loose_type_for(const ColumnSpec& formed);
/// The type of a PostgreSQL column that can exchange values with `loose`.
std::string formed_type_for(const ColumnSpec& loose, bool strict_table);

/// Turns rows of one table into the same rows of the other. Columns stand in the same order.
class RowConverter {
 public:
  /// From a loose table to one with forms, or the other way round.
  RowConverter(const TableSpec& from, const TableSpec& to);

  /// `out` shows views of `in` and of this object, valid until the next call. Not nothing: the
  /// reason why the row cannot be held there.
  std::optional<std::string> convert(const ChangedRow& in, ChangedRow& out);
  /// A row of a present key; the same promise.
  std::optional<std::string> convert_row(RowView in, std::vector<ValueView>& out);
  std::optional<std::string> convert_key(RowView in, std::vector<ValueView>& out);

 private:
  struct Column {
    std::string name;
    Form form = Form::loose;  // of the side that has one
    int scale = 0;
    Affinity affinity = Affinity::any;
    bool to_loose = false;
  };

  std::optional<std::string> convert_value(const Column& column, const ValueView& in,
                                           ValueView& out);

  std::vector<Column> columns_;
  std::vector<std::size_t> key_;
  std::vector<ValueView> row_values_;
  std::vector<ValueView> key_values_;
  std::deque<std::string> texts_;  // what views of the row point into
};

}  // namespace tidemark
