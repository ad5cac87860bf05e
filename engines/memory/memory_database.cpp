#include "engines/memory/memory_database.h"

#include <algorithm>
#include <stdexcept>

#include "model/error.h"

namespace tidemark::memory {
namespace {

/// Equal under the column's collation, as a unique index compares. NULL equals nothing.
bool holds_same(const TableSpec& spec, const UniqueSpec& unique, RowView a, RowView b) {
  return std::all_of(unique.columns.begin(), unique.columns.end(), [&](std::size_t column) {
    if (a[column].kind == ValueKind::null || b[column].kind == ValueKind::null) return false;
    TableSpec one;
    one.columns.push_back(spec.columns[column]);
    one.key.push_back(0);
    return KeyOrder(one).compare(RowView(&a[column], 1), RowView(&b[column], 1)) == 0;
  });
}

template <typename Visit>
void each_rival(const Table& table, RowView row, const Visit& visit) {
  if (table.spec.uniques.empty()) return;
  const std::vector<ValueView> key = key_of(table.spec, row);
  const KeyOrder& order = table.entries.key_comp().order;
  for (const auto& [other_key, entry] : table.entries) {
    if (!entry.present || order.compare(other_key.view(), key) == 0) continue;
    for (const UniqueSpec& unique : table.spec.uniques) {
      if (!holds_same(table.spec, unique, entry.row.view(), row)) continue;
      visit(other_key, unique);
      break;
    }
  }
}

}  // namespace

Entry& entry_of(Table& table, RowView key) {
  const auto found = table.entries.find(key);
  if (found == table.entries.end()) return table.entries[StoredRow(key)];
  if (identical(found->first.view(), key)) return found->second;
  auto node = table.entries.extract(found);
  node.key() = StoredRow(key);
  return table.entries.insert(std::move(node)).position->second;
}

std::optional<Refusal> refusal_of(const Table& table, RowView row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const ColumnSpec& column = table.spec.columns[i];
    if (column.not_null && row[i].kind == ValueKind::null) {
      return Refusal{Refusal::Kind::not_null,
                     "NOT NULL constraint failed: " + table.spec.name + "." + column.name};
    }
  }
  std::optional<Refusal> refusal;
  each_rival(table, row, [&](const StoredRow&, const UniqueSpec& unique) {
    if (refusal) return;
    refusal = Refusal{Refusal::Kind::unique,
                      "UNIQUE constraint failed: " + table.spec.name + "." + unique.name};
  });
  return refusal;
}

std::vector<Row> rivals_of(const Table& table, RowView row) {
  std::vector<Row> keys;
  each_rival(table, row,
             [&](const StoredRow& key, const UniqueSpec&) { keys.push_back(key.values()); });
  return keys;
}

MemoryDatabase::MemoryDatabase(const MemoryDatabase& other)
    : content_(other.content_), clock_us_(other.clock_us_) {
  if (other.writing_ || other.readers_ > 0) {
    throw std::logic_error("a memory database was copied inside a transaction");
  }
}

MemoryDatabase& MemoryDatabase::operator=(const MemoryDatabase& other) {
  if (this == &other) return *this;
  if (writing_ || readers_ > 0 || other.writing_ || other.readers_ > 0) {
    throw std::logic_error("a memory database was copied inside a transaction");
  }
  content_ = other.content_;
  clock_us_ = other.clock_us_;
  ++revision_;
  return *this;
}

void MemoryDatabase::create_table(const TableSpec& spec) {
  require_no_writer();
  const auto found = content_.tables.find(spec.name);
  if (found == content_.tables.end()) {
    content_.tables.emplace(spec.name, Table(spec));
  } else if (!found->second.exists) {
    found->second.spec = spec;
    found->second.exists = true;
  } else {
    throw Error(ExitCode::failed, "table " + spec.name + " exists already", "drop it first");
  }
  ++revision_;
}

void MemoryDatabase::drop_table(const std::string& name) {
  require_no_writer();
  Table& table = table_of(name);
  ++revision_;
  if (!table.capture) {
    content_.tables.erase(name);
    return;
  }
  table.exists = false;
  table.capture->triggers_intact = false;
  for (auto it = table.entries.begin(); it != table.entries.end();) {
    it->second.present = false;
    it->second.row = StoredRow();
    it = it->second.version ? std::next(it) : table.entries.erase(it);
  }
}

