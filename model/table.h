// TableSpec says what a data table looks like to every stage: its columns, its key and its
// constraints, read from the engine's catalog and never from SQL text. KeyOrder is the order in
// which every engine streams rows, so that two streams can be merged.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/value.h"

namespace tidemark {

enum class Collation : std::uint8_t { binary, nocase, rtrim };

/// What the values of a column can be, where the product enforces it. See model/exchange.h.
enum class Form : std::uint8_t {
  loose,           // SQLite: any value, converted by the affinity of the declared type
  integer,         // integers
  boolean,         // the integers 0 and 1
  real,            // reals with 53 bits
  single,          // reals with 24 bits, as the shortest decimal numbers that give them back
  decimal,         // exact numbers, as text with all their decimal places
  text,            // any text
  bounded_text,    // text of limited length
  canonical_text,  // what the product prints of a type of its own: dates, uuids, arrays, json ...
  blob,            // bytes
};

struct ColumnSpec {
  std::string name;
  std::string declared_type;  // as the engine prints it, may be empty
  Collation collation = Collation::binary;
  bool not_null = false;
  Form form = Form::loose;
  int precision = 0;  // of decimal: digits in all, and decimal places; 0 digits: without bounds
  int scale = 0;
  int length = 0;  // of bounded_text: characters

  friend bool operator==(const ColumnSpec&, const ColumnSpec&) = default;
};

/// A unique constraint or index besides the key.
struct UniqueSpec {
  std::string name;
  std::vector<std::size_t> columns;  // positions in TableSpec::columns
  bool partial = false;
  bool has_expression = false;  // `columns` then lacks what the expressions read

  friend bool operator==(const UniqueSpec&, const UniqueSpec&) = default;
};

/// What a delete of the parent does to rows that refer to it, where the application makes it. No
/// such action runs while a session writes; what it did is captured where it happened.
enum class ReferenceAction : std::uint8_t { none, restrict, cascade, set_null, set_default };

/// " ON DELETE CASCADE" and the like; empty for none. All products write it so.
std::string on_delete_clause(ReferenceAction action);

struct ForeignKeySpec {
  std::vector<std::string> columns;
  std::string parent_table;
  std::vector<std::string> parent_columns;  // never empty: an implied parent key is spelled out
  ReferenceAction on_delete = ReferenceAction::none;

  friend bool operator==(const ForeignKeySpec&, const ForeignKeySpec&) = default;
};

struct TableSpec {
  std::string name;
  std::string product;              // whose types and definition these are: "SQLite", "PostgreSQL"
  std::vector<ColumnSpec> columns;  // stored columns only, in declared order
  std::vector<std::string> generated;  // computed columns: read by nobody, written by nobody
  std::vector<std::size_t> key;        // positions in `columns`, in key order
  std::vector<UniqueSpec> uniques;
  std::vector<ForeignKeySpec> foreign_keys;
  bool strict = false;         // SQLite STRICT
  bool without_rowid = false;  // SQLite WITHOUT ROWID
  bool integer_key = false;    // the key is one column that holds 64-bit integers only
  std::vector<std::string>
      definition;  // statements that make the table and its indexes in this engine
  /// Why this table cannot take part; empty if it can. A sentence for the operator, no full stop.
  std::string refusal;

  bool is_in_key(std::size_t position) const;
  /// Columns, key, strictness: what must be alike on two nodes, and unchanged since activation. One
  /// line of text, made for comparing and for messages.
  std::string shape() const;
};

/// What changed between two shapes of one table, for the operator ("column price: REAL then, TEXT
/// now; column name is gone"). A renamed column is one that is gone and one that is new.
std::string shape_changes(const std::string& then, const std::string& now);

/// What differs between two tables that should hold the same rows, named for the operator: one
/// sentence for each difference ("column price: REAL here, TEXT there"). Empty when rows can flow.
std::vector<std::string> shape_differences(const TableSpec& here, const TableSpec& there);

/// Reorders the columns of `spec` as `model` has them. Precondition: shape_differences() is empty.
TableSpec aligned(const TableSpec& spec, const TableSpec& model);

/// Orders keys as every engine streams them: NULL, numbers by value, text by its collation, blobs
/// by bytes.
class KeyOrder {
 public:
  explicit KeyOrder(const TableSpec& spec);
  std::weak_ordering compare(RowView a, RowView b) const;
  bool operator()(const Row& a, const Row& b) const;  // less, for ordered containers

 private:
  std::vector<Collation> collations_;
};

/// The key of a row, as views into it.
std::vector<ValueView> key_of(const TableSpec& spec, RowView row);

/// A key for messages: values joined with commas, text quoted.
std::string to_string(RowView key);

/// "main*" against "mainline": `*` any run, `?` one character; case as written.
bool glob_matches(std::string_view glob, std::string_view name);

}  // namespace tidemark
