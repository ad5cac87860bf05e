// References between rows. Foreign keys are switched off for what a session writes (see
// Connection), so these look for what they would have refused.
#include <algorithm>

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/reference_list.h"
#include "engines/sqlite/sqlite_node.h"

namespace tidemark::sqlite {
namespace {

/// SQLite joins 64 tables at most.
constexpr std::size_t kParentsInJoin = 32;

std::vector<ValueView> values_of(const TableSpec& spec, const std::vector<std::string>& columns,
                                 RowView row) {
  std::vector<ValueView> values;
  for (const std::string& name : columns) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (spec.columns[i].name == name) values.push_back(row[i]);
    }
  }
  return values;
}

bool has_null(const std::vector<ValueView>& values) {
  return std::any_of(values.begin(), values.end(),
                     [](const ValueView& value) { return value.kind == ValueKind::null; });
}

bool same_values(const TableSpec& spec, const std::vector<std::string>& columns, RowView a,
                 RowView b) {
  TableSpec compared;
  for (const std::string& name : columns) {
    for (const ColumnSpec& column : spec.columns) {
      if (column.name == name) compared.columns.push_back(column);
    }
    compared.key.push_back(compared.key.size());
  }
  return KeyOrder(compared).compare(a, b) == 0;
}

std::string key_names(const TableSpec& spec, const std::string& prefix) {
  std::string text;
  for (const std::size_t position : spec.key) {
    text += (text.empty() ? "" : ", ") + prefix + quoted_name(spec.columns[position].name);
  }
  return text;
}

std::string same_key(const TableSpec& spec, const std::string& a, const std::string& b) {
  std::string text;
  for (const std::size_t position : spec.key) {
    const std::string name = quoted_name(spec.columns[position].name);
    text += (text.empty() ? "" : " AND ") + a + name + " = " + b + name;
  }
  return text;
}

Row key_at(const Statement& statement, std::size_t size) {
  Row key;
  for (std::size_t i = 0; i < size; ++i) key.emplace_back(statement.value(static_cast<int>(i)));
  return key;
}

/// Children of parameters ?1, ?2 ...; of a table that refers to itself all but the row with the key
/// that follows them.
std::string children_sql(const Reference& reference) {
  const TableSpec& child = reference.child;
  std::string where;
  int parameter = 0;
  for (std::size_t i = 0; i < reference.key.columns.size(); ++i) {
    Collation collation = Collation::binary;
    for (const ColumnSpec& column : reference.parent.columns) {
      if (column.name == reference.key.parent_columns[i]) collation = column.collation;
    }
    where += (i > 0 ? " AND " : "") + quoted_name(reference.key.columns[i]) + " = ?" +
             std::to_string(++parameter);
    if (collation == Collation::nocase) where += " COLLATE NOCASE";
    if (collation == Collation::rtrim) where += " COLLATE RTRIM";
  }
  if (child.name == reference.parent.name) {
    std::string own;
    for (const std::size_t position : child.key) {
      own += (own.empty() ? "" : " AND ") + quoted_name(child.columns[position].name) + " = ?" +
             std::to_string(++parameter);
    }
    where += " AND NOT (" + own + ")";
  }
  return "SELECT " + (child.key.empty() ? "NULL" : key_names(child, "")) + " FROM " +
         quoted_name(child.name) + " WHERE " + where;
}

std::string parent_sql(const Reference& reference) {
  std::string where;
  for (std::size_t i = 0; i < reference.key.parent_columns.size(); ++i) {
    where += (i > 0 ? " AND " : "") + quoted_name(reference.key.parent_columns[i]) + " = ?" +
             std::to_string(i + 1);
  }
  return "SELECT 1 FROM " + quoted_name(reference.parent.name) + " WHERE " + where;
}

}  // namespace

bool SqliteNode::is_referenced(const ActiveTable& table) {
  return !references_.to(table.spec.name).empty();
}

