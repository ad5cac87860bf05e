#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/time_text.h"
#include "model/table.h"

namespace tidemark::cli {
namespace {

constexpr std::size_t kKeyWidth = 32;

std::string side_text(const ConflictSide& side) {
  return side.node + (side.present ? "" : " (deleted)");
}

}  // namespace

int run_conflicts_list(Context& context) {
  const ConflictBook book = read_conflicts(context);
  const bool all = context.line().has("all");
  Json list = Json::array();
  TextTable table({{"id"},
                   {"found"},
                   {"job"},
                   {"table"},
                   {"key"},
                   {"type"},
                   {"status"},
                   {"winner"},
                   {"loser"}});
  std::int64_t closed = 0;
  for (const BookedConflict& booked : book.conflicts) {
    const Conflict& conflict = booked.conflict;
    list.push_back(conflict_json(conflict, booked.nodes));
    if (is_closed(conflict.status) && !all) {
      ++closed;
      continue;
    }
    table.add({book.short_id(conflict.id), short_time(conflict.found_at_us), conflict.job,
               conflict.table, shortened(printable(to_string(to_views(conflict.key))), kKeyWidth),
               std::string(to_string(conflict.type)), std::string(to_string(conflict.status)),
               side_text(conflict.winner), side_text(conflict.loser)});
  }
  Json failed = Json::array();
  std::vector<ExitCode> failures;
  for (std::size_t i = 0; i < book.failures.size(); ++i) {
    Json entry = {{"node", book.failed_nodes[i]}};
    entry.update(error_json(book.failures[i]));
    failed.push_back(std::move(entry));
    failures.push_back(book.failures[i].code());
    context.warn(of_node(book.failed_nodes[i], book.failures[i].what()));
  }
  context.output().document("conflicts",
                            {{"conflicts", std::move(list)}, {"failed", std::move(failed)}});
  context.output().text(table.empty() ? "no conflicts\n" : table.render());
  if (closed > 0)
    context.output().note(counted(closed, "closed conflict") + " not shown: --all shows them\n");
  if (!table.empty()) {
    context.output().note("run 'tidemark conflicts show ID' to see both rows\n");
  }
  return summed_exit_code(failures, nodes_in_jobs(context.config()).size());
}

}  // namespace tidemark::cli
