// Reads what a database holds from the server's own catalog: tables, columns, keys, unique indexes,
// foreign keys, partitions. Nothing is guessed from SQL text.
#pragma once

#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engines/postgresql/connection.h"
#include "model/table.h"

namespace tidemark::postgresql {

/// How the values of a column leave the server and what they become here.
enum class Codec : std::uint8_t {
  integer,    // smallint, integer, bigint, oid, boolean: an integer
  real,       // double precision: a real
  real_text,  // real: the shortest decimal number that gives it back, read as a real
  blob,       // bytea
  text,       // everything else, in the server's own words
};

struct CatalogColumn {
  std::string type;  // as format_type() prints it, with its schema unless it is built in
  Codec codec = Codec::text;
  bool is_boolean = false;
  /// Of integers.
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  /// Of varchar(n) and char(n): characters; 0 where it has no limit.
  std::size_t most_characters = 0;
  /// Identity: GENERATED ALWAYS columns are written with OVERRIDING SYSTEM VALUE.
  bool always_identity = false;
  /// Among the columns that are there, from 1, generated ones counted.
  std::size_t ordinal = 0;
  std::string collation;  // " COLLATE x" where it is not the default of the type
  /// The sequence behind a serial or identity column, quoted; empty if there is none.
  std::string sequence;
  bool has_default = false;

  friend bool operator==(const CatalogColumn&, const CatalogColumn&) = default;
};

/// A table with what only this engine needs to know of it.
struct CatalogTable {
  TableSpec spec;
  std::string oid;
  std::string quoted;  // "schema"."table"
  std::string quoted_schema;
  std::map<std::string, CatalogColumn> columns;  // by name
  bool deferrable_key = false;                   // refused as an arbiter of ON CONFLICT
  std::vector<std::string> deferrable_uniques;   // quoted; the key's among them
  bool has_deferrable_references = false;        // looked at when the transaction ends, not before
  std::set<std::string> closed_parents;          // that our role may not read
  /// Triggers that may store something else than what is written: such that fire where triggers are
  /// not kept still, and such that always fire.
  bool has_row_triggers = false;
  bool has_eternal_row_triggers = false;
  /// Triggers before a row is updated, switched on or not: they may give it another key.
  bool has_update_triggers = false;
  /// Row-level security is in force for its owner too, in whose name what TRUNCATE takes away is
  /// read.
  bool hides_from_owner = false;
  bool is_partitioned = false;
  std::vector<std::string> partitions;  // quoted; every level, leaves and branches
  std::vector<std::string> branches;    // quoted; those that have partitions themselves
};

/// What is said of a table that hides rows from its owner.
inline constexpr char kHidesFromOwner[] =
    "forces row-level security on its owner, who would not see what TRUNCATE takes away";
inline constexpr char kHidesFromOwnerHint[] =
    "ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or give its owner BYPASSRLS";

/// SQL: sequences that fill columns of relations, owned by them or named by their defaults. (Other
/// things that belong to a column are among them.)
inline constexpr char kFills[] =
    "SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d "
    "WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype "
    "IN ('a', 'i') UNION SELECT d.refobjid, a.adrelid, a.adnum FROM pg_depend d JOIN pg_attrdef a "
    "ON a.oid = d.objid WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = "
    "'pg_class'::regclass";
/// SQL, true when the role (an expression) may read and move sequence `s` of pg_class. The server
/// may ask for what is no sequence before it looks at other conditions.
std::string may_move_sequence(const std::string& role);

/// Every table that an application may own, by name.
std::vector<CatalogTable> read_catalog(Connection& connection);

/// The select-list term that prints a column in the form that its codec reads.
std::string output_term(const CatalogColumn& column, const std::string& quoted_column);
/// The term that sorts as KeyOrder does.
std::string order_term(const CatalogColumn& column, const std::string& quoted_column);

}  // namespace tidemark::postgresql
