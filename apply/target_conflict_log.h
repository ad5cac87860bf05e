// The conflict log of a target while one pull or one retry writes into it.
#pragma once

#include <string>
#include <utility>

#include "apply/pull.h"
#include "apply/table_applier.h"

namespace tidemark::apply {

/// Completes conflicts, keeps them on the target and tells of them in the report. All that it is
/// given must outlive it.
class TargetConflictLog final : public ConflictLog {
 public:
  TargetConflictLog(Node& target, const std::string& session_id, const std::string& job,
                    PullReport& report)
      : target_(target),
        session_id_(session_id),
        job_(job),
        report_(report),
        found_at_us_(target.clock_us()) {}

  void keep(Conflict conflict, PullCounts& counts) override {
    conflict.session_id = session_id_;
    conflict.job = job_;
    conflict.found_at_us = found_at_us_;
    conflict.id = conflict_id(conflict);
    if (!target_.log_conflict(conflict)) return;
    ++counts.conflicts;
    if (report_.conflicts.size() < PullReport::kKeptConflicts) {
      report_.conflicts.push_back(std::move(conflict));
    }
  }

  void tell_waiting(const std::string& table, const QuarantinedRow& row) override {
    if (report_.waiting.size() < PullReport::kKeptWaiting) report_.waiting.push_back({table, row});
  }

 private:
  Node& target_;
  const std::string& session_id_;
  const std::string& job_;
  PullReport& report_;
  const std::int64_t found_at_us_;
};

}  // namespace tidemark::apply
