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

std::size_t position_of(const TableSpec& spec, const std::string& column) {
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    if (spec.columns[i].name == column) return i;
  }
  throw Error(ExitCode::failed, "table " + spec.name + " has no column " + column,
              "correct the foreign key");
}

bool has_null(const std::vector<ValueView>& values) {
  return std::any_of(values.begin(), values.end(),
                     [](const ValueView& value) { return value.kind == ValueKind::null; });
}

/// Equal as the columns of `spec` compare.
bool same_values(const TableSpec& spec, const std::vector<std::string>& columns, RowView a,
                 RowView b) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    TableSpec one;
    one.columns.push_back(spec.columns[position_of(spec, columns[i])]);
    one.key.push_back(0);
    if (KeyOrder(one).compare(RowView(&a[i], 1), RowView(&b[i], 1)) != 0) return false;
  }
  return true;
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
  for (const Check& check : table.checks) {
    const ValueView& value = row[check.column];
    if (value.kind == ValueKind::integer && value.integer > check.limit) {
      return Refusal{Refusal::Kind::check, "CHECK constraint failed: " + table.spec.name};
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

std::vector<ValueView> values_of(const TableSpec& spec, const std::vector<std::string>& columns,
                                 RowView row) {
  std::vector<ValueView> values;
  for (const std::string& name : columns) values.push_back(row[position_of(spec, name)]);
  return values;
}

const StoredRow* find_by(const Table& table, const std::vector<std::string>& columns,
                         RowView values) {
  std::vector<std::string> key_names;
  for (const std::size_t position : table.spec.key) {
    key_names.push_back(table.spec.columns[position].name);
  }
  if (columns == key_names) {
    const auto found = table.entries.find(values);
    return found == table.entries.end() || !found->second.present ? nullptr : &found->first;
  }
  for (const auto& [key, entry] : table.entries) {
    if (!entry.present) continue;
    if (same_values(table.spec, columns, values_of(table.spec, columns, entry.row.view()),
                    values)) {
      return &key;
    }
  }
  return nullptr;
}

bool has_parent(const Content& content, const Table& table, const ForeignKeySpec& foreign_key,
                RowView row, bool itself) {
  const std::vector<ValueView> values = values_of(table.spec, foreign_key.columns, row);
  if (has_null(values)) return true;
  if (itself && foreign_key.parent_table == table.spec.name &&
      same_values(table.spec, foreign_key.parent_columns,
                  values_of(table.spec, foreign_key.parent_columns, row), values)) {
    return true;
  }
  const auto parent = content.tables.find(foreign_key.parent_table);
  return parent != content.tables.end() && parent->second.exists &&
         find_by(parent->second, foreign_key.parent_columns, values) != nullptr;
}

std::vector<StoredReferrer> referrers_of(const Content& content, const Table& table, RowView row,
                                         RowView instead) {
  std::vector<StoredReferrer> referrers;
  const std::vector<ValueView> own_key = key_of(table.spec, row);
  for (const auto& [name, child] : content.tables) {
    if (!child.exists) continue;
    for (const ForeignKeySpec& foreign_key : child.spec.foreign_keys) {
      if (foreign_key.parent_table != table.spec.name) continue;
      const std::vector<ValueView> wanted = values_of(table.spec, foreign_key.parent_columns, row);
      if (has_null(wanted)) continue;
      if (!instead.empty() &&
          same_values(table.spec, foreign_key.parent_columns,
                      values_of(table.spec, foreign_key.parent_columns, instead), wanted)) {
        continue;
      }
      for (const auto& [key, entry] : child.entries) {
        if (!entry.present) continue;
        // A row that refers to itself keeps nobody.
        if (&child == &table && table.entries.key_comp().order.compare(key.view(), own_key) == 0) {
          continue;
        }
        const std::vector<ValueView> values =
            values_of(child.spec, foreign_key.columns, entry.row.view());
        if (has_null(values) ||
            !same_values(table.spec, foreign_key.parent_columns, wanted, values)) {
          continue;
        }
        referrers.push_back({.table = &child, .foreign_key = &foreign_key, .key = key});
      }
    }
  }
  return referrers;
}

/// An application's statement as a whole, or an Error and nothing of it.
template <typename Work>
bool MemoryDatabase::whole_or_not(const Work& work) {
  const bool has_references =
      std::any_of(content_.tables.begin(), content_.tables.end(),
                  [](const auto& item) { return !item.second.spec.foreign_keys.empty(); });
  if (!has_references) return work();
  const std::map<std::string, Table> before = content_.tables;
  const std::int64_t revision = revision_;
  try {
    const bool result = work();
    require_parents();
    return result;
  } catch (...) {
    content_.tables = before;
    revision_ = revision;
    throw;
  }
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

void MemoryDatabase::add_check(const std::string& name, const std::string& column,
                               std::int64_t limit) {
  require_no_writer();
  Table& table = table_of(name);
  table.checks.push_back({.column = position_of(table.spec, column), .limit = limit});
}

void MemoryDatabase::drop_checks() {
  require_no_writer();
  for (auto& [name, table] : content_.tables) table.checks.clear();
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
  whole_or_not([&] {
    write_row(table, stored.view());
    return true;
  });
}

void MemoryDatabase::replace(const std::string& name, const Row& row) {
  require_no_writer();
  Table& table = table_of(name);
  const StoredRow stored(to_views(row));
  whole_or_not([&] {
    for (const Row& rival : rivals_of(table, stored.view())) erase_row(table, to_views(rival));
    if (const auto refusal = refusal_of(table, stored.view())) {
      throw Error(ExitCode::failed, refusal->reason, "choose other values");
    }
    write_row(table, stored.view());
    return true;
  });
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
  return whole_or_not([&] {
    const StoredRow before = found->second.row;
    write_row(table, stored.view());
    act_on_referrers(name, before.view(), stored.view());
    return true;
  });
}

bool MemoryDatabase::remove(const std::string& name, const Row& key) {
  require_no_writer();
  return whole_or_not([&] { return erase_row(table_of(name), to_views(key)); });
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
  const StoredRow before = found->second.row;
  if (found->second.version) {
    found->second.present = false;
    found->second.row = StoredRow();
  } else {
    table.entries.erase(found);
  }
  act_on_referrers(table.spec.name, before.view(), {});
  return true;
}

void MemoryDatabase::require_parents() const {
  for (const auto& [name, table] : content_.tables) {
    if (!table.exists) continue;
    for (const ForeignKeySpec& foreign_key : table.spec.foreign_keys) {
      for (const auto& [key, entry] : table.entries) {
        if (!entry.present || has_parent(content_, table, foreign_key, entry.row.view(), true)) {
          continue;
        }
        throw Error(ExitCode::failed, "FOREIGN KEY constraint failed: " + name, "write the parent");
      }
    }
  }
}

void MemoryDatabase::act_on_referrers(const std::string& name, RowView row, RowView instead) {
  for (const StoredReferrer& referrer : referrers_of(content_, table_of(name), row, instead)) {
    Table& child = table_of(referrer.table->spec.name);
    const auto found = child.entries.find(referrer.key);
    if (found == child.entries.end() || !found->second.present) continue;
    switch (referrer.foreign_key->on_delete) {
      case ReferenceAction::none:
        break;  // whoever is left without a parent at the end of the statement fails it
      case ReferenceAction::restrict:
        throw Error(ExitCode::failed, "FOREIGN KEY constraint failed: " + child.spec.name,
                    "delete what refers to the row first");
      case ReferenceAction::cascade:
        if (instead.empty()) erase_row(child, referrer.key.view());
        break;
      case ReferenceAction::set_null:
      case ReferenceAction::set_default: {
        if (!instead.empty()) break;
        Row changed = found->second.row.values();
        for (const std::string& column : referrer.foreign_key->columns) {
          changed[position_of(child.spec, column)] = Value::null();
        }
        const StoredRow stored(to_views(changed));
        if (const auto refusal = refusal_of(child, stored.view())) {
          throw Error(ExitCode::failed, refusal->reason, "choose other values");
        }
        write_row(child, stored.view());
        break;
      }
    }
  }
}

}  // namespace tidemark::memory
