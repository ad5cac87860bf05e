#include "engines/postgresql/recent_list.h"

namespace tidemark::postgresql {
namespace {

/// Entries of a list, before its oldest half goes, and of one batch.
constexpr std::int64_t kLimit = 16384;
/// Fewer are never worth the question how many there are in all.
constexpr std::int64_t kFew = 1000;
/// More than one in so many are a large share.
constexpr std::int64_t kShare = 8;
/// What a version takes on disk, about. The size is always known, statistics come late.
constexpr std::int64_t kVersionBytes = 90;

/// The number of the transaction that is open, for one table: the next one begins at settle().
std::string batch_of(std::int64_t table_id) {
  return "(SELECT recent_batch FROM tidemark.captured_table WHERE id = " +
         std::to_string(table_id) + ")";
}

}  // namespace

bool RecentLists::is_too_many(const TableSql& sql, std::int64_t versions) {
  return versions > kLimit || is_large_share(sql, versions);
}

bool RecentLists::is_large_share(const TableSql& sql, std::int64_t versions) {
  if (versions <= kFew) return false;
  const Rows size = connection_.run_prepared("SELECT pg_catalog.pg_relation_size($1::regclass)",
                                             {version_table(sql.id())});
  return versions > size.integer(0, 0) / kVersionBytes / kShare;
}

std::string RecentLists::insert_selected(const TableSql& sql, const std::string& values) {
  return "INSERT INTO " + recent_table(sql.id()) + "(" + sql.control_key() +
         ", origin, sequence, batch) SELECT " + values + ", " + batch_of(sql.id());
}

void RecentLists::add(const TableSql& sql, RowView key, std::int64_t origin,
                      std::int64_t sequence) {
  Parameters parameters = sql.encode_key(key);
  const int next = static_cast<int>(parameters.size()) + 1;
  parameters.emplace_back(std::to_string(origin));
  parameters.emplace_back(std::to_string(sequence));
  connection_.run_prepared(
      insert_selected(sql, sql.key_parameters(1) + ", $" + std::to_string(next) + "::integer, $" +
                               std::to_string(next + 1) + "::bigint"),
      parameters);
  note_added(sql, 1);
}

void RecentLists::skip(const TableSql& sql, std::int64_t origin, std::int64_t sequence) {
  connection_.run_prepared(
      "INSERT INTO tidemark.recent_since AS s VALUES ($1, $2, $3) ON CONFLICT (table_id, origin) "
      "DO UPDATE SET sequence = greatest(s.sequence, excluded.sequence)",
      {std::to_string(sql.id()), std::to_string(origin), std::to_string(sequence)});
}

bool RecentLists::is_complete_for(const TableSql& sql, const Knowledge& known) {
  const Rows marks = connection_.run_prepared(
      "SELECT origin, sequence FROM tidemark.recent_since WHERE table_id = $1",
      {std::to_string(sql.id())});
  for (int i = 0; i < marks.size(); ++i) {
    const auto sequence = known.of(origins_.origin(marks.integer(i, 0)));
    if (!sequence || *sequence < marks.integer(i, 1)) return false;
  }
  return true;
}

void RecentLists::settle() {
  for (const auto& [table_id, added] : added_) {
    const std::string id = std::to_string(table_id);
    const Rows stored = connection_.run_prepared(
        "UPDATE tidemark.captured_table SET recent_batch = recent_batch + 1, recent_entries = "
        "recent_entries + $2 WHERE id = $1 RETURNING recent_entries",
        {id, std::to_string(added)});
    if (!stored.empty() && stored.integer(0, 0) > kLimit) drop_oldest(id);
  }
  added_.clear();
}

// Half of the list goes at once, so that this is rare.
void RecentLists::drop_oldest(const std::string& id) {
  const std::string list = "tidemark.recent_" + id;
  const Rows cut = connection_.query(
      "SELECT coalesce(max(batch), 0) FROM (SELECT batch, sum(count(*)) OVER (ORDER BY batch DESC) "
      "AS newer FROM " +
      list + " GROUP BY batch) AS b WHERE newer > " + std::to_string(kLimit / 2));
  const std::string oldest = " WHERE batch <= " + std::to_string(cut.integer(0, 0));
  connection_.query("INSERT INTO tidemark.recent_since AS s SELECT " + id +
                    ", origin, max(sequence) FROM " + list + oldest +
                    " GROUP BY origin ON CONFLICT (table_id, origin) DO UPDATE SET sequence = "
                    "greatest(s.sequence, excluded.sequence)");
  connection_.query("DELETE FROM " + list + oldest);
  connection_.query("UPDATE tidemark.captured_table SET recent_entries = (SELECT count(*) FROM " +
                    list + ") WHERE id = " + id);
}

}  // namespace tidemark::postgresql
