#include "engines/postgresql/catalog.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "engines/postgresql/identifiers.h"

namespace tidemark::postgresql {
namespace {

// Applications' tables: what belongs to the server, to an extension or to Tidemark is left out, and
// so are temporary tables and partitions (they come with their parent).
constexpr char kTables[] = R"(
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind = 'p', c.relpersistence = 'u',
       EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE NOT c.relispartition
               AND (i.inhrelid = c.oid OR (i.inhparent = c.oid AND c.relkind <> 'p'))),
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'tidemark')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                  AND d.objid = c.oid AND d.deptype = 'e'))";

constexpr char kColumns[] = R"(
SELECT a.attrelid::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       t.typname::text, a.attnotnull, a.attgenerated <> '', a.attidentity = 'a',
       coalesce(pg_catalog.pg_get_serial_sequence(pg_catalog.quote_ident(n.nspname) || '.' ||
                pg_catalog.quote_ident(c.relname), a.attname), ''),
       t.typtype::text, coalesce(l.collisdeterministic, true), t.typnamespace = 'pg_catalog'::regnamespace,
       a.atttypmod, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum),
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
            THEN ' COLLATE ' || pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname)
            ELSE '' END, a.atttypid::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'tidemark')
ORDER BY a.attrelid, a.attnum)";

// What domains stand for in the end. Asked only where there are some: it takes the server longer to
// plan than the rest of the columns.
constexpr char kDomains[] = R"(
WITH RECURSIVE base(domain, type, typmod) AS (
  SELECT d.oid, d.typbasetype, d.typtypmod FROM pg_catalog.pg_type d WHERE d.typtype = 'd'
  UNION ALL
  SELECT base.domain, d.typbasetype, d.typtypmod FROM base JOIN pg_catalog.pg_type d ON d.oid = base.type
  WHERE d.typtype = 'd')
SELECT base.domain::text, t.typname::text, t.typtype::text, t.typnamespace = 'pg_catalog'::regnamespace, base.typmod
FROM base JOIN pg_catalog.pg_type t ON t.oid = base.type WHERE t.typtype <> 'd')";

// The key first, then the other unique indexes. A term that is no column has no name.
constexpr char kIndexes[] = R"(
SELECT i.indrelid::text, x.relname::text, i.indisprimary, i.indpred IS NOT NULL, k.position,
       coalesce(a.attname, '')::text, i.indisunique AND i.indimmediate, i.indisexclusion
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, position)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
WHERE (i.indisunique OR i.indisexclusion) AND i.indisvalid AND k.position <= i.indnkeyatts
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'tidemark')
ORDER BY i.indrelid, i.indisprimary DESC, x.relname, k.position)";

constexpr char kForeignKeys[] = R"(
SELECT f.oid::text, f.conrelid::text, n.nspname::text, p.relname::text, a.attname::text, b.attname::text,
       f.confdeltype::text
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class p ON p.oid = f.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY AS k(child, parent, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.child
JOIN pg_catalog.pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = k.parent
WHERE f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conname, f.oid, k.position)";

