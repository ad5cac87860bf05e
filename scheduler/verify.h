// Verify proves that two nodes hold the same rows by reading the rows themselves: a digest of every
// table on both sides at once, and where digests differ a merge of both that names the keys. A key
// whose newest change has not reached the other side yet is pending, not different. Repair mends
// differences through an ordinary session, so that every other node follows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "scheduler/config.h"
#include "scheduler/row_differences.h"
#include "scheduler/session.h"

namespace tidemark::scheduler {

struct VerifyReport {
  std::string job;
  std::string first;
  std::string second;
  Mode mode = Mode::two_way;
  std::vector<TableVerification> tables;  // all that were compared
  std::vector<std::string> problems;      // tables that could not be compared, with the reason
  std::vector<std::string> warnings;
  std::int64_t started_at_us = 0;
  std::int64_t finished_at_us = 0;

  std::int64_t rows() const;  // of the first node
  std::int64_t different() const;
  std::int64_t pending() const;
};

struct VerifyOptions {
  std::size_t shown = 20;
  apply::Progress progress;
};

/// Writes nothing, except that a table that differs and has entries in a change log is harvested.
/// Throws Error not_ready when the nodes are not activated, or what the nodes throw.
VerifyReport verify(const JobConfig& job, Node& first, Node& second, const VerifyOptions& options);

struct RepairReport {
  VerifyReport before;  // after pending changes were carried, before anything was mended
  VerifyReport after;
  std::int64_t repaired = 0;            // keys
  std::vector<SessionReport> sessions;  // empty when there was nothing to do
};

/// Runs a session to carry what is pending, then mends what differs: the job's first node wins, a
/// row that one side lacks comes back, and in backup mode the source wins throughout. The
/// overwritten row goes to the conflict log before anything is overwritten. Errors are those of
/// run_session().
RepairReport repair(const JobConfig& job, Node& first, Node& second,
                    std::chrono::days tombstone_retention, const VerifyOptions& options,
                    const SessionOptions& session_options);

}  // namespace tidemark::scheduler
