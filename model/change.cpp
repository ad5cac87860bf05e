#include "model/change.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <xxhash.h>

namespace tidemark {
namespace {

template <typename Enum, std::size_t size>
using Names = std::array<std::pair<Enum, std::string_view>, size>;

constexpr Names<ConflictType, 12> kConflictTypes{{
    {ConflictType::insert_exists, "insert_exists"},
    {ConflictType::update_differs, "update_differs"},
    {ConflictType::update_deleted, "update_deleted"},
    {ConflictType::delete_updated, "delete_updated"},
    {ConflictType::baseline_differs, "baseline_differs"},
    {ConflictType::target_changed, "target_changed"},
    {ConflictType::unique_exists, "unique_exists"},
    {ConflictType::multiple_unique, "multiple_unique"},
    {ConflictType::parent_missing, "parent_missing"},
    {ConflictType::child_exists, "child_exists"},
    {ConflictType::revived, "revived"},
    {ConflictType::discarded, "discarded"},
}};

constexpr Names<Policy, 4> kPolicies{{
    {Policy::latest, "latest"},
    {Policy::earliest, "earliest"},
    {Policy::first_node, "first_node"},
    {Policy::manual, "manual"},
}};

constexpr Names<ConflictStatus, 4> kStatuses{{
    {ConflictStatus::open, "open"},
    {ConflictStatus::resolved, "resolved"},
    {ConflictStatus::reinstated, "reinstated"},
    {ConflictStatus::dismissed, "dismissed"},
}};

template <typename Enum, std::size_t size>
std::string_view name_of(const Names<Enum, size>& names, Enum value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) return name;
  }
  return "";
}

template <typename Enum, std::size_t size>
std::optional<Enum> value_of(const Names<Enum, size>& names, std::string_view text) {
  for (const auto& [candidate, name] : names) {
    if (name == text) return candidate;
  }
  return std::nullopt;
}

std::string side_identity(const ConflictSide& side) {
  std::string identity;
  if (side.version) {
    identity.append(side.version->origin.as_bytes());
    identity.append(reinterpret_cast<const char*>(&side.version->sequence),
                    sizeof side.version->sequence);
  } else {
    // A row from before activation is known by its content alone.
    append_encoding(to_views(side.row), identity);
  }
  return identity;
}

}  // namespace

std::string_view to_string(ConflictType type) { return name_of(kConflictTypes, type); }
std::optional<ConflictType> parse_conflict_type(std::string_view text) {
  return value_of(kConflictTypes, text);
}

std::string_view to_string(Policy policy) { return name_of(kPolicies, policy); }
std::optional<Policy> parse_policy(std::string_view text) { return value_of(kPolicies, text); }

std::string_view to_string(ConflictStatus status) { return name_of(kStatuses, status); }
std::optional<ConflictStatus> parse_conflict_status(std::string_view text) {
  return value_of(kStatuses, text);
}

std::string hash_id(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

std::string conflict_id(const Conflict& conflict) {
  std::string first = side_identity(conflict.winner);
  std::string second = side_identity(conflict.loser);
  // Two rows from before activation have no order: which of them wins depends on who meets whom, so
  // each way is a conflict of its own. Versions are ordered, and the pair says it all.
  const bool ordered = conflict.winner.version || conflict.loser.version;
  if (ordered && second < first) std::swap(first, second);
  std::string text = conflict.table;
  text.push_back('\0');
  append_encoding(to_views(conflict.key), text);
  const auto append_sized = [&text](const std::string& part) {
    const std::uint64_t size = part.size();
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
    text.append(part);
  };
  append_sized(first);
  append_sized(second);
  // The same pair may have met before, and have ended otherwise than references wanted.
  if (conflict.type == ConflictType::parent_missing ||
      conflict.type == ConflictType::child_exists) {
    append_sized(std::string(to_string(conflict.type)));
  }
  return hash_id(text);
}

PullCounts& PullCounts::operator+=(const PullCounts& other) {
  received += other.received;
  inserted += other.inserted;
  updated += other.updated;
  deleted += other.deleted;
  adopted += other.adopted;
  conflicts += other.conflicts;
  quarantined += other.quarantined;
  locked += other.locked;
  return *this;
}

}  // namespace tidemark
