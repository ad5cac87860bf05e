#include "engines/sqlite/reference_list.h"

#include <algorithm>
#include <map>
#include <set>

#include "engines/sqlite/catalog.h"
#include "engines/sqlite/identifiers.h"

namespace tidemark::sqlite {
namespace {

std::set<std::string> names_of(const TableSpec& spec, const std::vector<std::size_t>& positions) {
  std::set<std::string> names;
  for (const std::size_t position : positions) names.insert(spec.columns[position].name);
  return names;
}

/// SQLite takes nothing else as the other end of a foreign key.
bool is_unique(const CatalogTable& parent, const std::set<std::string>& columns) {
  if (names_of(parent.spec, parent.spec.key) == columns) return true;
  for (std::size_t i = 0; i < parent.spec.uniques.size(); ++i) {
    if (parent.uniques[i].plain() &&
        names_of(parent.spec, parent.spec.uniques[i].columns) == columns) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string Reference::matches(const std::string& a, const std::string& b) const {
  std::string text;
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    // The parent's column stands on the left: its collation is the one that counts.
    text += (i > 0 ? " AND " : "") + a + quoted_name(key.parent_columns[i]) + " = " + b +
            quoted_name(key.columns[i]);
  }
  return text;
}

std::string Reference::refers(const std::string& prefix) const {
  std::string text;
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    text += (i > 0 ? " AND " : "") + prefix + quoted_name(key.columns[i]) + " IS NOT NULL";
  }
  return text;
}

const std::vector<std::unique_ptr<Reference>>& ReferenceList::all() {
  Statement version(connection_, "PRAGMA schema_version");
  version.step();
  if (schema_version_ == version.integer(0)) return references_;
  schema_version_ = version.integer(0);
  references_.clear();
  std::set<std::string> children;
  {
    Statement list(connection_,
                   "SELECT DISTINCT m.name FROM sqlite_schema AS m JOIN "
                   "pragma_foreign_key_list(m.name) WHERE m.type = 'table'");
    while (list.step()) children.insert(list.text(0));
  }
  std::map<std::string, std::optional<CatalogTable>> parents;
  for (const std::string& name : children) {
    const auto child = read_table(connection_, name);
    if (!child) continue;
    for (const ForeignKeySpec& key : child->spec.foreign_keys) {
      auto [parent, is_new] = parents.try_emplace(key.parent_table);
      if (is_new) parent->second = read_table(connection_, key.parent_table);
      const std::set<std::string> columns(key.parent_columns.begin(), key.parent_columns.end());
      if (!parent->second || !is_unique(*parent->second, columns)) continue;
      auto reference = std::make_unique<Reference>();
      reference->child = child->spec;
      reference->key = key;
      reference->parent = parent->second->spec;
      reference->to_key = names_of(reference->parent, reference->parent.key) == columns;
      references_.push_back(std::move(reference));
    }
  }
  return references_;
}

std::vector<Reference*> ReferenceList::to(const std::string& table) {
  std::vector<Reference*> found;
  for (const auto& reference : all()) {
    if (reference->key.parent_table == table) found.push_back(reference.get());
  }
  return found;
}

Reference* ReferenceList::of(const std::string& table, const ForeignKeySpec& key) {
  for (const auto& reference : all()) {
    if (reference->child.name == table && reference->key == key) return reference.get();
  }
  return nullptr;
}

}  // namespace tidemark::sqlite
