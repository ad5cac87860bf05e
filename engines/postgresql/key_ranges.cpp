// Key ranges: the sequence of a table ends with the range of its node, so that it cannot run into
// another's; only the owner of the table may move it on.
#include <limits>

#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

/// The key column that a sequence fills; null when there is not exactly one.
const std::string* numbered_column(const CatalogTable& table) {
  const std::string* found = nullptr;
  for (const std::size_t position : table.spec.key) {
    const std::string& name = table.spec.columns[position].name;
    if (table.columns.at(name).sequence.empty()) continue;
    if (found != nullptr) return nullptr;
    found = &name;
  }
  return found;
}

std::int64_t largest_number(const std::string& type) {
  if (type == "smallint") return std::numeric_limits<std::int16_t>::max();
  if (type == "integer") return std::numeric_limits<std::int32_t>::max();
  return std::numeric_limits<std::int64_t>::max();
}

}  // namespace

KeyCounter PostgresqlNode::key_counter(const TableSpec& table) {
  KeyCounter counter;
  load_catalog();
  const auto found = catalog_.find(table.name);
  const std::string* column = found == catalog_.end() ? nullptr : numbered_column(found->second);
  if (column == nullptr) {
    counter.refusal = "has no sequence (serial or identity) for its key on node " + name();
    return counter;
  }
  const CatalogColumn& numbered = found->second.columns.at(*column);
  const Rows rows = connection_.query(
      "SELECT CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END, (SELECT "
      "coalesce(max(" +
      quoted_name(*column) + ")::bigint, 0) FROM " + found->second.quoted +
      "), q.seqincrement = 1 AND NOT q.seqcycle AND q.seqmin = 1 FROM " + numbered.sequence +
      " AS s, pg_catalog.pg_sequence AS q WHERE q.seqrelid = " + quoted_text(numbered.sequence) +
      "::regclass");
  counter.limit = largest_number(numbered.type);
  counter.next = rows.integer(0, 0);
  counter.largest = rows.integer(0, 1);
  if (!rows.boolean(0, 2)) {
    counter.refusal =
        "has a sequence on node " + name() + " that does not count up from 1 in steps of one";
  }
  return counter;
}

std::vector<GivenRange> PostgresqlNode::key_ranges(const ActiveTable& table) {
  std::vector<GivenRange> ranges;
  const Rows rows = connection_.run_prepared(
      "SELECT node, low, high FROM tidemark.key_range WHERE table_id = $1 ORDER BY low",
      {std::to_string(table.id)});
  for (int i = 0; i < rows.size(); ++i) {
    ranges.push_back({.node = rows.uuid(i, 0),
                      .range = {.low = rows.integer(i, 1), .high = rows.integer(i, 2)}});
  }
  return ranges;
}

void PostgresqlNode::save_key_range(const ActiveTable& table, const GivenRange& given) {
  connection_.query(
      "INSERT INTO tidemark.key_range VALUES ($1, $2, $3, $4) ON CONFLICT (table_id, low) DO "
      "UPDATE SET node = excluded.node, high = excluded.high",
      {std::to_string(table.id), given.node.to_string(), std::to_string(given.range.low),
       std::to_string(given.range.high)});
}

void PostgresqlNode::use_key_range(const ActiveTable& table, const KeyRange& range) {
  load_catalog();
  const CatalogTable& found = catalog_.at(table.spec.name);
  const std::string* column = numbered_column(found);
  if (column == nullptr) return;
  const Rows rows =
      connection_.query("SELECT coalesce(max(" + quoted_name(*column) +
                            ")::bigint + 1, $1::bigint) FROM " + found.quoted + " WHERE " +
                            quoted_name(*column) + " BETWEEN $1::bigint AND $2::bigint - 1",
                        {std::to_string(range.low), std::to_string(range.high)});
  define("ALTER SEQUENCE " + found.columns.at(*column).sequence + " MAXVALUE " +
         std::to_string(range.high) + " RESTART WITH " + std::to_string(rows.integer(0, 0)));
}

std::map<std::int64_t, KeyRange> PostgresqlNode::own_key_ranges() {
  std::map<std::int64_t, KeyRange> ranges;
  const Rows rows = connection_.run_prepared(
      "SELECT DISTINCT ON (table_id) table_id, low, high FROM tidemark.key_range WHERE node = "
      "(SELECT node_id FROM tidemark.node) ORDER BY table_id, low DESC",
      {});
  for (int i = 0; i < rows.size(); ++i) {
    ranges[rows.integer(i, 0)] = {.low = rows.integer(i, 1), .high = rows.integer(i, 2)};
  }
  return ranges;
}

// The sequence may count on from behind all data, as if there never had been ranges.
void PostgresqlNode::release_key_counter(std::int64_t table_id) {
  if (!own_key_ranges().contains(table_id)) return;
  const Rows row = connection_.query("SELECT name FROM tidemark.captured_table WHERE id = $1",
                                     {std::to_string(table_id)});
  if (row.empty()) return;
  load_catalog();
  const auto found = catalog_.find(row.text(0, 0));
  const std::string* column = found == catalog_.end() ? nullptr : numbered_column(found->second);
  if (column == nullptr) return;
  const Rows next = connection_.query("SELECT coalesce(max(" + quoted_name(*column) +
                                      ")::bigint, 0) + 1 FROM " + found->second.quoted);
  define("ALTER SEQUENCE " + found->second.columns.at(*column).sequence +
         " NO MAXVALUE RESTART WITH " + std::to_string(next.integer(0, 0)));
}

}  // namespace tidemark::postgresql
