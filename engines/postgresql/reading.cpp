// Rows and versions of one table, read in any transaction.
#include <xxhash.h>

#include <algorithm>

#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"
#include "engines/postgresql/streams.h"

namespace tidemark::postgresql {
namespace {

/// Takes the first of a list whose items stand apart by chr(1).
std::string next_of(std::string_view& list) {
  std::string item(list.substr(0, list.find('\1')));
  list.remove_prefix(std::min(list.size(), item.size() + 1));
  return item;
}

}  // namespace

bool PostgresqlNode::is_empty(const ActiveTable& table) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  return connection_
      .run_prepared("SELECT NOT EXISTS (SELECT FROM " + sql->table() +
                        ") AND NOT EXISTS (SELECT FROM " + sql->version() + ")",
                    {})
      .boolean(0, 0);
}

std::int64_t PostgresqlNode::count_rows(const ActiveTable& table) {
  return connection_.query("SELECT count(*) FROM " + sql_of(table)->table()).integer(0, 0);
}

std::unique_ptr<RowStream> PostgresqlNode::changes_since(const ActiveTable& table,
                                                         const Knowledge& known) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  if (recent_.is_large_share(*sql, count_news(table, known))) {
    return changed_rows(connection_, origins_, sql, origins_.news_unknown_to_planner(known, "v."));
  }
  if (recent_.is_complete_for(*sql, known)) {
    return recent_rows(connection_, origins_, sql, origins_.news(known, "r."));
  }
  return changed_rows(connection_, origins_, sql, origins_.news(known, "v."));
}

/// An upper bound: a key that changed again has one version.
std::int64_t PostgresqlNode::count_news(const ActiveTable& table, const Knowledge& known) {
  const Knowledge own = load_knowledge("tidemark.knowledge", table.id);
  std::int64_t news = 0;
  for (const auto& [origin, sequence] : own.entries()) {
    news += std::max<std::int64_t>(0, sequence - known.of(origin).value_or(0));
  }
  return news;
}

std::unique_ptr<RowStream> PostgresqlNode::all_rows(const ActiveTable& table) {
  return postgresql::all_rows(connection_, origins_, sql_of(table), false);
}

LocalRow PostgresqlNode::find(const ActiveTable& table, RowView key) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  LocalRow found;
  Parameters parameters;
  for (std::size_t i = 0; i < key.size(); ++i) {
    Encoded part = sql->encode_key_part(i, key[i]);
    if (part.refusal) return found;  // what cannot be here is not here
    parameters.push_back(std::move(part.text));
  }
  const Rows rows = connection_.run_prepared(
      "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " + sql->output("t.") +
          " FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM " + sql->version() + " AS v WHERE " +
          sql->control_key_is("v.", 1) + ") AS v ON true LEFT JOIN (SELECT * FROM " + sql->table() +
          " AS t WHERE " + sql->key_is("t.", 1) + ") AS t ON true",
      parameters);
  if (!rows.is_null(0, 0)) {
    found.version = Version{.changed_at_us = rows.integer(0, 0),
                            .origin = origins_.origin(rows.integer(0, 1)),
                            .sequence = rows.integer(0, 2),
                            .inserted = (rows.integer(0, 3) & kInsertedFlag) != 0};
  }
  // A row that was found has a key.
  found.present = !rows.is_null(0, 4 + static_cast<int>(table.spec.key.front()));
  if (!found.present) return found;
  for (std::size_t i = 0; i < table.spec.columns.size(); ++i) {
    const int column = 4 + static_cast<int>(i);
    found.row.emplace_back(rows.is_null(0, column) ? ValueView::of_null()
                                                   : sql->decode(i, rows.bytes(0, column)));
  }
  return found;
}

