// What is wrong with the capture of a table, and what becomes of it, in the words of every command.
#pragma once

#include <string>

#include "engines/engine.h"

namespace tidemark::cli {

struct CaptureTrouble {
  std::string what;    // follows the name of the table and a colon
  std::string remedy;  // what the next session does, or the operator can
};

/// Of a table whose health is not `intact`.
CaptureTrouble capture_trouble(const ActiveTable& table, const std::string& node);

}  // namespace tidemark::cli
