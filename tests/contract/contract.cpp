#include "tests/contract/contract.h"

#include <algorithm>
#include <stdexcept>

namespace tidemark::testing {

TableSpec item_table() {
  TableSpec spec;
  spec.name = "item";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "name", .declared_type = "TEXT"},
                  {.name = "price", .declared_type = "REAL"}};
  spec.key = {0};
  spec.integer_key = true;
  return spec;
}

TableSpec tag_table() {
  TableSpec spec;
  spec.name = "tag";
  spec.columns = {
      {.name = "code", .declared_type = "TEXT", .collation = Collation::nocase, .not_null = true},
      {.name = "note", .declared_type = "TEXT"}};
  spec.key = {0};
  return spec;
}

TableSpec stock_table() {
  TableSpec spec;
  spec.name = "stock";
  spec.columns = {{.name = "site", .declared_type = "TEXT", .not_null = true},
                  {.name = "shelf", .declared_type = "INTEGER", .not_null = true},
                  {.name = "amount", .declared_type = "INTEGER"}};
  spec.key = {1, 0};
  spec.without_rowid = true;
  return spec;
}

TableSpec account_table() {
  TableSpec spec;
  spec.name = "account";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "email", .declared_type = "TEXT"},
                  {.name = "name", .declared_type = "TEXT", .not_null = true}};
  spec.key = {0};
  spec.integer_key = true;
  spec.uniques = {{.name = "email", .columns = {1}}};
  return spec;
}

TableSpec thing_table() {
  TableSpec spec;
  spec.name = "thing";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"}, {.name = "content"}};
  spec.key = {0};
  spec.integer_key = true;
  return spec;
}

Seen seen(const ChangedRow& row) {
  return {.key = to_row(row.key),
          .present = row.present,
          .row = row.present ? to_row(row.row) : Row(),
          .version = row.version};
}

std::vector<Seen> drain(RowStream& rows) {
  std::vector<Seen> result;
  ChangedRow row;
  while (rows.next(row)) result.push_back(seen(row));
  return result;
}

Incoming::Incoming(Row key, Row row, bool present, std::optional<Version> version, bool revert)
    : key_(std::move(key)),
      row_(std::move(row)),
      present_(present),
      version_(version),
      revert_(revert) {}

Incoming::Incoming(const TableSpec& table, Row row, std::optional<Version> version, bool revert)
    : Incoming(to_row(key_of(table, to_views(row))), row, true, version, revert) {}

Incoming Incoming::tombstone(Row key, std::optional<Version> version, bool revert) {
  return {std::move(key), {}, false, version, revert};
}

void Incoming::add_to(Stage& stage) const {
  const auto key = to_views(key_);
  const auto row = to_views(row_);
  stage.add({.key = key, .row = row, .present = present_, .version = version_, .revert = revert_});
}

void Contract::create_control_tables() {
  if (node->identity()) return;
  write([&] {
    node->create_control_tables(
        {.node_id = uuid(0x10), .incarnation = 1, .origin = uuid(kOwnOrigin)});
  });
}

ActiveTable Contract::activate(const TableSpec& spec) {
  const std::vector<TableSpec> catalog = node->catalog();
  if (std::none_of(catalog.begin(), catalog.end(),
                   [&](const TableSpec& table) { return table.name == spec.name; })) {
    database->create_table(spec);
  }
  create_control_tables();
  write([&] {
    for (const TableSpec& table : node->catalog()) {
      if (table.name == spec.name) node->install_capture(table, uuid(0xC3));
    }
  });
  return active(spec.name);
}

ActiveTable Contract::active(const std::string& table) {
  for (const ActiveTable& candidate : node->active_tables()) {
    if (candidate.spec.name == table) return candidate;
  }
  throw std::logic_error("table " + table + " is not under capture");
}

HarvestCounts Contract::harvest(const ActiveTable& table) {
  return write([&] {
    TableState state = node->load_state(table);
    const HarvestCounts counts = node->harvest(table, state);
    node->save_state(table, state);
    return counts;
  });
}

TableState Contract::state(const ActiveTable& table) {
  return read([&] { return node->load_state(table); });
}

std::vector<Seen> Contract::all(const ActiveTable& table) {
  return read([&] { return drain(*node->all_rows(table)); });
}

std::vector<Seen> Contract::since(const ActiveTable& table, const Knowledge& known) {
  return read([&] { return drain(*node->changes_since(table, known)); });
}

Seen Contract::find(const ActiveTable& table, const Row& key) {
  return read([&] {
    const LocalRow found = node->find(table, to_views(key));
    return Seen{.key = key, .present = found.present, .row = found.row, .version = found.version};
  });
}

void Contract::put(const ActiveTable& table, const Row& row,
                   const std::optional<Version>& version) {
  write([&] {
    const auto views = to_views(row);
    const auto key = key_of(table.spec, views);
    const std::optional<Refusal> refusal = node->put_row(table, key, views);
    if (refusal) throw std::logic_error("refused: " + refusal->reason);
    node->put_version(table, key, true, version);
  });
}

std::optional<Refusal> Contract::put_row(const ActiveTable& table, const Row& key, const Row& row) {
  return write([&] { return node->put_row(table, to_views(key), to_views(row)); });
}

std::unique_ptr<Stage> Contract::stage(const ActiveTable& table, const std::vector<Incoming>& rows,
                                       bool whole) {
  std::unique_ptr<Stage> result = node->make_stage(table, {.whole = whole});
  for (const Incoming& row : rows) row.add_to(*result);
  result->finish();
  return result;
}

}  // namespace tidemark::testing
