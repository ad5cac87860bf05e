#include "capture/activate.h"

#include <algorithm>

#include "capture/harvest.h"
#include "capture/identity.h"
#include "engines/transactions.h"
#include "model/error.h"

namespace tidemark::capture {
namespace {

/// Rolls back unless it was committed, and stops recording either way.
class DefinitionTransaction {
 public:
  DefinitionTransaction(Node& node, std::vector<std::string>& script) : node_(node) {
    node_.begin_write();
    node_.record_sql(&script);
  }
  ~DefinitionTransaction() {
    node_.record_sql(nullptr);
    if (!committed_) node_.rollback();
  }
  DefinitionTransaction(const DefinitionTransaction&) = delete;
  DefinitionTransaction& operator=(const DefinitionTransaction&) = delete;

  void commit() {
    node_.commit();
    committed_ = true;
  }

 private:
  Node& node_;
  bool committed_ = false;
};

const TableSpec* find_table(const std::vector<TableSpec>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const TableSpec& table) { return table.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

const TableSpec& usable_table(const Node& node, const std::vector<TableSpec>& catalog,
                              const std::string& name) {
  const TableSpec* spec = find_table(catalog, name);
  if (spec == nullptr) {
    throw Error(ExitCode::not_ready, "node " + node.name() + " has no table " + name,
                "create it, or run 'tidemark activate --create-tables' to have it made like the "
                "other node's");
  }
  if (!spec->refusal.empty()) {
    throw Error(
        ExitCode::not_ready,
        "node " + node.name() + ": table " + name + " cannot take part: it " + spec->refusal,
        "take the table out of the job, or change it so that it can");
  }
  return *spec;
}

void harvest_pending(Node& node, const ActiveTable& table) {
  if (!node.has_pending(table)) return;
  TableState state = node.load_state(table);
  harvest(node, table, state);
  node.save_state(table, state);
}

// Now, not by the next session: the other database that holds these changes gives them versions of
// the same time, and what is changed here from now on has to be later than both.
void harvest_logs(Node& node) {
  for (const ActiveTable& table : node.active_tables()) {
    if (table.health == CaptureHealth::intact) harvest_pending(node, table);
  }
}

// In transactions of their own: see Node::watch_moves().
void see_moves_of(Node& node, const std::vector<std::string>& tables, ActivationReport& report) {
  std::vector<ActiveTable> active;
  in_snapshot(node, [&] { active = node.active_tables(); });
  for (const ActiveTable& table : active) {
    if (table.health != CaptureHealth::moves_unseen ||
        std::find(tables.begin(), tables.end(), table.spec.name) == tables.end()) {
      continue;
    }
    see_moves(node, table);
    report.repaired.push_back(table.spec.name);
  }
}

/// Has every row compared with every peer's.
void start_baseline(TableState& state) {
  state.baseline = random_uuid();
  state.baselines_seen = {state.baseline};
}

// What happened unseen is not known, so nothing that was seen before counts as seen, not even the
// node's own changes: rows that vanished are to come back, whoever wrote them. A fresh origin keeps
// the old numbers from being used twice.
void compare_anew(Node& node, const ActiveTable& table) {
  std::optional<Identity> identity = node.identity();
  identity->origin = random_uuid();
  ++identity->incarnation;
  start_origin(node, *identity);
  TableState state = node.load_state(table);
  state.knowledge = Knowledge();
  state.knowledge.raise(state.origin, 0);
  start_baseline(state);
  node.save_state(table, state);
}

// Every change was seen, and only the old key of a row that moved was not. Where no row is missed
// that has a version, only rows without one can be, which a fresh baseline brings back; no row is
// touched for it.
void find_unseen_moves(Node& node, const ActiveTable& table) {
  harvest_pending(node, table);
  if (node.misses_rows(table)) {
    node.touch_all(table);
    compare_anew(node, table);
  } else {
    TableState state = node.load_state(table);
    start_baseline(state);
    node.save_state(table, state);
  }
  node.note_moves_seen(table);
}

void bring_identity(Node& node, const ActivationRequest& request, ActivationReport& report) {
  std::optional<Identity> identity = node.identity();
  if (!identity) {
    node.create_control_tables(
        {.node_id = random_uuid(), .incarnation = 1, .origin = random_uuid()});
    report.first_time = true;
    return;
  }
  if (!request.new_identity && !request.new_incarnation) return;
  // Logs are folded under the new origin: the old numbering must not go on, for others may have
  // seen its next numbers with other rows.
  identity->origin = random_uuid();
  if (request.new_identity) {
    identity->node_id = random_uuid();
    identity->incarnation = 1;
  } else {
    ++identity->incarnation;
  }
  start_origin(node, *identity);
  harvest_logs(node);
  report.identity_changed = true;
}

}  // namespace

void start_origin(Node& node, const Identity& identity) {
  node.set_identity(identity);
  for (const ActiveTable& table : node.active_tables()) {
    TableState state = node.load_state(table);
    state.origin = identity.origin;
    state.knowledge.raise(identity.origin, 0);
    state.mirrored_sequence = TableState::kNotCompared;
    node.save_state(table, state);
  }
}

ActivationReport activate(Node& node, const ActivationRequest& request, bool dry_run) {
  ActivationReport report;
  if (!dry_run) see_moves_of(node, request.tables, report);
  DefinitionTransaction transaction(node, report.script);
  bring_identity(node, request, report);

  std::vector<TableSpec> catalog = node.catalog();
  for (const TableSpec& like : request.create_first) {
    if (find_table(catalog, like.name) != nullptr) continue;
    node.create_table(like);
    report.created.push_back(like.name);
  }
  if (!report.created.empty()) catalog = node.catalog();

  const std::vector<ActiveTable> active = node.active_tables();
  const BaselineId baseline =
      random_uuid();  // one for all, so that they join others in one direction
  for (const std::string& name : request.tables) {
    const TableSpec& spec = usable_table(node, catalog, name);
    const auto known = std::find_if(active.begin(), active.end(), [&](const ActiveTable& table) {
      return table.spec.name == name;
    });
    if (known == active.end()) {
      node.install_capture(spec, baseline);
      report.captured.push_back(name);
    } else if (known->health == CaptureHealth::moves_unseen && dry_run) {
      node.watch_moves(*known);
      find_unseen_moves(node, *known);
      report.repaired.push_back(name);
    } else if (known->health != CaptureHealth::intact) {
      recover_capture(node, *known);
      report.repaired.push_back(name);
    } else if (known->is_reshaped()) {
      node.note_shape(*known);
      report.reshaped.push_back(name);
    }
  }
  node.grant_access();
  for (const ActiveTable& table : active) {
    const bool wanted = std::find(request.tables.begin(), request.tables.end(), table.spec.name) !=
                        request.tables.end();
    if (wanted) continue;
    if (table.health == CaptureHealth::table_missing) {
      node.remove_capture(table);
      report.released.push_back(table.spec.name);
    } else {
      report.unlisted.push_back(table.spec.name);
    }
  }
  if (!dry_run) transaction.commit();
  return report;
}

void take_in(Node& node, const std::vector<TableSpec>& tables) {
  std::vector<std::string> script;
  DefinitionTransaction transaction(node, script);
  const BaselineId baseline = random_uuid();
  for (const TableSpec& table : tables) node.install_capture(table, baseline);
  transaction.commit();
}

void note_shapes(Node& node, const std::vector<ActiveTable>& tables) {
  std::vector<std::string> script;
  DefinitionTransaction transaction(node, script);
  for (const ActiveTable& table : tables) node.note_shape(table);
  transaction.commit();
}

std::vector<std::string> deactivate(Node& node, bool dry_run) {
  std::vector<std::string> script;
  if (!node.identity()) return script;
  DefinitionTransaction transaction(node, script);
  node.remove_control_tables();
  if (!dry_run) transaction.commit();
  return script;
}

void see_moves(Node& node, const ActiveTable& table) {
  in_write_transaction(node, [&] { node.watch_moves(table); });
  in_write_transaction(node, [&] { find_unseen_moves(node, table); });
}

void recover_capture(Node& node, const ActiveTable& table) {
  node.repair_capture(table);
  harvest_pending(node, table);
  node.touch_all(table);
  compare_anew(node, table);
}

}  // namespace tidemark::capture
