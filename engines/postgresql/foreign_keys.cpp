// References between rows. Where a session may not switch triggers off, the server checks foreign
// keys of what it writes: at once, or deferrable ones at the end, when a row that is refused would
// take the whole transaction with it. Where it may, nobody does but whoever asks here.
#include <algorithm>

#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

/// `a."x" = b."y" AND ...`
std::string columns_equal(const std::string& a, const std::vector<std::string>& x,
                          const std::string& b, const std::vector<std::string>& y) {
  std::string text;
  for (std::size_t i = 0; i < x.size(); ++i) {
    text += (i > 0 ? " AND " : "") + a + quoted_name(x[i]) + " = " + b + quoted_name(y[i]);
  }
  return text;
}

std::string own_key(const TableSql& sql, const std::string& a, const std::string& b) {
  std::string text;
  for (const std::size_t position : sql.spec().key) {
    text += (text.empty() ? "" : " AND ") + a + sql.name(position) + " = " + b + sql.name(position);
  }
  return text;
}

std::size_t position_of(const TableSpec& spec, const std::string& column) {
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    if (spec.columns[i].name == column) return i;
  }
  throw Error(ExitCode::failed, "table " + spec.name + " has no column " + column,
              "run tidemark check");
}

/// The values of `columns` on their way to the server; nothing if one of them is NULL or cannot be
/// one of this table's.
std::optional<Parameters> encoded(const TableSql& sql, const std::vector<std::string>& columns,
                                  RowView row) {
  Parameters parameters;
  for (const std::string& name : columns) {
    const std::size_t position = position_of(sql.spec(), name);
    Encoded value = sql.encode(position, row[position]);
    if (value.refusal || !value.text) return std::nullopt;
    parameters.push_back(std::move(value.text));
  }
  return parameters;
}

std::string are_parameters(const std::string& prefix, const std::vector<std::string>& columns,
                           const TableSql& types, const std::vector<std::string>& type_columns) {
  std::string text;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    text += (i > 0 ? " AND " : "") + prefix + quoted_name(columns[i]) + " = $" +
            std::to_string(i + 1) +
            "::" + types.column(position_of(types.spec(), type_columns[i])).type;
  }
  return text;
}

bool refers_to_key(const TableSpec& parent, const ForeignKeySpec& key) {
  return key.parent_columns.size() == parent.key.size() &&
         std::all_of(parent.key.begin(), parent.key.end(), [&](std::size_t position) {
           const std::vector<std::string>& columns = key.parent_columns;
           return std::find(columns.begin(), columns.end(), parent.columns[position].name) !=
                  columns.end();
         });
}

}  // namespace

std::vector<PostgresqlNode::Reference> PostgresqlNode::references_to(const std::string& table) {
  std::vector<Reference> references;
  for (const auto& [name, child] : catalog_) {
    for (const ForeignKeySpec& key : child.spec.foreign_keys) {
      if (key.parent_table == table) references.push_back({.child = &child, .key = &key});
    }
  }
  return references;
}

bool PostgresqlNode::is_referenced(const ActiveTable& table) {
  sql_of(table);
  return !references_to(table.spec.name).empty();
}

std::vector<Referrer> PostgresqlNode::referrers(const ActiveTable& table, RowView row,
                                                RowView instead) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  std::vector<Referrer> referrers;
  for (const auto& [child, key] : references_to(table.spec.name)) {
    auto parameters = encoded(*sql, key->parent_columns, row);
    if (!parameters) continue;
    if (!instead.empty() && encoded(*sql, key->parent_columns, instead) == parameters) continue;
    const TableSql child_sql(child->spec, *child, 0);
    std::string condition = are_parameters("c.", key->columns, *sql, key->parent_columns);
    if (child->spec.name == table.spec.name) {
      const int first = static_cast<int>(parameters->size()) + 1;
      for (Parameter& part : sql->encode_key(key_of(table.spec, row))) {
        parameters->push_back(std::move(part));
      }
      condition += " AND NOT (" + sql->key_is("c.", first) + ")";
    }
    const bool has_key = !child->spec.key.empty();
    const Rows rows = connection_.query("SELECT " + (has_key ? child_sql.key_output("c.") : "1") +
                                            " FROM " + child->quoted + " AS c WHERE " + condition,
                                        *parameters);
    for (int i = 0; i < rows.size(); ++i) {
      Referrer referrer{.table = child->spec.name, .key = {}};
      for (std::size_t part = 0; part < child->spec.key.size(); ++part) {
        referrer.key.emplace_back(
            child_sql.decode_key_part(part, rows.bytes(i, static_cast<int>(part))));
      }
      const bool known =
          std::any_of(referrers.begin(), referrers.end(), [&](const Referrer& other) {
            return other.table == referrer.table && other.key == referrer.key;
          });
      if (!known) referrers.push_back(std::move(referrer));
    }
  }
  return referrers;
}