std::vector<Referrer> SqliteNode::referrers(const ActiveTable& table, RowView row,
                                            RowView instead) {
  std::vector<Referrer> referrers;
  for (Reference* reference : references_.to(table.spec.name)) {
    const std::vector<std::string>& columns = reference->key.parent_columns;
    const auto values = values_of(table.spec, columns, row);
    if (has_null(values)) continue;
    if (!instead.empty() &&
        same_values(table.spec, columns, values, values_of(table.spec, columns, instead))) {
      continue;
    }
    Statement& statement = reference->find_children;
    if (!statement) statement = Statement(connection_, children_sql(*reference));
    const ResetGuard guard(statement);
    statement.bind_row(1, values);
    const auto own_key = key_of(table.spec, row);
    if (reference->child.name == table.spec.name) {
      statement.bind_row(static_cast<int>(values.size()) + 1, own_key);
    }
    while (statement.step()) {
      Referrer referrer{.table = reference->child.name, .key = {}};
      if (!reference->child.key.empty())
        referrer.key = key_at(statement, reference->child.key.size());
      const bool known =
          std::any_of(referrers.begin(), referrers.end(), [&](const Referrer& other) {
            return other.table == referrer.table && other.key == referrer.key;
          });
      if (!known) referrers.push_back(std::move(referrer));
    }
  }
  return referrers;
}

std::vector<std::size_t> SqliteNode::missing_parents(const ActiveTable& table, RowView row) {
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < table.spec.foreign_keys.size(); ++i) {
    const ForeignKeySpec& key = table.spec.foreign_keys[i];
    Reference* reference = references_.of(table.spec.name, key);
    if (reference == nullptr) continue;
    const auto values = values_of(table.spec, key.columns, row);
    if (has_null(values)) continue;
    if (key.parent_table == table.spec.name &&
        same_values(table.spec, key.parent_columns, values,
                    values_of(table.spec, key.parent_columns, row))) {
      continue;
    }
    Statement& statement = reference->find_parent;
    if (!statement) statement = Statement(connection_, parent_sql(*reference));
    const ResetGuard guard(statement);
    statement.bind_row(1, values);
    if (!statement.step()) missing.push_back(i);
  }
  return missing;
}

std::vector<Row> SqliteNode::orphans(const ActiveTable& table, const Knowledge* known) {
  std::vector<Row> keys;
  for (std::size_t i = 0; i < table.spec.foreign_keys.size(); i += kParentsInJoin) {
    for (Row& key : orphans(table, known, i)) keys.push_back(std::move(key));
  }
  return keys;
}

// By the foreign keys from `first` on, so many as go into one join: a subquery for each row takes
// three times as long. Whatever is referred to is unique: nothing is doubled.
std::vector<Row> SqliteNode::orphans(const ActiveTable& table, const Knowledge* known,
                                     std::size_t first) {
  std::string parents, orphan;
  const std::size_t end = std::min(first + kParentsInJoin, table.spec.foreign_keys.size());
  for (std::size_t i = first; i < end; ++i) {
    const ForeignKeySpec& key = table.spec.foreign_keys[i];
    const Reference* reference = references_.of(table.spec.name, key);
    if (reference == nullptr) continue;
    const std::string p = "p" + std::to_string(i);
    parents += " LEFT JOIN " + quoted_name(key.parent_table) + " AS " + p + " ON " +
               reference->matches(p + ".", "c.");
    orphan += (orphan.empty() ? "(" : " OR (") + reference->refers("c.") + " AND " + p + "." +
              quoted_name(key.parent_columns.front()) + " IS NULL)";
  }
  std::vector<Row> keys;
  if (orphan.empty()) return keys;
  TableStatements& kept = statements(table);
  kept.recent.flush();
  const std::size_t key_size = kept.spec.key.size();
  KnownSequences numbered;
  if (known != nullptr) numbered = origins_.numbered(*known);
  const bool few = known != nullptr && kept.recent.is_complete_for(numbered);
  if (few) {
    Statement statement(connection_, "WITH n AS MATERIALIZED (" + kept.sql.select_recent_keys() +
                                         ") SELECT " + kept.sql.key_columns("c.") +
                                         " FROM n CROSS JOIN " + kept.sql.table() + " AS c ON " +
                                         kept.sql.key_is_control("c.", "n.") + parents + " WHERE " +
                                         orphan);
    statement.bind_pointer(1, &numbered, KnownSequences::kType);
    while (statement.step()) keys.push_back(key_at(statement, key_size));
    return keys;
  }
  const std::string whole = kept.sql.key_is_whole("c.");
  Statement statement(connection_, "SELECT " + kept.sql.key_columns("c.") + " FROM " +
                                       kept.sql.table() + " AS c" + parents + " WHERE (" + orphan +
                                       ")" + (whole.empty() ? "" : " AND " + whole));
  while (statement.step()) keys.push_back(key_at(statement, key_size));
  // There are few, if any, so that each can be asked for its version.
  if (known != nullptr) {
    std::erase_if(keys, [&](const Row& key) {
      const auto version = find_version(kept, to_views(key));
      return !version || numbered.covers(version->origin, version->sequence);
    });
  }
  return keys;
}