// The server evaluates its own index terms for the row, by the operators and collations of the
// index: all means exactly what it means there.
std::vector<Row> PostgresqlNode::unique_rivals(const ActiveTable& table, RowView row) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  Parameters parameters;
  std::string incoming;
  for (std::size_t i = 0; i < row.size(); ++i) {
    Encoded value = sql->encode(i, row[i]);
    if (value.refusal) return {};
    parameters.push_back(std::move(value.text));
    if (i > 0) incoming += ", ";
    incoming += "$" + std::to_string(i + 1) + "::" + sql->column(i).type +
                sql->column(i).collation + " AS " + sql->name(i);
  }
  const Rows indexes = connection_.query(
      "SELECT string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k::int, false), ', ' ORDER BY k) "
      "FILTER "
      "(WHERE k <= i.indnkeyatts), coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), "
      "'true'), "
      "i.indnullsnotdistinct, i.indnkeyatts::int, "
      "string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k::int, "
      "false), chr(1) ORDER BY k) FILTER (WHERE k <= i.indnkeyatts), "
      "string_agg(pg_catalog.format('OPERATOR(%I.%s)', no.nspname, o.oprname), chr(1) ORDER BY k), "
      "string_agg(CASE WHEN l.oid IS NULL THEN '' ELSE pg_catalog.format(' COLLATE %I.%I', "
      "nl.nspname, l.collname) END, chr(1) ORDER BY k) FROM pg_catalog.pg_index i CROSS JOIN "
      "LATERAL generate_series(1, "
      "i.indnkeyatts) AS k JOIN pg_catalog.pg_opclass c ON c.oid = i.indclass[k - 1] "
      // The third strategy of a B-tree is equality.
      "JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype "
      "AND a.amoprighttype = c.opcintype AND a.amopstrategy = 3 "
      "JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr "
      "JOIN pg_catalog.pg_namespace no ON no.oid = o.oprnamespace "
      "LEFT JOIN pg_catalog.pg_collation l ON l.oid = i.indcollation[k - 1] "
      "LEFT JOIN pg_catalog.pg_namespace nl ON nl.oid = l.collnamespace "
      "WHERE i.indrelid = $1::oid AND i.indisunique AND NOT i.indisprimary GROUP BY i.indexrelid, "
      "i.indpred, i.indrelid, i.indnullsnotdistinct, i.indnkeyatts ORDER BY i.indexrelid",
      {sql->catalog().oid});
  std::vector<Row> rivals;
  std::string own;
  for (std::size_t i = 0; i < table.spec.key.size(); ++i) {
    const std::size_t position = table.spec.key[i];
    own += (i > 0 ? " AND " : "") + std::string("h.") + sql->name(position) + " = $" +
           std::to_string(position + 1) + "::" + sql->column(position).type;
  }
  for (int index = 0; index < indexes.size(); ++index) {
    const auto terms = indexes.integer(index, 3);
    std::string here, there, join;
    std::string_view texts = indexes.bytes(index, 4), operators = indexes.bytes(index, 5),
                     collations = indexes.bytes(index, 6);
    for (std::int64_t term = 1; term <= terms; ++term) {
      const std::string number = "u" + std::to_string(term);
      const std::string part = "(" + next_of(texts) + ")" + next_of(collations) + " AS " + number;
      here += ", " + part;
      there += (term > 1 ? ", " : "") + part;
      const std::string h = "h." + number, i = "i." + number;
      std::string equal = h + " " + next_of(operators) + " " + i;
      if (indexes.boolean(index, 2)) {
        equal = "(" + equal + " OR " + h + " IS NULL AND " + i + " IS NULL)";
      }
      join += (term > 1 ? " AND " : "") + equal;
    }
    const std::string predicate = indexes.text(index, 1);
    std::string keys;
    for (const std::size_t position : table.spec.key) {
      keys += (keys.empty() ? "" : ", ") + sql->name(position);
    }
    const Rows found = connection_.query(
        "SELECT " + sql->key_output("h.") + " FROM (SELECT " + there + " FROM (SELECT " + incoming +
            ") AS r WHERE " + predicate + ") AS i JOIN (SELECT " + keys + here + " FROM " +
            sql->table() + " AS r WHERE " + predicate + ") AS h ON " + join + " WHERE NOT (" + own +
            ") ORDER BY " + sql->key_order("h."),
        parameters);
    for (int i = 0; i < found.size(); ++i) {
      Row key;
      for (std::size_t part = 0; part < table.spec.key.size(); ++part) {
        key.emplace_back(sql->decode_key_part(part, found.bytes(i, static_cast<int>(part))));
      }
      if (std::find(rivals.begin(), rivals.end(), key) == rivals.end()) {
        rivals.push_back(std::move(key));
      }
    }
  }
  return rivals;
}

TableDigest PostgresqlNode::digest(const ActiveTable& table) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  CopyOut rows(connection_, "SELECT " + sql->output("t.") + " FROM " + sql->table() + " AS t");
  TableDigest digest;
  std::string encoding;
  std::vector<ValueView> row(table.spec.columns.size());
  while (rows.next()) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const int column = static_cast<int>(i);
      row[i] = rows.is_null(column) ? ValueView::of_null() : sql->decode(i, rows.bytes(column));
    }
    encoding.clear();
    append_encoding(row, encoding);
    const XXH128_hash_t hash = XXH3_128bits(encoding.data(), encoding.size());
    ++digest.rows;
    digest.low += hash.low64;
    digest.high += hash.high64;
  }
  return digest;
}

}  // namespace tidemark::postgresql
