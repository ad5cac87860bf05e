#include "engines/postgresql/catalog.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <string_view>

#include "engines/postgresql/identifiers.h"

namespace tidemark::postgresql {
namespace {

// A session asks all of this before anything else, on a connection that has planned nothing yet,
// and planning costs the server more than running: hence simple queries, put together here.
// Whatever was made by initdb has a number below 16384.

// Ordinary and partitioned tables with their partitions, and what looks like a table.
constexpr char kTables[] = R"(
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind = 'p', c.relpersistence = 'u',
       c.relispartition, c.relkind::text,
       c.relrowsecurity AND c.relforcerowsecurity AND NOT coalesce((SELECT r.rolsuper OR r.rolbypassrls
         FROM pg_catalog.pg_roles r WHERE r.oid = c.relowner), false)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't')";

constexpr char kInherits[] = "SELECT inhrelid::text, inhparent::text FROM pg_catalog.pg_inherits";

constexpr char kRules[] =
    "SELECT ev_class::text FROM pg_catalog.pg_rewrite WHERE ev_class >= 16384 AND ev_type <> '1'";

constexpr char kExtensionMembers[] =
    "SELECT objid::text FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = "
    "'pg_catalog.pg_class'::regclass";

constexpr char kColumns[] = R"(
SELECT a.attrelid::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typname::text, a.attnotnull, a.attgenerated <> '', a.attidentity = 'a',
       t.typtype::text, t.typnamespace = 'pg_catalog'::regnamespace, a.atttypmod, a.attnum,
       a.attcollation::text, a.attcollation <> t.typcollation, a.atttypid::text,
       a.attcollation >= 16384, a.atthasdef
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
  AND c.relnamespace <> coalesce(to_regnamespace('tidemark'), 0)
ORDER BY a.attrelid, a.attnum)";

// What serial and identity columns count with. pg_get_serial_sequence() would look tables up by
// their names, and fail for one in a schema that is closed to us.
constexpr char kSequences[] = R"(
SELECT d.refobjid::text, d.refobjsubid,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(s.relname)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class s ON s.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.objid >= 16384 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') AND s.relkind = 'S')";

// Asked only where a column has another collation than its type has, or one that a user made.
constexpr char kCollations[] = R"(
SELECT l.oid::text, l.collisdeterministic,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname)
FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace)";

// What domains stand for in the end. Asked only where there are some.
constexpr char kDomains[] = R"(
WITH RECURSIVE base(domain, type, typmod) AS (
  SELECT d.oid, d.typbasetype, d.typtypmod FROM pg_catalog.pg_type d WHERE d.typtype = 'd'
  UNION ALL
  SELECT base.domain, d.typbasetype, d.typtypmod FROM base JOIN pg_catalog.pg_type d ON d.oid = base.type
  WHERE d.typtype = 'd')
SELECT base.domain::text, t.typname::text, t.typtype::text, t.typnamespace = 'pg_catalog'::regnamespace, base.typmod
FROM base JOIN pg_catalog.pg_type t ON t.oid = base.type WHERE t.typtype <> 'd')";

// Triggers before a row, none of them ours, on a table or one of its partitions: whether some fire
// where triggers are not kept still, whether some always fire, and whether some, switched on or
// not, are for updates.
constexpr char kRowTriggers[] = R"(
SELECT coalesce(pg_catalog.pg_partition_root(t.tgrelid)::oid, t.tgrelid)::text, bool_or(t.tgenabled IN ('O', 'A')),
       bool_or(t.tgenabled = 'A'), bool_or(t.tgtype & 16 = 16)
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid >= 16384 AND NOT t.tgisinternal AND t.tgtype & 3 = 3
GROUP BY 1)";