std::optional<Row> SqliteNode::find_by(const ActiveTable& table,
                                       const std::vector<std::string>& columns, RowView values) {
  std::string where;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    where += (i > 0 ? " AND " : "") + quoted_name(columns[i]) + " = ?" + std::to_string(i + 1);
  }
  Statement statement(connection_, "SELECT " + key_names(table.spec, "") + " FROM " +
                                       quoted_name(table.spec.name) + " WHERE " + where);
  statement.bind_row(1, values);
  if (!statement.step()) return std::nullopt;
  return key_at(statement, table.spec.key.size());
}

bool SqliteNode::has_other_references(const ActiveTable& table) {
  const auto references = references_.to(table.spec.name);
  return std::any_of(references.begin(), references.end(),
                     [](const Reference* reference) { return !reference->to_key; });
}

/// The rows of `going` (of one stage, by their place in it) that others refer to.
std::vector<bool> SqliteNode::referred_to(const ActiveTable& table, RowStream& going,
                                          std::size_t count) {
  const TableSql sql(table.spec, table.id);
  std::string key;
  for (std::size_t i = 0; i < table.spec.key.size(); ++i) {
    key += ", " + quoted_name(table.spec.columns[table.spec.key[i]].name) + " AS k" +
           std::to_string(i + 1);
  }
  connection_.execute("DROP TABLE IF EXISTS temp.tidemark_going");
  connection_.execute("CREATE TEMP TABLE tidemark_going AS SELECT 0 AS place" + key + " FROM " +
                      sql.table() + " WHERE 0");
  {
    const std::size_t size = table.spec.key.size();
    Statement insert(connection_, "INSERT INTO temp.tidemark_going VALUES (" +
                                      TableSql::parameters(1, size + 1) + ")");
    ChangedRow row;
    for (std::int64_t place = 0; going.next(row); ++place) {
      insert.bind(1, place).bind_row(2, row.key).run();
    }
  }
  std::vector<bool> referred(count, false);
  for (const Reference* reference : references_.to(table.spec.name)) {
    std::string query = "SELECT DISTINCT g.place FROM temp.tidemark_going AS g CROSS JOIN " +
                        sql.table() + " AS p JOIN " + quoted_name(reference->child.name) +
                        " AS c WHERE " + sql.key_is_control("p.", "g.") + " AND " +
                        reference->matches("p.", "c.");
    if (reference->child.name == table.spec.name) {
      query += " AND NOT (" + same_key(table.spec, "c.", "p.") + ")";
    }
    Statement statement(connection_, query);
    while (statement.step()) referred[static_cast<std::size_t>(statement.integer(0))] = true;
  }
  connection_.execute("DROP TABLE temp.tidemark_going");
  return referred;
}

}  // namespace tidemark::sqlite
