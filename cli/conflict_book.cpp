#include "cli/conflict_book.h"

#include <algorithm>
#include <map>

#include "cli/interrupt.h"
#include "cli/text.h"
#include "engines/transactions.h"

namespace tidemark::cli {
namespace {

/// Which of two statuses of one conflict says more about it.
int weight(ConflictStatus status) {
  switch (status) {
    case ConflictStatus::reinstated:
      return 3;
    case ConflictStatus::dismissed:
      return 2;
    case ConflictStatus::open:
      return 1;
    case ConflictStatus::resolved:
      break;
  }
  return 0;
}

}  // namespace

bool is_closed(ConflictStatus status) {
  return status == ConflictStatus::reinstated || status == ConflictStatus::dismissed;
}

std::vector<std::string> nodes_in_jobs(const scheduler::Config& config) {
  std::vector<std::string> names;
  for (const scheduler::NodeConfig& node : config.nodes) {
    if (!config.jobs_of(node.name).empty()) names.push_back(node.name);
  }
  return names;
}

const BookedConflict& ConflictBook::find(const std::string& prefix) const {
  std::string wanted = prefix;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const BookedConflict* found = nullptr;
  for (const BookedConflict& booked : conflicts) {
    if (wanted.empty() || !booked.conflict.id.starts_with(wanted)) continue;
    if (found != nullptr) {
      throw Error(ExitCode::usage,
                  "more than one conflict has an id that begins with \"" + prefix + "\"",
                  "give more digits: " + short_id(found->conflict.id) + " or " +
                      short_id(booked.conflict.id));
    }
    found = &booked;
  }
  if (found == nullptr) {
    const std::string missing =
        failed_nodes.empty() ? "" : "; node " + failed_nodes.front() + " could not be read";
    throw Error(ExitCode::usage,
                "no conflict has an id that begins with \"" + prefix + "\"" + missing,
                "run 'tidemark conflicts list --all' to see them");
  }
  return *found;
}

std::string ConflictBook::short_id(const std::string& id) const { return cli::short_id(ids, id); }

ConflictBook read_conflicts(Context& context) {
  ConflictBook book;
  std::map<std::string, std::size_t> places;
  for (const std::string& name : nodes_in_jobs(context.config())) {
    throw_if_interrupted();
    try {
      Node& node = context.node(name, Access::read_only);
      if (!node.identity()) continue;
      for (Conflict& conflict : node.conflicts()) {
        const auto [place, is_new] = places.emplace(conflict.id, book.conflicts.size());
        if (is_new) {
          book.conflicts.push_back({.conflict = std::move(conflict), .nodes = {name}});
          continue;
        }
        BookedConflict& known = book.conflicts[place->second];
        known.nodes.push_back(name);
        if (weight(conflict.status) > weight(known.conflict.status)) {
          known.conflict.status = conflict.status;
        }
      }
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) throw;
      book.failures.push_back(error);
      book.failed_nodes.push_back(name);
    }
  }
  for (const auto& [id, place] : places) book.ids.push_back(id);
  std::stable_sort(book.conflicts.begin(), book.conflicts.end(),
                   [](const BookedConflict& a, const BookedConflict& b) {
                     return a.conflict.found_at_us > b.conflict.found_at_us;
                   });
  return book;
}

bool mark_conflict(Context& context, const BookedConflict& booked, ConflictStatus status) {
  bool all = true;
  for (const std::string& name : booked.nodes) {
    try {
      Node& node = context.node(name, Access::read_write);
      in_write_transaction(node, [&] { node.set_conflict_status(booked.conflict.id, status); });
    } catch (const Error& error) {
      context.warn("the log of node " + name + " could not be marked: " + error.what());
      all = false;
    }
  }
  return all;
}

}  // namespace tidemark::cli
