// The rows that wait in quarantine on several nodes.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "model/change.h"

namespace tidemark::cli {

struct BookedRow {
  std::string id;  // 32 hexadecimal digits: a hash of node, table, key and version
  std::string node;
  ActiveTable table;
  QuarantinedRow row;
  LocalRow held;  // what the node has under this key meanwhile
};

struct QuarantineBook {
  std::vector<BookedRow> rows;   // by node, table and key
  std::vector<std::string> ids;  // sorted
  std::vector<Error> failures;   // of nodes that could not be read
  std::vector<std::string> failed_nodes;

  /// The row whose id begins with `prefix`. Throws Error usage when there is none or more than one.
  const BookedRow& find(const std::string& prefix) const;
  std::string short_id(const std::string& id) const;
};

/// Reads the quarantine of every node that a job names. A node that fails does not keep the others
/// from being read.
QuarantineBook read_quarantine(Context& context);

}  // namespace tidemark::cli
