#include "engines/sqlite/recent_list.h"

#include <algorithm>

#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

void raise(std::map<std::int64_t, std::int64_t>& marks, std::int64_t origin,
           std::int64_t sequence) {
  const auto [position, is_new] = marks.try_emplace(origin, sequence);
  if (!is_new) position->second = std::max(position->second, sequence);
}

}  // namespace

void RecentList::add(RowView key, std::int64_t origin, std::int64_t sequence) {
  if (overflowed_) {
    raise(dropped_, origin, sequence);
    return;
  }
  if (entries_.size() < kLimit) {
    entries_.push_back({to_row(key), origin, sequence});
    return;
  }
  overflowed_ = true;
  for (const Entry& entry : entries_) raise(dropped_, entry.origin, entry.sequence);
  entries_ = {};
  raise(dropped_, origin, sequence);
}

void RecentList::skip(std::int64_t origin, std::int64_t sequence) {
  overflowed_ = true;
  for (const Entry& entry : entries_) raise(dropped_, entry.origin, entry.sequence);
  entries_ = {};
  raise(dropped_, origin, sequence);
}

void RecentList::forget() {
  entries_.clear();
  dropped_.clear();
  overflowed_ = false;
}

void RecentList::flush() {
  if (overflowed_) {
    drop_oldest(count_entries());
    for (const auto& [origin, sequence] : dropped_) raise_mark(origin, sequence);
  } else if (!entries_.empty()) {
    const auto added = static_cast<std::int64_t>(entries_.size());
    const std::int64_t stored = count_entries();
    const auto limit = static_cast<std::int64_t>(kLimit);
    // Half of the list goes at once, so that this is rare.
    if (stored + added > limit) drop_oldest(std::max(stored / 2, stored + added - limit));
    Statement insert(connection_, "INSERT INTO " + recent_table(table_id_) + " VALUES (NULL, " +
                                      TableSql::parameters(1, key_size_ + 2) + ")");
    for (const Entry& entry : entries_) {
      int position = 1;
      for (const Value& value : entry.key) insert.bind(position++, value.view());
      insert.bind(position, entry.origin).bind(position + 1, entry.sequence).run();
    }
  }
  forget();
}

bool RecentList::is_complete_for(const KnownSequences& known) {
  Statement marks(connection_,
                  "SELECT origin, sequence FROM tidemark_recent_since WHERE table_id = ?1");
  marks.bind(1, table_id_);
  while (marks.step()) {
    if (!known.covers(marks.integer(0), marks.integer(1))) return false;
  }
  return true;
}

void RecentList::raise_mark(std::int64_t origin, std::int64_t sequence) {
  Statement raise(connection_,
                  "INSERT INTO tidemark_recent_since VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET "
                  "sequence = max(sequence, excluded.sequence)");
  raise.bind(1, table_id_).bind(2, origin).bind(3, sequence).run();
}

// Positions are given in order and only the oldest are dropped, so they have no gaps.
std::int64_t RecentList::count_entries() {
  const std::string table = recent_table(table_id_);
  Statement count(connection_, "SELECT coalesce((SELECT max(position) FROM " + table +
                                   ") - (SELECT min(position) FROM " + table + ") + 1, 0)");
  count.step();
  return count.integer(0);
}

void RecentList::drop_oldest(std::int64_t entries) {
  if (entries <= 0) return;
  std::map<std::int64_t, std::int64_t> marks;
  {
    Statement oldest(connection_,
                     "SELECT origin, max(sequence) FROM (SELECT origin, sequence FROM " +
                         recent_table(table_id_) + " ORDER BY position LIMIT ?1) GROUP BY origin");
    oldest.bind(1, entries);
    while (oldest.step()) marks[oldest.integer(0)] = oldest.integer(1);
  }
  for (const auto& [origin, sequence] : marks) raise_mark(origin, sequence);
  Statement remove(connection_, "DELETE FROM " + recent_table(table_id_) +
                                    " WHERE position < (SELECT min(position) FROM " +
                                    recent_table(table_id_) + ") + ?1");
  remove.bind(1, entries).run();
}

}  // namespace tidemark::sqlite