// The key first, then the other unique indexes. A term that is no column has the number 0.
constexpr char kIndexes[] = R"(
SELECT i.indrelid::text, x.relname::text, i.indisprimary, i.indpred IS NOT NULL,
       i.indnkeyatts, i.indkey::text, i.indimmediate, i.indisexclusion
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE i.indexrelid >= 16384 AND (i.indisunique OR i.indisexclusion) AND i.indisvalid
ORDER BY i.indrelid, i.indisprimary DESC, x.relname)";

constexpr char kForeignKeys[] = R"(
SELECT f.conrelid::text, f.confrelid::text, array_to_string(f.conkey, ' '),
       array_to_string(f.confkey, ' '), f.confdeltype::text, f.condeferrable,
       pg_catalog.has_table_privilege(f.confrelid, 'SELECT') AND pg_catalog.has_schema_privilege(
         (SELECT p.relnamespace FROM pg_catalog.pg_class p WHERE p.oid = f.confrelid), 'USAGE')
FROM pg_catalog.pg_constraint f
WHERE f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conname, f.oid)";

// Asked only where there are partitioned tables.
constexpr char kPartitions[] = R"(
SELECT c.oid::text, n.nspname::text, p.relname::text, p.relpersistence = 'u',
       p.relkind = 'p',
       (SELECT min(f.conname::text) FROM pg_catalog.pg_constraint f
        WHERE f.conrelid = p.oid AND f.contype = 'f' AND f.conparentid = 0 AND
              (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd')))
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) AS t
JOIN pg_catalog.pg_class p ON p.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE c.relkind = 'p' AND NOT c.relispartition AND t.level > 0
ORDER BY 2, 3)";

constexpr std::int64_t kTypmodHeader = 4;  // what the server adds to a declared length

Codec codec_of(std::string_view base_type) {
  static const std::set<std::string_view> kIntegers = {"int2", "int4", "int8", "oid", "bool"};
  if (kIntegers.contains(base_type)) return Codec::integer;
  if (base_type == "float8") return Codec::real;
  if (base_type == "float4") return Codec::real_text;
  if (base_type == "bytea") return Codec::blob;
  return Codec::text;
}

/// Equal values of these types are printed alike, so that a key is one key everywhere.
bool can_be_key(std::string_view base_type, bool is_enum, bool built_in, std::int64_t typmod) {
  if (is_enum) return true;
  if (!built_in) return false;
  static const std::set<std::string_view> kTypes = {
      "int2",      "int4",        "int8",   "oid",   "bool",    "text",     "varchar",
      "bpchar",    "name",        "char",   "bytea", "uuid",    "date",     "time",
      "timestamp", "timestamptz", "inet",   "cidr",  "macaddr", "macaddr8", "float8",
      "float4",    "bit",         "varbit", "money", "pg_lsn"};
  return kTypes.contains(base_type) || (base_type == "numeric" && typmod >= 0);
}

void set_form(ColumnSpec& spec, const CatalogColumn& column, std::string_view base_type,
              std::int64_t typmod) {
  switch (column.codec) {
    case Codec::integer:
      spec.form = column.is_boolean ? Form::boolean : Form::integer;
      return;
    case Codec::real:
      spec.form = Form::real;
      return;
    case Codec::real_text:
      spec.form = Form::single;
      return;
    case Codec::blob:
      spec.form = Form::blob;
      return;
    case Codec::text:
      break;
  }
  if (base_type == "numeric") {
    spec.form = Form::decimal;
    if (typmod >= kTypmodHeader) {
      spec.precision = static_cast<int>((typmod - kTypmodHeader) >> 16 & 0xffff);
      spec.scale = static_cast<int>(((typmod - kTypmodHeader) & 0x7ff) ^ 1024) - 1024;
    }
  } else if (base_type == "text" || (base_type == "varchar" && typmod < kTypmodHeader)) {
    spec.form = Form::text;
  } else if (base_type == "varchar" || base_type == "bpchar") {
    spec.form = Form::bounded_text;
    spec.length = static_cast<int>(typmod - kTypmodHeader);
  } else {
    spec.form = Form::canonical_text;
  }
}