std::vector<std::size_t> PostgresqlNode::missing_parents(const ActiveTable& table, RowView row) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < table.spec.foreign_keys.size(); ++i) {
    const ForeignKeySpec& key = table.spec.foreign_keys[i];
    const auto parent = catalog_.find(key.parent_table);
    const auto parameters = encoded(*sql, key.columns, row);
    if (parent == catalog_.end() || !parameters) continue;
    const bool is_own_parent =
        key.parent_table == table.spec.name && encoded(*sql, key.parent_columns, row) == parameters;
    if (is_own_parent) continue;
    const Rows rows = connection_.query(
        "SELECT 1 FROM " + parent->second.quoted + " AS p WHERE " +
            are_parameters("p.", key.parent_columns, *sql, key.columns) + " LIMIT 1",
        *parameters);
    if (rows.empty()) missing.push_back(i);
  }
  return missing;
}

std::vector<Row> PostgresqlNode::orphans(const ActiveTable& table, const Knowledge* known) {
  std::vector<Row> keys;
  const std::shared_ptr<TableSql> sql = sql_of(table);
  if (!may_silence_.value_or(false) && !sql->catalog().has_deferrable_references) return keys;
  // The keys that have news, from the list of recent versions where that has them all: a key may
  // stand there more than once.
  std::string news;
  if (known != nullptr) {
    const bool few = recent_.is_complete_for(*sql, *known);
    news = std::string(" JOIN (SELECT ") + (few ? "DISTINCT " : "") + sql->control_key("r.") +
           " FROM " + (few ? recent_table(sql->id()) : sql->version()) + " AS r WHERE " +
           origins_.news(*known, "r.") + ") AS v ON " + sql->key_is_control("c.", "v.");
  }
  // All parents in one look at the rows. Whatever is referred to is unique: nothing is doubled.
  std::string parents, orphan;
  for (const ForeignKeySpec& key : table.spec.foreign_keys) {
    const auto parent = catalog_.find(key.parent_table);
    if (parent == catalog_.end()) continue;
    // Of a parent that we may not read the server knows; at the end, if it must be.
    if (sql->catalog().closed_parents.contains(key.parent_table)) continue;
    const std::string p = "p" + std::to_string(&key - table.spec.foreign_keys.data());
    parents += " LEFT JOIN " + parent->second.quoted + " AS " + p + " ON " +
               columns_equal(p + ".", key.parent_columns, "c.", key.columns);
    orphan += orphan.empty() ? "(" : " OR (";
    for (const std::string& column : key.columns) {
      orphan += "c." + quoted_name(column) + " IS NOT NULL AND ";
    }
    orphan += p + "." + quoted_name(key.parent_columns.front()) + " IS NULL)";
  }
  if (orphan.empty()) return keys;
  const Rows rows = connection_.query("SELECT " + sql->key_output("c.") + " FROM " + sql->table() +
                                      " AS c" + news + parents + " WHERE " + orphan);
  for (int i = 0; i < rows.size(); ++i) {
    Row& key = keys.emplace_back();
    for (std::size_t part = 0; part < table.spec.key.size(); ++part) {
      key.emplace_back(sql->decode_key_part(part, rows.bytes(i, static_cast<int>(part))));
    }
  }
  return keys;
}

std::optional<Row> PostgresqlNode::find_by(const ActiveTable& table,
                                           const std::vector<std::string>& columns,
                                           RowView values) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  Parameters parameters;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    Encoded value = sql->encode(position_of(table.spec, columns[i]), values[i]);
    if (value.refusal) return std::nullopt;
    parameters.push_back(std::move(value.text));
  }
  const Rows rows = connection_.query("SELECT " + sql->key_output("t.") + " FROM " + sql->table() +
                                          " AS t WHERE " +
                                          are_parameters("t.", columns, *sql, columns) + " LIMIT 1",
                                      parameters);
  if (rows.empty()) return std::nullopt;
  Row key;
  for (std::size_t part = 0; part < table.spec.key.size(); ++part) {
    key.emplace_back(sql->decode_key_part(part, rows.bytes(0, static_cast<int>(part))));
  }
  return key;
}

/// What would take a row away, or a value of it, to which others refer, is to be compared.
void PostgresqlNode::mark_withdrawals(const ActiveTable& table, const std::string& stage) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  for (const auto& [child, key] : references_to(table.spec.name)) {
    std::string withdraws = "NOT s.present";
    if (!refers_to_key(table.spec, *key)) {
      for (const std::string& column : key->parent_columns) {
        withdraws += " OR t." + quoted_name(column) + " IS DISTINCT FROM s.c" +
                     std::to_string(position_of(table.spec, column) + 1);
      }
    }
    std::string itself;
    if (child->spec.name == table.spec.name)
      itself = " AND NOT (" + own_key(*sql, "c.", "t.") + ")";
    connection_.query("UPDATE " + stage + " AS s SET revert = true FROM " + sql->table() +
                      " AS t JOIN " + child->quoted + " AS c ON " +
                      columns_equal("t.", key->parent_columns, "c.", key->columns) + itself +
                      " WHERE (" + withdraws + ") AND NOT s.revert AND " +
                      sql->key_is_staged("t.", "s."));
  }
}

}  // namespace tidemark::postgresql
