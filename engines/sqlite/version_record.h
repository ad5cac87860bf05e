// A row version as the control tables hold it: the origin is the local number of its uuid, and two
// facts share the integer `flags`.
#pragma once

#include <cstdint>

namespace tidemark::sqlite {

struct VersionRecord {
  static constexpr std::int64_t kDeleted = 1;   // a tombstone: the row is gone
  static constexpr std::int64_t kInserted = 2;  // see Version::inserted

  std::int64_t changed_at_us = 0;
  std::int64_t origin = 0;
  std::int64_t sequence = 0;
  std::int64_t flags = 0;

  bool same_change(const VersionRecord& other) const {
    return origin == other.origin && sequence == other.sequence;
  }
};

}  // namespace tidemark::sqlite