/// What the server would refuse, or of spaces at the end cut off silently. A key must not even be
/// looked for then: in a cast the server cuts any text.
void set_limits(CatalogColumn& column, std::string_view base_type, std::int64_t typmod) {
  const auto limit = [&]<typename T>(T) {
    column.least = std::numeric_limits<T>::min();
    column.most = std::numeric_limits<T>::max();
  };
  if (base_type == "int2") limit(std::int16_t{});
  if (base_type == "int4") limit(std::int32_t{});
  if (base_type == "oid") limit(std::uint32_t{});
  if ((base_type == "varchar" || base_type == "bpchar") && typmod >= kTypmodHeader) {
    column.most_characters = static_cast<std::size_t>(typmod - kTypmodHeader);
  }
}

/// These mean something in one database only.
bool is_local_type(std::string_view base_type) {
  static const std::set<std::string_view> kTypes = {
      "xid", "cid", "tid", "xid8", "pg_snapshot", "txid_snapshot", "refcursor", "aclitem"};
  return base_type.starts_with("reg") || kTypes.contains(base_type);
}

ReferenceAction action_of(std::string_view letter) {
  if (letter == "r") return ReferenceAction::restrict;
  if (letter == "c") return ReferenceAction::cascade;
  if (letter == "n") return ReferenceAction::set_null;
  if (letter == "d") return ReferenceAction::set_default;
  return ReferenceAction::none;
}

class Reader {
 public:
  explicit Reader(Connection& connection) : connection_(connection) {}

  std::vector<CatalogTable> read() {
    const std::vector<Rows> answers = connection_.run_all({{.sql = kTables},
                                                           {.sql = kExtensionMembers},
                                                           {.sql = kInherits},
                                                           {.sql = kRules},
                                                           {.sql = kColumns},
                                                           {.sql = kIndexes},
                                                           {.sql = kForeignKeys},
                                                           {.sql = kSequences},
                                                           {.sql = kRowTriggers}});
    read_tables(answers[0], answers[1]);
    refuse_heirs(answers[2]);
    for (int i = 0; i < answers[3].size(); ++i) {
      if (CatalogTable* table = find(answers[3].text(i, 0))) {
        table->spec.refusal = "has rules that rewrite what is written to it, by sessions too";
      }
    }
    for (int i = 0; i < answers[8].size(); ++i) {
      if (CatalogTable* table = find(answers[8].text(i, 0))) {
        table->has_row_triggers = answers[8].boolean(i, 1);
        table->has_eternal_row_triggers = answers[8].boolean(i, 2);
        table->has_update_triggers = answers[8].boolean(i, 3);
      }
    }
    for (int i = 0; i < answers[7].size(); ++i) {
      sequences_[{answers[7].text(i, 0), answers[7].integer(i, 1)}] = answers[7].text(i, 2);
    }
    read_columns(answers[4]);
    read_indexes(answers[5]);
    read_foreign_keys(answers[6]);
    read_partitions();
    for (CatalogTable& table : tables_) judge(table);
    std::sort(tables_.begin(), tables_.end(), [](const CatalogTable& a, const CatalogTable& b) {
      return a.spec.name < b.spec.name;
    });
    return std::move(tables_);
  }

 private:
  struct Notes {
    std::map<std::string, std::string> bad_key_types;  // column -> its type
  };

  CatalogTable* find(const std::string& oid) {
    const auto found = positions_.find(oid);
    return found == positions_.end() ? nullptr : &tables_[found->second];
  }

