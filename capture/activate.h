// Activation: control tables and triggers are installed on a node, checked, repaired and removed.
#pragma once

#include <string>
#include <vector>

#include "engines/engine.h"

namespace tidemark::capture {

struct ActivationRequest {
  std::vector<std::string> tables;      // names of tables to take under capture
  std::vector<TableSpec> create_first;  // tables to make when they are missing, parents first
  bool new_identity = false;            // this file is a copy: another node id, another origin
  bool new_incarnation = false;         // this file was restored: same node id, another origin
};

struct ActivationReport {
  bool first_time = false;  // control tables were made
  bool identity_changed = false;
  std::vector<std::string> created;   // user tables made
  std::vector<std::string> captured;  // tables newly under capture
  std::vector<std::string> repaired;  // triggers made anew; the table will be compared as a whole
  std::vector<std::string> reshaped;  // columns were changed, and are taken as they are now
  std::vector<std::string> released;  // tables that are gone: what was kept for them went too
  std::vector<std::string> unlisted;  // under capture already, but not asked for; left as it is
  std::vector<std::string> script;    // the SQL
};

/// Brings one node to what `request` asks for, in one transaction (see_moves() comes before it).
/// `dry_run`: the same, rolled back; the report says what would have been done. Throws Error
/// not_ready when a table cannot take part.
ActivationReport activate(Node& node, const ActivationRequest& request, bool dry_run);

/// A fresh origin whose sequences start at nothing (write transaction); what the node has seen
/// stays seen. What waits in its logs is the new origin's.
void start_origin(Node& node, const Identity& identity);

/// Takes tables under capture that an activated node has, in one transaction.
void take_in(Node& node, const std::vector<TableSpec>& tables);

/// The columns of these tables are taken as they are now, in one transaction. Their capture is
/// intact.
void note_shapes(Node& node, const std::vector<ActiveTable>& tables);

/// Removes every trace, in one transaction. Nothing if the node is not activated.
std::vector<std::string> deactivate(Node& node, bool dry_run);

/// A table whose triggers were lost: makes them anew and prepares the table for being compared as a
/// whole (write transaction). Changes made meanwhile are found as changes older than any other;
/// deletes made meanwhile come back. Saves the state.
void recover_capture(Node& node, const ActiveTable& table);

/// A table of which moves are unseen: from now on they are seen, and the table is prepared for
/// being compared as a whole; the old keys of rows that moved unseen come back. In two transactions
/// of its own.
void see_moves(Node& node, const ActiveTable& table);

}  // namespace tidemark::capture