void MemoryDatabase::insert(const std::string& name, const Row& row) {
  require_no_writer();
  Table& table = table_of(name);
  const StoredRow stored(to_views(row));
  const auto found = table.entries.find(RowView(key_of(table.spec, stored.view())));
  std::optional<Refusal> refusal = refusal_of(table, stored.view());
  if (!refusal && found != table.entries.end() && found->second.present) {
    refusal = Refusal{Refusal::Kind::unique, "UNIQUE constraint failed: key of " + name};
  }
  if (refusal) throw Error(ExitCode::failed, refusal->reason, "choose other values");
  write_row(table, stored.view());
}

void MemoryDatabase::replace(const std::string& name, const Row& row) {
  require_no_writer();
  Table& table = table_of(name);
  const StoredRow stored(to_views(row));
  for (const Row& rival : rivals_of(table, stored.view())) erase_row(table, to_views(rival));
  if (const auto refusal = refusal_of(table, stored.view())) {
    throw Error(ExitCode::failed, refusal->reason, "choose other values");
  }
  write_row(table, stored.view());
}

bool MemoryDatabase::update(const std::string& name, const Row& row) {
  require_no_writer();
  Table& table = table_of(name);
  const StoredRow stored(to_views(row));
  const auto found = table.entries.find(RowView(key_of(table.spec, stored.view())));
  if (found == table.entries.end() || !found->second.present) return false;
  if (const auto refusal = refusal_of(table, stored.view())) {
    throw Error(ExitCode::failed, refusal->reason, "choose other values");
  }
  write_row(table, stored.view());
  return true;
}

bool MemoryDatabase::remove(const std::string& name, const Row& key) {
  require_no_writer();
  return erase_row(table_of(name), to_views(key));
}

std::optional<Row> MemoryDatabase::find(const std::string& name, const Row& key) const {
  const Table& table = table_of(name);
  const auto found = table.entries.find(RowView(to_views(key)));
  if (found == table.entries.end() || !found->second.present) return std::nullopt;
  return found->second.row.values();
}

std::vector<Row> MemoryDatabase::rows(const std::string& name) const {
  std::vector<Row> rows;
  for (const auto& [key, entry] : table_of(name).entries) {
    if (entry.present) rows.push_back(entry.row.values());
  }
  return rows;
}

void MemoryDatabase::drop_triggers(const std::string& name) {
  require_no_writer();
  Table& table = table_of(name);
  if (!table.capture) throw std::logic_error("table " + name + " is not under capture");
  table.capture->triggers_intact = false;
  ++revision_;
}

Table& MemoryDatabase::table_of(const std::string& name) {
  const auto found = content_.tables.find(name);
  if (found == content_.tables.end() || !found->second.exists) {
    throw Error(ExitCode::failed, "no such table: " + name, "create it first");
  }
  return found->second;
}

const Table& MemoryDatabase::table_of(const std::string& name) const {
  return const_cast<MemoryDatabase*>(this)->table_of(name);
}

void MemoryDatabase::require_no_writer() const {
  if (!writing_ && readers_ == 0) return;
  throw Error(ExitCode::locked, "the memory database is in use by a transaction",
              "try again when it has ended", true);
}

void MemoryDatabase::log_touch(Table& table, RowView key, Touch touch) {
  if (!table.capture || !table.capture->triggers_intact) return;
  table.capture->log.push_back({.key = StoredRow(key), .changed_at_us = clock_us_, .touch = touch});
}

void MemoryDatabase::write_row(Table& table, RowView row) {
  const std::vector<ValueView> key = key_of(table.spec, row);
  for (const ValueView& value : key) {
    if (value.kind != ValueKind::null) continue;
    throw Error(ExitCode::failed, "NULL in the key of " + table.spec.name, "choose a key");
  }
  Entry& entry = entry_of(table, key);
  log_touch(table, key, entry.present ? Touch::update : Touch::insert);
  entry.present = true;
  entry.row = StoredRow(row);
  ++revision_;
}

bool MemoryDatabase::erase_row(Table& table, RowView key) {
  const auto found = table.entries.find(key);
  if (found == table.entries.end() || !found->second.present) return false;
  log_touch(table, found->first.view(), Touch::remove);
  ++revision_;
  if (found->second.version) {
    found->second.present = false;
    found->second.row = StoredRow();
  } else {
    table.entries.erase(found);
  }
  return true;
}

}  // namespace tidemark::memory
