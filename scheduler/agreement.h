// Agreement: after columns were changed on both nodes, rows may differ without any change that a
// trigger saw: ALTER TABLE fills and converts them as it likes, on each node as its statement said.
// The rows of both are read once, and where they differ one side is chosen and touched, so that
// ordinary pulls carry it everywhere. Nothing is lost: a value wins over none, else the job's first
// node wins, and a row that held anything else goes to the conflict log first.
#pragma once

#include <cstdint>
#include <string>

#include "capture/harvest.h"
#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

struct AgreementRequest {
  Node& first;
  Node& second;
  const ActiveTable& first_table;  // columns aligned
  const ActiveTable& second_table;
  const JobConfig& job;
  std::string session_id;
};

struct Agreement {
  std::int64_t touched = 0;  // keys that the next pulls carry
  std::int64_t logged = 0;   // of which the other side's row went to the conflict log
  bool complete = true;      // false: so many differ that there must be another round
};

/// Reads, chooses, logs and touches; the caller holds the lock of the pair and pulls afterwards.
/// Differences that a session has yet to carry are left alone.
Agreement agree(const AgreementRequest& request);

}  // namespace tidemark::scheduler