  // What belongs to the server, to an extension or to Tidemark is left out, and so are partitions,
  // which come with their parent.
  void read_tables(const Rows& rows, const Rows& extension_members) {
    std::set<std::string> members;
    for (int i = 0; i < extension_members.size(); ++i) members.insert(extension_members.text(i, 0));
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable table;
      table.oid = rows.text(i, 0);
      table.spec.product = "PostgreSQL";
      table.spec.name = table_name(rows.bytes(i, 1), rows.bytes(i, 2));
      names_[table.oid] = table.spec.name;
      const std::string_view schema = rows.bytes(i, 1);
      if (rows.boolean(i, 5) || members.contains(table.oid) || schema.starts_with("pg_") ||
          schema == "information_schema" || schema == "tidemark") {
        continue;
      }
      table.quoted_schema = quoted_name(rows.bytes(i, 1));
      table.quoted = table.quoted_schema + "." + quoted_name(rows.bytes(i, 2));
      table.is_partitioned = rows.boolean(i, 3);
      if (rows.boolean(i, 4)) {
        table.spec.refusal = "is unlogged: a crash of the server would empty it unseen";
      }
      table.hides_from_owner = rows.boolean(i, 7);
      if (rows.bytes(i, 6) == "f")
        table.spec.refusal = "is a foreign table: its rows are elsewhere";
      if (rows.bytes(i, 6) == "m") {
        table.spec.refusal = "is a materialized view, which each node refreshes for itself";
      }
      positions_[table.oid] = tables_.size();
      tables_.push_back(std::move(table));
    }
    notes_.resize(tables_.size());
  }

  void refuse_heirs(const Rows& rows) {
    const auto refuse = [](CatalogTable* table) {
      if (table == nullptr) return;
      table->spec.refusal =
          "inherits from another table or is inherited from (INHERITS): its rows would count twice";
    };
    for (int i = 0; i < rows.size(); ++i) {
      refuse(find(rows.text(i, 0)));
      CatalogTable* parent = find(rows.text(i, 1));
      if (parent != nullptr && !parent->is_partitioned) refuse(parent);
    }
  }

  void read_partitions() {
    if (std::none_of(tables_.begin(), tables_.end(),
                     [](const CatalogTable& table) { return table.is_partitioned; })) {
      return;
    }
    const Rows partitions = connection_.run_prepared(kPartitions, {});
    for (int i = 0; i < partitions.size(); ++i) {
      if (CatalogTable* table = find(partitions.text(i, 0))) {
        table->partitions.push_back(quoted_name(partitions.text(i, 1)) + "." +
                                    quoted_name(partitions.text(i, 2)));
        if (partitions.boolean(i, 4)) table->branches.push_back(table->partitions.back());
        if (partitions.boolean(i, 3) && table->spec.refusal.empty()) {
          table->spec.refusal = "has the unlogged partition " +
                                table_name(partitions.bytes(i, 1), partitions.bytes(i, 2)) +
                                ": a crash of the server would empty it unseen";
        }
        // What a foreign key does because a session wrote fires triggers of the session's own
        // level, so capture cannot tell it. Sessions look at the referring rows first; but this
        // key is none of the table.
        if (!partitions.is_null(i, 5) && table->spec.refusal.empty()) {
          table->spec.refusal = "has the foreign key " + partitions.text(i, 5) +
                                " on its partition " +
                                table_name(partitions.bytes(i, 1), partitions.bytes(i, 2)) +
                                " alone: what it does to rows there would reach no other node";
        }
      }
    }
  }

  /// The type whose values a column holds.
  struct BaseType {
    std::string name;
    bool is_enum = false;
    bool built_in = false;
    std::int64_t typmod = -1;
  };

  BaseType base_type(const Rows& columns, int row) {
    if (columns.bytes(row, 7) != "d") {
      return {.name = columns.text(row, 3),
              .is_enum = columns.bytes(row, 7) == "e",
              .built_in = columns.boolean(row, 8),
              .typmod = columns.integer(row, 9)};
    }
    if (domains_.empty()) {
      const Rows rows = connection_.run_prepared(kDomains, {});
      for (int i = 0; i < rows.size(); ++i) {
        domains_[rows.text(i, 0)] = {.name = rows.text(i, 1),
                                     .is_enum = rows.bytes(i, 2) == "e",
                                     .built_in = rows.boolean(i, 3),
                                     .typmod = rows.integer(i, 4)};
      }
    }
    return domains_.at(columns.text(row, 13));
  }

  struct Collation {
    bool is_deterministic = true;
    std::string name;
  };

  Collation collation(const Rows& columns, int row) {
    const bool has_its_own = columns.boolean(row, 12);
    if (!has_its_own && !columns.boolean(row, 14)) return {};
    if (collations_.empty()) {
      const Rows rows = connection_.run_prepared(kCollations, {});
      for (int i = 0; i < rows.size(); ++i) {
        collations_[rows.text(i, 0)] = {.is_deterministic = rows.boolean(i, 1),
                                        .name = " COLLATE " + rows.text(i, 2)};
      }
    }
    const auto found = collations_.find(columns.text(row, 11));
    if (found == collations_.end()) return {};
    return {.is_deterministic = found->second.is_deterministic,
            .name = has_its_own ? found->second.name : ""};
  }

  void read_columns(const Rows& rows) {
    std::size_t ordinal = 0;
    std::string_view previous;
    for (int i = 0; i < rows.size(); ++i) {
      ordinal = rows.bytes(i, 0) == previous ? ordinal + 1 : 1;
      previous = rows.bytes(i, 0);
      const std::string oid = rows.text(i, 0);
      const std::string name = rows.text(i, 1);
      column_names_[{oid, rows.integer(i, 10)}] = name;
      CatalogTable* table = find(oid);
      if (table == nullptr) continue;
      if (rows.boolean(i, 5)) {
        table->spec.generated.push_back(name);
        continue;
      }
      const auto [base, is_enum, built_in, typmod] = base_type(rows, i);
      const Collation collated = collation(rows, i);
      CatalogColumn column{.type = rows.text(i, 2),
                           .codec = built_in ? codec_of(base) : Codec::text,
                           .is_boolean = built_in && base == "bool",
                           .always_identity = rows.boolean(i, 6),
                           .ordinal = ordinal,
                           .collation = collated.name,
                           .sequence = sequences_[{oid, rows.integer(i, 10)}],
                           .has_default = rows.boolean(i, 15)};
      if (built_in && is_local_type(base) && table->spec.refusal.empty()) {
        table->spec.refusal = "has column " + name + " of type " + column.type +
                              ", whose values mean something in this database only";
      }
      if (!can_be_key(base, is_enum, built_in, typmod) || !collated.is_deterministic) {
        notes_[positions_[table->oid]].bad_key_types[name] = column.type;
      }
      ColumnSpec spec{.name = name, .declared_type = column.type, .not_null = rows.boolean(i, 4)};
      set_form(spec, column, built_in ? base : "", typmod);
      if (built_in) set_limits(column, base, typmod);
      table->spec.columns.push_back(std::move(spec));
      table->columns.emplace(name, std::move(column));
    }
  }

  /// Of the columns whose numbers are listed; empty for 0, which is an expression.
  std::vector<std::string> column_names(const std::string& oid, const std::string& numbers) const {
    std::vector<std::string> names;
    std::istringstream list(numbers);
    for (std::int64_t number = 0; list >> number;) {
      const auto found = column_names_.find({oid, number});
      names.push_back(found == column_names_.end() ? "" : found->second);
    }
    return names;
  }

  void read_indexes(const Rows& rows) {
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable* table = find(rows.text(i, 0));
      if (table == nullptr) continue;
      TableSpec& spec = table->spec;
      const bool is_key = rows.boolean(i, 2);
      if (!rows.boolean(i, 6)) {
        const std::string& schema = table->quoted_schema;
        table->deferrable_uniques.push_back(schema + "." + quoted_name(rows.text(i, 1)));
      }
      if (is_key) {
        table->deferrable_key = !rows.boolean(i, 6);
      } else {
        spec.uniques.push_back({.name = rows.text(i, 1),
                                .partial = rows.boolean(i, 3),
                                .has_expression = rows.boolean(i, 7)});
      }
      std::vector<std::string> names = column_names(table->oid, rows.text(i, 5));
      // What an index only includes is no part of its key.
      names.resize(static_cast<std::size_t>(rows.integer(i, 4)));
      for (const std::string& name : names) {
        const auto position =
            std::find_if(spec.columns.begin(), spec.columns.end(),
                         [&](const ColumnSpec& candidate) { return candidate.name == name; });
        const auto index = static_cast<std::size_t>(position - spec.columns.begin());
        if (position != spec.columns.end()) {
          (is_key ? spec.key : spec.uniques.back().columns).push_back(index);
        } else if (is_key) {
          spec.refusal = "has the generated column " + name + " in its key";
        } else {
          spec.uniques.back().has_expression = true;
        }
      }
    }
  }

  void read_foreign_keys(const Rows& rows) {
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable* table = find(rows.text(i, 0));
      if (table == nullptr) continue;
      const std::string parent = rows.text(i, 1);
      table->spec.foreign_keys.push_back({.columns = column_names(table->oid, rows.text(i, 2)),
                                          .parent_table = names_[parent],
                                          .parent_columns = column_names(parent, rows.text(i, 3)),
                                          .on_delete = action_of(rows.bytes(i, 4))});
      table->has_deferrable_references |= rows.boolean(i, 5);
      if (!rows.boolean(i, 6)) table->closed_parents.insert(names_[parent]);
    }
  }

  void judge(CatalogTable& table) {
    TableSpec& spec = table.spec;
    if (!spec.refusal.empty()) return;
    if (spec.key.empty()) {
      spec.refusal = "has no primary key";
      return;
    }
    const Notes& notes = notes_[positions_[table.oid]];
    for (const std::size_t position : spec.key) {
      const std::string& name = spec.columns[position].name;
      const auto bad = notes.bad_key_types.find(name);
      if (bad == notes.bad_key_types.end()) continue;
      spec.refusal = "has column " + name + " of type " + bad->second +
                     " in its key, where one value can be written in several ways";
      return;
    }
    spec.integer_key = spec.key.size() == 1 &&
                       table.columns.at(spec.columns[spec.key[0]].name).codec == Codec::integer;
  }

  Connection& connection_;
  std::vector<CatalogTable> tables_;
  std::vector<Notes> notes_;
  std::map<std::string, std::size_t> positions_;  // by oid
  std::map<std::string, std::string> names_;      // of all relations, by oid
  std::map<std::pair<std::string, std::int64_t>, std::string> column_names_;  // by table and number
  std::map<std::pair<std::string, std::int64_t>, std::string> sequences_;     // likewise
  std::map<std::string, BaseType> domains_;      // by oid, once one was met
  std::map<std::string, Collation> collations_;  // by oid, once one was met
};

}  // namespace

std::vector<CatalogTable> read_catalog(Connection& connection) { return Reader(connection).read(); }

std::string output_term(const CatalogColumn& column, const std::string& quoted_column) {
  switch (column.codec) {
    case Codec::integer:
      return column.is_boolean ? quoted_column + "::int::bigint" : quoted_column + "::bigint";
    case Codec::real:
      return quoted_column + "::double precision";
    case Codec::blob:
      return quoted_column + "::bytea";
    case Codec::real_text:
    case Codec::text:
      return quoted_column + "::text";
  }
  return quoted_column;
}

std::string order_term(const CatalogColumn& column, const std::string& quoted_column) {
  return column.codec == Codec::text ? quoted_column + "::text COLLATE \"C\"" : quoted_column;
}

std::string may_move_sequence(const std::string& role) {
  return "CASE WHEN s.relkind = 'S' THEN has_sequence_privilege(" + role +
         ", s.oid, 'SELECT') AND has_sequence_privilege(" + role +
         ", s.oid, 'UPDATE') AND has_schema_privilege(" + role +
         ", s.relnamespace, 'USAGE') ELSE false END";
}

}  // namespace tidemark::postgresql
