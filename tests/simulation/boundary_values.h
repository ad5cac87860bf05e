// The values at the edges of every type, for rows of simulated worlds: columns that a world's
// tables have besides those that its laws speak of, and what applications write into them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/table.h"
#include "model/value.h"

namespace tidemark::simulation {

/// Which databases have to hold the values.
enum class Palette : std::uint8_t {
  memory,      // anything in any column
  sqlite,      // anything that SQLite stores
  postgresql,  // its own types as well
  mixed,       // what both products hold
};

struct BoundaryColumn {
  ColumnSpec column;
  std::vector<Value> values;
};

const std::vector<BoundaryColumn>& boundary_columns(Palette palette);

/// One value for every column; another choice for another number, the same on every machine.
Row boundary_row(Palette palette, std::uint64_t number);

}  // namespace tidemark::simulation
