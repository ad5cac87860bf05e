#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/json.h"

namespace tidemark::cli {

int run_conflicts_dismiss(Context& context) {
  const bool dry_run = context.line().has("dry-run");
  const ConflictBook book = read_conflicts(context);
  std::vector<const BookedConflict*> chosen;
  for (const std::string& word : context.line().words) {
    const BookedConflict& booked = book.find(word);
    if (is_closed(booked.conflict.status)) {
      throw Error(ExitCode::failed,
                  "conflict " + book.short_id(booked.conflict.id) +
                      " is closed: " + std::string(to_string(booked.conflict.status)),
                  "nothing was changed; run 'tidemark conflicts list' to see what is not closed");
    }
    chosen.push_back(&booked);
  }
  bool all = true;
  Json list = Json::array();
  for (const BookedConflict* booked : chosen) {
    const std::string id = book.short_id(booked->conflict.id);
    if (!dry_run) all &= mark_conflict(context, *booked, ConflictStatus::dismissed);
    list.push_back({{"id", booked->conflict.id}, {"nodes", booked->nodes}});
    context.output().note("conflict " + id + (dry_run ? " would be" : " is") +
                          " dismissed, the row stays as it is\n");
  }
  context.output().document("dismiss", {{"dry_run", dry_run}, {"dismissed", std::move(list)}});
  return static_cast<int>(all ? ExitCode::done : ExitCode::partly);
}

}  // namespace tidemark::cli
