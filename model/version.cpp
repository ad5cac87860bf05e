#include "model/version.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <xxhash.h>

namespace tidemark {
namespace {

auto position_of(const std::vector<Knowledge::Entry>& entries, const OriginId& origin) {
  return std::lower_bound(
      entries.begin(), entries.end(), origin,
      [](const Knowledge::Entry& entry, const OriginId& wanted) { return entry.first < wanted; });
}

}  // namespace

std::string Uuid::to_string() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kDigits[bytes[i] >> 4]);
    text.push_back(kDigits[bytes[i] & 15]);
  }
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  Uuid uuid;
  std::size_t digits = 0;
  for (const char c : text) {
    int value;
    if (c >= '0' && c <= '9') {
      value = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      value = c - 'a' + 10;
    } else if (c == '-') {
      continue;
    } else {
      return std::nullopt;
    }
    if (digits == 32) return std::nullopt;
    std::uint8_t& byte = uuid.bytes[digits / 2];
    byte = static_cast<std::uint8_t>(byte * 16 + value);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return uuid;
}

Uuid Uuid::from_bytes(std::string_view bytes) {
  Uuid uuid;
  assert(bytes.size() == uuid.bytes.size());
  std::memcpy(uuid.bytes.data(), bytes.data(), std::min(bytes.size(), uuid.bytes.size()));
  return uuid;
}

bool is_later(const Version& a, const Version& b) {
  if (a.changed_at_us != b.changed_at_us) return a.changed_at_us > b.changed_at_us;
  return a.origin > b.origin;
}

std::optional<std::int64_t> Knowledge::of(const OriginId& origin) const {
  const auto found = position_of(entries_, origin);
  if (found == entries_.end() || found->first != origin) return std::nullopt;
  return found->second;
}

bool Knowledge::covers(const Version& version) const {
  const auto known = of(version.origin);
  return known && *known >= version.sequence;
}

bool Knowledge::covers(const Knowledge& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(), [this](const Entry& entry) {
    const auto known = of(entry.first);
    return known && *known >= entry.second;
  });
}

void Knowledge::raise(const OriginId& origin, std::int64_t sequence) {
  const auto index = position_of(entries_, origin) - entries_.begin();
  const auto position = entries_.begin() + index;
  if (position == entries_.end() || position->first != origin) {
    entries_.insert(position, {origin, sequence});
  } else if (position->second < sequence) {
    position->second = sequence;
  }
}

void Knowledge::go_back(const Knowledge& before, const Knowledge& now) {
  std::vector<Entry> kept;
  for (auto [origin, sequence] : entries_) {
    const std::optional<std::int64_t> then = before.of(origin);
    const std::optional<std::int64_t> still = now.of(origin);
    if (then && !still) continue;
    if (then && *still < *then) sequence = std::min(sequence, *still);
    kept.emplace_back(origin, sequence);
  }
  entries_ = std::move(kept);
}

void Knowledge::merge(const Knowledge& other) {
  for (const auto& [origin, sequence] : other.entries_) raise(origin, sequence);
}

std::uint64_t Knowledge::digest() const {
  std::string bytes;
  bytes.reserve(entries_.size() * (sizeof(OriginId::bytes) + sizeof(std::int64_t)));
  for (const auto& [origin, sequence] : entries_) {
    bytes += origin.as_bytes();
    bytes.append(reinterpret_cast<const char*>(&sequence), sizeof sequence);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace tidemark