constexpr char kPartitions[] = R"(
SELECT c.oid::text, n.nspname::text, p.relname::text
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL pg_catalog.pg_partition_tree(c.oid) AS t
JOIN pg_catalog.pg_class p ON p.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE c.relkind = 'p' AND NOT c.relispartition AND t.level > 0
ORDER BY 2, 3)";

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
  constexpr std::int64_t kHeader = 4;  // what the server adds to a declared length
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
    if (typmod >= kHeader) {
      spec.precision = static_cast<int>((typmod - kHeader) >> 16 & 0xffff);
      spec.scale = static_cast<int>(((typmod - kHeader) & 0x7ff) ^ 1024) - 1024;
    }
  } else if (base_type == "text" || (base_type == "varchar" && typmod < kHeader)) {
    spec.form = Form::text;
  } else if (base_type == "varchar" || base_type == "bpchar") {
    spec.form = Form::bounded_text;
    spec.length = static_cast<int>(typmod - kHeader);
  } else {
    spec.form = Form::canonical_text;
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
    read_tables();
    read_columns();
    read_indexes();
    read_foreign_keys();
    const Rows partitions = connection_.run_prepared(kPartitions, {});
    for (int i = 0; i < partitions.size(); ++i) {
      if (CatalogTable* table = find(partitions.text(i, 0))) {
        table->partitions.push_back(quoted_name(partitions.text(i, 1)) + "." +
                                    quoted_name(partitions.text(i, 2)));
      }
    }
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

  void read_tables() {
    const Rows rows = connection_.run_prepared(kTables, {});
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable table;
      table.oid = rows.text(i, 0);
      table.spec.product = "PostgreSQL";
      table.spec.name = table_name(rows.bytes(i, 1), rows.bytes(i, 2));
      table.quoted = quoted_name(rows.bytes(i, 1)) + "." + quoted_name(rows.bytes(i, 2));
      table.is_partitioned = rows.boolean(i, 3);
      if (rows.boolean(i, 4)) {
        table.spec.refusal = "is unlogged: a crash of the server would empty it unseen";
      }
      if (rows.boolean(i, 5)) {
        table.spec.refusal =
            "inherits from another table or is inherited from (INHERITS): its rows would count "
            "twice";
      }
      if (rows.boolean(i, 6)) {
        table.spec.refusal = "has rules that rewrite what is written to it, by sessions too";
      }
      positions_[table.oid] = tables_.size();
      tables_.push_back(std::move(table));
    }
    notes_.resize(tables_.size());
  }

  /// The type whose values a column holds.
  struct BaseType {
    std::string name;
    bool is_enum = false;
    bool built_in = false;
    std::int64_t typmod = -1;
  };

  BaseType base_type(const Rows& columns, int row) {
    if (columns.bytes(row, 8) != "d") {
      return {.name = columns.text(row, 3),
              .is_enum = columns.bytes(row, 8) == "e",
              .built_in = columns.boolean(row, 10),
              .typmod = columns.integer(row, 11)};
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
    return domains_.at(columns.text(row, 14));
  }

  void read_columns() {
    const Rows rows = connection_.run_prepared(kColumns, {});
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable* table = find(rows.text(i, 0));
      if (table == nullptr) continue;
      const std::string name = rows.text(i, 1);
      if (rows.boolean(i, 5)) {
        table->spec.generated.push_back(name);
        continue;
      }
      const auto [base, is_enum, built_in, typmod] = base_type(rows, i);
      CatalogColumn column{.type = rows.text(i, 2),
                           .codec = built_in ? codec_of(base) : Codec::text,
                           .is_boolean = built_in && base == "bool",
                           .always_identity = rows.boolean(i, 6),
                           .ordinal = static_cast<std::size_t>(rows.integer(i, 12)),
                           .collation = rows.text(i, 13),
                           .sequence = rows.text(i, 7)};
      if (built_in && is_local_type(base) && table->spec.refusal.empty()) {
        table->spec.refusal = "has column " + name + " of type " + column.type +
                              ", whose values mean something in this database only";
      }
      if (!can_be_key(base, is_enum, built_in, typmod) || !rows.boolean(i, 9)) {
        notes_[positions_[table->oid]].bad_key_types[name] = column.type;
      }
      ColumnSpec spec{.name = name, .declared_type = column.type, .not_null = rows.boolean(i, 4)};
      set_form(spec, column, built_in ? base : "", typmod);
      table->spec.columns.push_back(std::move(spec));
      table->columns.emplace(name, std::move(column));
    }
  }

  void read_indexes() {
    const Rows rows = connection_.run_prepared(kIndexes, {});
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable* table = find(rows.text(i, 0));
      if (table == nullptr) continue;
      TableSpec& spec = table->spec;
      const std::string column = rows.text(i, 5);
      const auto position =
          std::find_if(spec.columns.begin(), spec.columns.end(),
                       [&](const ColumnSpec& candidate) { return candidate.name == column; });
      const bool is_column = position != spec.columns.end();
      const auto index = static_cast<std::size_t>(position - spec.columns.begin());
      if (rows.boolean(i, 2)) {
        table->deferrable_key = !rows.boolean(i, 6);
        if (is_column) {
          spec.key.push_back(index);
        } else {
          spec.refusal = "has the generated column " + column + " in its key";
        }
        continue;
      }
      const std::string name = rows.text(i, 1);
      if (rows.integer(i, 4) == 1) {
        spec.uniques.push_back(
            {.name = name, .partial = rows.boolean(i, 3), .has_expression = rows.boolean(i, 7)});
      }
      if (is_column) {
        spec.uniques.back().columns.push_back(index);
      } else {
        spec.uniques.back().has_expression = true;
      }
    }
  }

  void read_foreign_keys() {
    const Rows rows = connection_.run_prepared(kForeignKeys, {});
    std::string current;
    for (int i = 0; i < rows.size(); ++i) {
      CatalogTable* table = find(rows.text(i, 1));
      if (table == nullptr) continue;
      if (const std::string oid = rows.text(i, 0); oid != current) {
        current = oid;
        table->spec.foreign_keys.push_back(
            {.parent_table = table_name(rows.bytes(i, 2), rows.bytes(i, 3)),
             .on_delete = action_of(rows.bytes(i, 6))});
      }
      ForeignKeySpec& foreign_key = table->spec.foreign_keys.back();
      foreign_key.columns.push_back(rows.text(i, 4));
      foreign_key.parent_columns.push_back(rows.text(i, 5));
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
  std::map<std::string, BaseType> domains_;       // by oid, once one was met
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

}  // namespace tidemark::postgresql
