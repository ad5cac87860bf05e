#include "scheduler/agreement.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engines/transactions.h"
#include "scheduler/row_differences.h"
#include "scheduler/side_by_side.h"

namespace tidemark::scheduler {
namespace {

/// Keys that one round takes in hand.
constexpr std::size_t kBatch = 50'000;

TableDigest digest_of(Node& node, const ActiveTable& table) {
  TableDigest digest;
  in_snapshot(node, [&] { digest = node.digest(table); });
  return digest;
}

std::vector<Difference> differences_of(const AgreementRequest& request, bool& complete) {
  std::vector<capture::CapturedTable> first{{.table = request.first_table, .state = {}}};
  std::vector<capture::CapturedTable> second{{.table = request.second_table, .state = {}}};
  HarvestedSnapshot first_snapshot(request.first, first);
  HarvestedSnapshot second_snapshot(request.second, second);
  TableVerification compared = compare_rows({.first = request.first,
                                             .second = request.second,
                                             .first_table = first.front(),
                                             .second_table = second.front(),
                                             .mode = request.job.mode,
                                             .shown = kBatch,
                                             .progress = nullptr});
  first_snapshot.commit();
  second_snapshot.commit();
  complete = compared.different <= static_cast<std::int64_t>(compared.shown.size());
  return std::move(compared.shown);
}

/// Whether `row` has NULL wherever it differs from `other`.
bool lacks_only(const Row& row, const Row& other) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] != other[i] && row[i].kind() != ValueKind::null) return false;
  }
  return true;
}

/// A key that differs: who wins, and whether the other row must be kept.
struct Choice {
  Row key;
  bool first_wins = true;
  bool keep_loser = false;
  LocalRow first;
  LocalRow second;
};

Choice choose(const AgreementRequest& request, const Difference& difference) {
  const auto key = to_views(difference.key);
  Choice choice{.key = difference.key,
                .first = request.first.find(request.first_table, key),
                .second = request.second.find(request.second_table, key)};
  if (!choice.first.present || !choice.second.present) {
    choice.first_wins = choice.first.present;
    return choice;
  }
  if (request.job.mode == Mode::two_way) {
    choice.first_wins = lacks_only(choice.second.row, choice.first.row) ||
                        !lacks_only(choice.first.row, choice.second.row);
  }
  const Row& winner = choice.first_wins ? choice.first.row : choice.second.row;
  const Row& loser = choice.first_wins ? choice.second.row : choice.first.row;
  choice.keep_loser = !lacks_only(loser, winner);
  return choice;
}

std::vector<Choice> choose_all(const AgreementRequest& request,
                               const std::vector<Difference>& differences) {
  std::vector<Choice> choices;
  if (differences.empty()) return choices;
  request.first.begin_read();
  try {
    request.second.begin_read();
    for (const Difference& difference : differences) {
      choices.push_back(choose(request, difference));
    }
  } catch (...) {
    request.second.rollback();
    request.first.rollback();
    throw;
  }
  request.second.rollback();
  request.first.rollback();
  return choices;
}

Conflict conflict_of(const AgreementRequest& request, const Choice& choice, Node& loser) {
  const TableSpec& spec = request.first_table.spec;
  Conflict conflict;
  conflict.session_id = request.session_id;
  conflict.job = request.job.name;
  conflict.found_at_us = loser.clock_us();
  conflict.table = spec.name;
  for (const ColumnSpec& column : spec.columns) conflict.columns.push_back(column.name);
  conflict.key_columns = spec.key;
  conflict.key = choice.key;
  conflict.type = choice.first.version && choice.second.version ? ConflictType::update_differs
                                                                : ConflictType::baseline_differs;
  conflict.policy = Policy::first_node;
  conflict.winner = {.node = request.first.name(),
                     .version = choice.first.version,
                     .present = true,
                     .row = choice.first.row};
  conflict.loser = {.node = request.second.name(),
                    .version = choice.second.version,
                    .present = true,
                    .row = choice.second.row};
  if (!choice.first_wins) std::swap(conflict.winner, conflict.loser);
  conflict.id = conflict_id(conflict);
  return conflict;
}

/// Runs `work` for the choices that concern this node, in one write transaction.
template <typename Concerns, typename Work>
void write_some(Node& node, const std::vector<Choice>& choices, const Concerns& concerns,
                const Work& work) {
  if (std::none_of(choices.begin(), choices.end(), concerns)) return;
  in_write_transaction(node, [&] {
    for (const Choice& choice : choices) {
      if (concerns(choice)) work(choice);
    }
  });
}

/// Losers first: when the session dies in between, nothing was overwritten yet.
void keep_losers(const AgreementRequest& request, const std::vector<Choice>& choices) {
  for (const bool first_loses : {false, true}) {
    Node& loser = first_loses ? request.first : request.second;
    write_some(
        loser, choices,
        [&](const Choice& choice) { return choice.keep_loser && choice.first_wins != first_loses; },
        [&](const Choice& choice) { loser.log_conflict(conflict_of(request, choice, loser)); });
  }
}

void touch_winners(const AgreementRequest& request, const std::vector<Choice>& choices) {
  if (request.job.mode == Mode::backup) {
    // A touched key of a backup's target is set back by the next pull, which keeps what was there.
    write_some(
        request.second, choices, [](const Choice& choice) { return choice.second.present; },
        [&](const Choice& choice) {
          request.second.touch(request.second_table, to_views(choice.key));
        });
    write_some(
        request.first, choices, [](const Choice& choice) { return !choice.second.present; },
        [&](const Choice& choice) {
          request.first.touch(request.first_table, to_views(choice.key));
        });
    return;
  }
  write_some(
      request.first, choices, [](const Choice& choice) { return choice.first_wins; },
      [&](const Choice& choice) {
        request.first.touch(request.first_table, to_views(choice.key));
      });
  write_some(
      request.second, choices, [](const Choice& choice) { return !choice.first_wins; },
      [&](const Choice& choice) {
        request.second.touch(request.second_table, to_views(choice.key));
      });
}

}  // namespace

Agreement agree(const AgreementRequest& request) {
  TableDigest first;
  TableDigest second;
  run_on_both(
      request.first, request.second, [&] { first = digest_of(request.first, request.first_table); },
      [&] { second = digest_of(request.second, request.second_table); });
  Agreement result;
  if (first == second) return result;
  const std::vector<Choice> choices = choose_all(request, differences_of(request, result.complete));
  if (request.job.mode == Mode::two_way) keep_losers(request, choices);
  touch_winners(request, choices);
  result.touched = static_cast<std::int64_t>(choices.size());
  result.logged = std::count_if(choices.begin(), choices.end(),
                                [](const Choice& choice) { return choice.keep_loser; });
  return result;
}

}  // namespace tidemark::scheduler
