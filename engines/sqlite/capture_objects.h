// The control tables and triggers that belong to one table under capture, as the statements that
// make them. The same texts install capture and tell later whether it is still whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engines/sqlite/catalog.h"

namespace tidemark::sqlite {

struct SchemaObject {
  std::string type;  // "table" or "trigger"
  std::string name;
  std::string sql;  // as sqlite_schema keeps it
};

/// Log, row versions, recent list.
std::vector<SchemaObject> capture_tables(const CatalogTable& table, std::int64_t id);
/// Triggers; the table must have a key.
std::vector<SchemaObject> capture_triggers(const CatalogTable& table, std::int64_t id);

/// Every name that capture of a table with this number may use, whether it does or not.
std::vector<std::string> capture_table_names(std::int64_t id);
std::vector<std::string> capture_trigger_names(std::int64_t id);

/// Control tables that exist once in a database.
const std::vector<std::string>& node_table_names();

}  // namespace tidemark::sqlite
