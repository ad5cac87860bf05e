// The functions that Tidemark's own statements call. They exist on its own connections only and
// never appear in a trigger: another program that writes the table would not have them. Each takes
// an object of ours as its first argument, bound as a pointer, so that two statements never share
// state by accident.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "engines/sqlite/version_record.h"
#include "model/version.h"

namespace tidemark::sqlite {

class Connection;

/// What a node knows, by the local numbers of origins: an array instead of a search by uuid.
class KnownSequences {
 public:
  static constexpr char kType[] = "tidemark known";

  void raise(std::int64_t origin, std::int64_t sequence) {
    const auto index = static_cast<std::size_t>(origin);
    if (index >= sequences_.size()) sequences_.resize(index + 1, kNothing);
    if (sequences_[index] < sequence) sequences_[index] = sequence;
  }
  bool covers(std::int64_t origin, std::int64_t sequence) const {
    const auto index = static_cast<std::size_t>(origin);
    return index < sequences_.size() && sequences_[index] >= sequence;
  }

 private:
  static constexpr std::int64_t kNothing = std::numeric_limits<std::int64_t>::min();
  std::vector<std::int64_t> sequences_;
};

/// Decides, inside an upsert of a row version, whether the stored version gives way, and keeps it.
struct Overwrite {
  static constexpr char kType[] = "tidemark overwrite";

  const KnownSequences* source_knowledge = nullptr;
  VersionRecord incoming;
  std::optional<VersionRecord> replaced;  // the stored version, when there was one
};

/// Picks the tombstones that are no longer needed and remembers what they were.
struct Purge {
  static constexpr char kType[] = "tidemark purge";

  std::int64_t before_us = 0;
  std::vector<KnownSequences> peers;
  std::vector<std::pair<std::int64_t, std::int64_t>> forgotten;  // (origin, sequence) of each
  std::int64_t newest_us = 0;
};

/// Counts how often it was asked.
struct Counter {
  static constexpr char kType[] = "tidemark counter";

  std::int64_t count = 0;
};

/// tidemark_is_news(known, origin, sequence): not covered by it.
/// tidemark_overwrites(overwrite, changed_at_us, origin, sequence, flags): the stored version gives
/// way. tidemark_purges(purge, changed_at_us, origin, sequence, flags): the version can go.
/// tidemark_count(counter): always true.
void register_functions(Connection& connection);

}  // namespace tidemark::sqlite
