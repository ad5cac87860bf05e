// Where the rows of two nodes differ, found by reading the rows themselves: a merge of both by key.
// A key whose newest change has not reached the other side yet is pending, not different.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apply/pull.h"
#include "capture/harvest.h"
#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

enum class DifferenceKind : std::uint8_t { missing_at_first, missing_at_second, rows_differ };
std::string_view to_string(DifferenceKind kind);  // "missing at first" ...

struct Difference {
  std::string table;
  Row key;
  DifferenceKind kind = DifferenceKind::rows_differ;
};

struct TableVerification {
  std::string table;
  std::int64_t rows_first = 0;
  std::int64_t rows_second = 0;
  std::int64_t different = 0;  // keys that differ and will not come right by themselves
  std::int64_t pending = 0;    // keys that differ because a session has yet to carry a change
  /// The nodes have not compared this table yet (no session since activation or since triggers were
  /// lost): what differs then is counted as different, and a session is what is needed.
  bool unmet = false;
  std::vector<Difference>
      shown;  // the first of the different ones, at most as many as were asked for
};

/// A snapshot in which no change log has an entry left, kept until the end of the object.
class HarvestedSnapshot {
 public:
  HarvestedSnapshot(Node& node, std::vector<capture::CapturedTable>& tables);
  ~HarvestedSnapshot();
  HarvestedSnapshot(const HarvestedSnapshot&) = delete;
  HarvestedSnapshot& operator=(const HarvestedSnapshot&) = delete;

  /// Keeps what was harvested under the snapshot itself, if it came to that.
  void commit();

 private:
  Node& node_;
  bool ended_ = false;
};

struct RowComparison {
  Node& first;
  Node& second;
  const capture::CapturedTable& first_table;  // columns aligned, states as of the snapshots
  const capture::CapturedTable& second_table;
  Mode mode = Mode::two_way;
  std::size_t shown = 20;
  apply::Progress progress;
};

/// Both nodes are inside a HarvestedSnapshot. Writes nothing.
TableVerification compare_rows(const RowComparison& comparison);

}  // namespace tidemark::scheduler
