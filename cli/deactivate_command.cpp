#include <algorithm>

#include "capture/activate.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/text.h"

namespace tidemark::cli {
namespace {

/// What is lost with the control tables, for people who did not think of it.
std::string farewell(Node& node) {
  std::int64_t pending = 0;
  for (const ActiveTable& table : node.active_tables()) {
    // Where capture is damaged the log itself may be gone, and it would not tell the truth anyway.
    if (table.health == CaptureHealth::intact) pending += node.pending(table).first;
  }
  const std::int64_t open = node.count_conflicts(ConflictStatus::open);
  const std::int64_t kept = node.count_conflicts(ConflictStatus::resolved) + open;
  std::string text;
  if (pending > 0) text += counted(pending, "change") + " that no session has carried yet";
  if (kept > 0)
    text += (text.empty() ? "" : " and ") + counted(kept, "conflict") + " with the losing rows";
  return text;
}

}  // namespace

int run_deactivate(Context& context) {
  const bool dry_run = context.line().has("dry-run");
  std::vector<std::string> names;
  for (const std::string& name : context.line().words) {
    context.config().node(name);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  Json nodes = Json::array();
  for (const std::string& name : names) {
    Node& node = context.node(name, Access::owner);
    const bool was_active = node.identity().has_value();
    const std::string lost = was_active ? farewell(node) : "";
    const std::vector<std::string> script = capture::deactivate(node, dry_run);
    nodes.push_back({{"node", name}, {"was_active", was_active}, {"script", script}});
    if (!was_active) {
      context.output().note(name + ": not activated, nothing to remove\n");
      continue;
    }
    if (!lost.empty()) {
      context.warn(name + ": gone with the control tables " + (dry_run ? "would be " : "are ") +
                   lost);
    }
    if (dry_run) {
      std::string text = "-- " + name + "\n";
      for (const std::string& statement : script) text += statement + ";\n";
      context.output().text(text);
    } else {
      context.output().note(name + ": every trace of Tidemark is removed\n");
    }
  }
  context.output().document("deactivate", {{"dry_run", dry_run}, {"nodes", std::move(nodes)}});
  return 0;
}

}  // namespace tidemark::cli
