#include "model/name_map.h"

#include <algorithm>

namespace tidemark {
namespace {

/// `spec` with every name passed through these; a column comes with the agreed name of its table.
template <typename Table, typename Column>
TableSpec renamed(TableSpec spec, const std::string& agreed_name, const Table& table,
                  const Column& column, bool to_agreed) {
  const std::string before = spec.name;
  spec.name = table(spec.name);
  bool changed = spec.name != before;
  const auto rename = [&](const std::string& of, std::string& name) {
    std::string result = column(of, name);
    changed |= result != name;
    name = std::move(result);
  };
  for (ColumnSpec& candidate : spec.columns) rename(agreed_name, candidate.name);
  for (std::string& name : spec.generated) rename(agreed_name, name);
  for (ForeignKeySpec& foreign_key : spec.foreign_keys) {
    const std::string parent = table(foreign_key.parent_table);
    const std::string& agreed_parent = to_agreed ? parent : foreign_key.parent_table;
    for (std::string& name : foreign_key.columns) rename(agreed_name, name);
    for (std::string& name : foreign_key.parent_columns) rename(agreed_parent, name);
    changed |= parent != foreign_key.parent_table;
    foreign_key.parent_table = parent;
  }
  // Statements that make the table say the other names.
  if (changed) spec.definition.clear();
  return spec;
}

}  // namespace

bool NameMap::add_table(const std::string& agreed, const std::string& own) {
  const bool taken = std::any_of(tables_.begin(), tables_.end(),
                                 [&](const auto& entry) { return entry.second == own; });
  tables_[agreed] = own;
  return !taken;
}

bool NameMap::add_column(const std::string& agreed_table, const std::string& agreed,
                         const std::string& own) {
  const bool taken = std::any_of(columns_.begin(), columns_.end(), [&](const auto& entry) {
    return entry.first.first == agreed_table && entry.second == own;
  });
  columns_[{agreed_table, agreed}] = own;
  return !taken;
}

std::string NameMap::agreed_table(const std::string& own) const {
  for (const auto& [agreed, name] : tables_) {
    if (name == own) return agreed;
  }
  return own;
}

std::string NameMap::own_table(const std::string& agreed) const {
  const auto found = tables_.find(agreed);
  return found == tables_.end() ? agreed : found->second;
}

std::string NameMap::agreed_column(const std::string& table, const std::string& own) const {
  for (const auto& [agreed, name] : columns_) {
    if (agreed.first == table && name == own) return agreed.second;
  }
  return own;
}

std::string NameMap::own_column(const std::string& table, const std::string& agreed) const {
  const auto found = columns_.find({table, agreed});
  return found == columns_.end() ? agreed : found->second;
}

TableSpec NameMap::agreed(const TableSpec& spec) const {
  return renamed(
      spec, agreed_table(spec.name), [this](const std::string& own) { return agreed_table(own); },
      [this](const std::string& table, const std::string& own) {
        return agreed_column(table, own);
      },
      true);
}

TableSpec NameMap::own(const TableSpec& spec) const {
  return renamed(
      spec, spec.name, [this](const std::string& agreed) { return own_table(agreed); },
      [this](const std::string& table, const std::string& agreed) {
        return own_column(table, agreed);
      },
      false);
}

}  // namespace tidemark
