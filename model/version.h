// Row versions and knowledge, the two ideas that everything rests on. Time decides who wins;
// knowledge decides what is new and what is a conflict. See DESIGN.md, "Versions, knowledge,
// conflicts".
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark {

/// Sixteen bytes that name a node, an origin (a node's incarnation) or a baseline.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  friend bool operator==(const Uuid&, const Uuid&) = default;

  /// 8-4-4-4-12 lower-case hexadecimal digits.
  std::string to_string() const;
  static std::optional<Uuid> parse(std::string_view text);
  /// `bytes` must hold exactly 16 bytes.
  static Uuid from_bytes(std::string_view bytes);
  std::string_view as_bytes() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

using NodeId = Uuid;
using OriginId = Uuid;
using BaselineId = Uuid;

/// Who a database is: the node id stays for its life, the incarnation and with it the origin change
/// when the database went back in time (a restore).
struct Identity {
  NodeId node_id;
  std::int64_t incarnation = 1;
  OriginId origin;

  friend bool operator==(const Identity&, const Identity&) = default;
};

/// One record of a row's history: when it was changed (microseconds since 1970, UTC), by which
/// origin, and as which of that origin's changes of the table.
struct Version {
  std::int64_t changed_at_us = 0;
  OriginId origin;
  std::int64_t sequence = 0;
  /// The origin inserted the row and nobody else has changed it since. Only names conflicts
  /// (insert_exists), decides nothing.
  bool inserted = false;

  friend bool operator==(const Version&, const Version&) = default;
};

/// Names one of an origin's changes of a table.
struct ChangeId {
  OriginId origin;
  std::int64_t sequence = 0;

  friend bool operator==(const ChangeId&, const ChangeId&) = default;
};

inline std::optional<ChangeId> change_of(const std::optional<Version>& version) {
  if (!version) return std::nullopt;
  return ChangeId{version->origin, version->sequence};
}

/// Up to this time a version tells nothing of when its row was changed: nobody saw it (a row that
/// only a joiner had, a table whose triggers were lost).
inline constexpr std::int64_t kTimelessUs = 1'000'000;

/// The order of versions, total and the same on every node: the later wins, ties go to the greater
/// origin.
bool is_later(const Version& a, const Version& b);

/// What a node has seen of one table: for every origin the highest sequence. Small (one entry for
/// each node that ever wrote), so it is a sorted vector.
class Knowledge {
 public:
  using Entry = std::pair<OriginId, std::int64_t>;

  /// The highest sequence seen of `origin`; nothing if none of it was ever seen.
  std::optional<std::int64_t> of(const OriginId& origin) const;
  bool covers(const Version& version) const;
  bool covers(const Knowledge& other) const;
  /// Knows `origin` up to `sequence` at least.
  void raise(const OriginId& origin, std::int64_t sequence);
  void merge(const Knowledge& other);
  /// Follows another node back: of what `before` knew only that stays which `now` still knows.
  void go_back(const Knowledge& before, const Knowledge& now);
  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }
  /// Equal for equal knowledge, and for other knowledge most likely not.
  std::uint64_t digest() const;

  friend bool operator==(const Knowledge&, const Knowledge&) = default;

 private:
  std::vector<Entry> entries_;  // sorted by origin
};

/// What one node knows about one of its tables; the control tables keep it, a session works on a
/// copy and saves it in the transaction that changes the rows.
struct TableState {
  OriginId origin;                      // this node's own
  Knowledge knowledge;                  // has an entry for `origin`, 0 at first
  Knowledge forgotten;                  // highest sequence of every origin among purged tombstones
  BaselineId baseline;                  // the baseline that the rows without a version belong to
  std::set<BaselineId> baselines_seen;  // has `baseline`
  std::int64_t clock_floor_us = 0;      // highest changed_at among purged tombstones
  /// Mirror mode: own changes up to here were already compared with the source of the backup.
  std::int64_t mirrored_sequence = 0;
  /// As `mirrored_sequence`: changes under an earlier origin may not have been compared at all.
  static constexpr std::int64_t kNotCompared = -1;
  std::int64_t purged_at_us = 0;  // when old tombstones were last looked for

  std::int64_t sequence() const { return knowledge.of(origin).value_or(0); }
  friend bool operator==(const TableState&, const TableState&) = default;
};

}  // namespace tidemark
