// TableSql writes the statements that move rows of one table, and knows how its values enter and
// leave the server: texts only, made from the catalog. Control tables call the key columns k1, k2
// ..., stages call all columns c1, c2 ..., so that no name of the application can be in the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engines/postgresql/catalog.h"
#include "model/change.h"

namespace tidemark::postgresql {

std::string log_table(std::int64_t id);
std::string version_table(std::int64_t id);
std::string recent_table(std::int64_t id);

/// Microseconds since 1970 of a timestamp with time zone, in SQL. Exact until 2106: so long a
/// double holds the seconds to less than half a microsecond.
std::string time_us(const std::string& timestamp);

/// A value on its way to the server, or why the column cannot hold it.
struct Encoded {
  Parameter text;
  std::optional<Refusal> refusal;
};

class TableSql {
 public:
  /// `spec` says the order of the columns; `table` everything else.
  TableSql(const TableSpec& spec, const CatalogTable& table, std::int64_t id);

  const TableSpec& spec() const { return spec_; }
  const CatalogTable& catalog() const { return table_; }
  std::int64_t id() const { return id_; }
  const CatalogColumn& column(std::size_t position) const { return *columns_[position]; }
  std::string name(std::size_t position) const;

  // Pieces.
  const std::string& table() const { return table_.quoted; }
  std::string version() const { return version_table(id_); }
  /// `"a", "b"`
  std::string columns() const;
  /// `c1, c2`, each with `prefix` in front.
  std::string staged_columns(const std::string& prefix = {}) const;
  /// The columns of the key among them.
  std::string staged_key(const std::string& prefix) const;
  /// Columns as their codecs read them, under `prefix`.
  std::string output(const std::string& prefix) const;
  std::string key_output(const std::string& prefix) const;
  /// k1, k2 ... as codecs read them.
  std::string control_key_output(const std::string& prefix) const;
  std::string control_key(const std::string& prefix = {}) const;
  std::string key_order(const std::string& prefix) const;
  std::string control_key_order(const std::string& prefix) const;
  /// Columns of the key under `prefix` equal to the control key under `other`.
  std::string key_is_control(const std::string& prefix, const std::string& other) const;
  std::string key_is_staged(const std::string& prefix, const std::string& other) const;
  std::string control_is_staged(const std::string& prefix, const std::string& other) const;
  std::string control_is_control(const std::string& prefix, const std::string& other) const;
  /// Key columns equal to the parameters that start at `first`, cast to the column's type.
  std::string key_is(const std::string& prefix, int first) const;
  std::string control_key_is(const std::string& prefix, int first) const;
  std::string key_parameters(int first) const;
  std::string row_parameters(int first) const;
  bool has_deferrable_key() const { return table_.deferrable_key; }
  /// Makes the server look at unique values after each statement that it would look at in the end;
  /// empty where there is none.
  std::string check_uniques() const;
  /// Ends an INSERT of rows whose key is not there: one that came since the snapshot then makes it
  /// fail as a collision, and not as if it were a mistake of the row.
  std::string unless_unseen() const;
  /// `"a" = SOURCE`, for columns that an update may set: those outside the key, or where there are
  /// none, those of the key. Empty where every column is an identity that is always generated.
  std::string assignments(const std::string& source_prefix, bool staged) const;
  /// Columns outside the key that are an identity that is always generated: a session can insert
  /// their values, and nobody can change them.
  const std::vector<std::size_t>& fixed_columns() const { return fixed_columns_; }
  /// True of a row `t` with other values in the fixed columns; empty where there are none.
  std::string differs_in_fixed(const std::string& source_prefix, bool staged) const;

  /// Columns whose type has one way to print a value: what a session brings from another product
  /// may be written in another, and must not be altered.
  std::vector<std::size_t> particular_columns() const;

  // Values.
  Encoded encode(std::size_t position, const ValueView& value) const;
  /// The same at the end of a line of COPY's text form; nothing is appended after a refusal.
  std::optional<Refusal> append_field(std::size_t position, const ValueView& value,
                                      std::string& line) const;
  /// Of a key that came from a catalogued row; throws Error when it cannot be one of this table.
  Parameters encode_key(RowView key) const;
  bool can_hold_key(RowView key) const;
  Encoded encode_key_part(std::size_t index, const ValueView& value) const;
  /// `scratch` keeps what a real in text form is read through; the view may point into `bytes`.
  ValueView decode(std::size_t position, std::string_view bytes) const;
  ValueView decode_key_part(std::size_t index, std::string_view bytes) const {
    return decode(spec_.key[index], bytes);
  }

 private:
  const TableSpec spec_;
  const CatalogTable table_;
  const std::int64_t id_;
  std::vector<const CatalogColumn*> columns_;  // in the order of spec_, owned by table_
  std::vector<std::size_t> fixed_columns_;
};

/// Appends one field of a line of COPY's text form.
void append_copy_field(const Parameter& value, std::string& out);
/// The same of a number, which holds nothing to escape.
void append_number(std::int64_t value, std::string& out);

}  // namespace tidemark::postgresql
