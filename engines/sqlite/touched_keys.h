// TouchedKeys folds the change log of one table: every key that was touched, once, in key order,
// with what the log says about it. Owns its statement; the views of a key are valid until the next
// call.
#pragma once

#include <cstdint>
#include <memory>

#include "engines/sqlite/connection.h"
#include "engines/sqlite/table_sql.h"
#include "model/table.h"
#include "model/value.h"

namespace tidemark::sqlite {

struct TouchedKey {
  RowView key;
  std::int64_t entries = 0;
  std::int64_t newest = 0;       // stamps
  std::int64_t newest_sure = 0;  // of what is more than a candidate; meaningful with `sure`
  bool sure = false;             // touched, not only a candidate of REPLACE
  bool inserted = false;

  void add(std::int64_t stamp);
};

class TouchedKeys {
 public:
  virtual ~TouchedKeys() = default;
  /// False at the end.
  virtual bool next(TouchedKey& key) = 0;
};

/// Of the `entries` that stand before the rowid `end`. Entries whose key holds NULL are left out.
std::unique_ptr<TouchedKeys> fold_log(Connection& connection, const TableSpec& spec,
                                      const TableSql& sql, std::int64_t entries, std::int64_t end);

}  // namespace tidemark::sqlite
