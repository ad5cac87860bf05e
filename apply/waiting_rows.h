// Rows in quarantine between sessions: tried again, or given up, by hand.
#pragma once

#include <string>
#include <vector>

#include "apply/pull.h"

namespace tidemark::apply {

/// Tries all rows that wait in these tables of a node again, as a session would, in one transaction
/// (rolled back with `dry_run`). What still waits is in the report. Throws Error.
PullReport retry_waiting_rows(Node& node, const std::vector<ActiveTable>& tables,
                              const std::string& session_id, bool dry_run);

/// Gives a waiting row up: it goes to the conflict log, and what the node has instead (a row or
/// none) becomes a new change, which sessions carry to the other nodes. Throws Error.
void discard_waiting_row(Node& node, const ActiveTable& table, const QuarantinedRow& row,
                         const std::string& session_id);

}  // namespace tidemark::apply
