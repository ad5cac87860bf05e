#include "compare/references.h"

#include <algorithm>
#include <deque>

namespace tidemark::compare {
namespace {

/// How much speaks for a row, or against it. A row from before activation is earlier than any
/// version, a delete that nobody remembers is earlier than that, and rows outside beat all.
struct Strength {
  enum Rank : std::uint8_t { nothing, forgotten, unversioned, versioned, absolute };
  Rank rank = nothing;
  Version version;
};

bool beats(const Strength& a, const Strength& b) {
  if (a.rank != b.rank) return a.rank > b.rank;
  return a.rank == Strength::versioned && is_later(a.version, b.version);
}

Strength strength_of(const std::optional<Version>& version, Strength::Rank without) {
  if (version) return {Strength::versioned, *version};
  return {without, {}};
}

class Judge {
 public:
  Judge(const std::vector<ReferringRow>& rows, bool mirror)
      : rows_(rows),
        mirror_(mirror),
        for_(rows.size()),
        against_(rows.size()),
        children_(rows.size()) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const std::size_t parent : rows[i].parents) children_[parent].push_back(i);
      if (rows[i].outside) {
        for_[i] = {Strength::absolute, {}};
      } else if (rows[i].present) {
        for_[i] = strength_of(rows[i].version, Strength::unversioned);
      } else {
        against_[i] = strength_of(rows[i].version, Strength::forgotten);
      }
    }
  }

  std::vector<RowFate> judge() {
    spread(for_,
           [this](std::size_t i) { return speaks_for_parents(i) ? &rows_[i].parents : nullptr; });
    spread(against_, [this](std::size_t i) { return goes(i) ? &children_[i] : nullptr; });
    std::vector<RowFate> fates(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) fates[i] = fate_of(i);
    make_wait(fates);
    return fates;
  }

 private:
  bool speaks_for_parents(std::size_t i) const {
    if (mirror_ && for_[i].rank != Strength::absolute) return false;
    return beats(for_[i], against_[i]);
  }

  bool goes(std::size_t i) const {
    if (against_[i].rank == Strength::nothing) return false;
    if (mirror_) return for_[i].rank != Strength::absolute;
    return !beats(for_[i], against_[i]);
  }

  /// Hands the strength of a row on to its neighbours, until nobody's grows any more.
  template <typename Neighbours>
  void spread(std::vector<Strength>& strengths, const Neighbours& neighbours) {
    std::deque<std::size_t> changed;
    for (std::size_t i = 0; i < rows_.size(); ++i) changed.push_back(i);
    while (!changed.empty()) {
      const std::size_t i = changed.front();
      changed.pop_front();
      const std::vector<std::size_t>* next = neighbours(i);
      if (next == nullptr) continue;
      for (const std::size_t other : *next) {
        if (!beats(strengths[i], strengths[other])) continue;
        strengths[other] = strengths[i];
        changed.push_back(other);
      }
    }
  }

  RowFate fate_of(std::size_t i) const {
    RowFate fate;
    if (goes(i)) fate.fate = Fate::goes;
    const auto include = [&fate](const std::optional<Version>& version) {
      if (!version) return;
      fate.later_than_us =
          std::max(fate.later_than_us.value_or(version->changed_at_us), version->changed_at_us);
    };
    include(rows_[i].version);
    if (for_[i].rank == Strength::versioned) include(for_[i].version);
    if (against_[i].rank == Strength::versioned) {
      include(against_[i].version);
      fate.deleted_by = against_[i].version;
    }
    return fate;
  }

  void make_wait(std::vector<RowFate>& fates) const {
    std::deque<std::size_t> waiting;
    const auto wait = [&](std::size_t i) {
      if (fates[i].fate != Fate::stays || rows_[i].outside) return;
      fates[i].fate = Fate::waits;
      waiting.push_back(i);
    };
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (!rows_[i].can_be_held) wait(i);
    }
    while (!waiting.empty()) {
      const std::size_t i = waiting.front();
      waiting.pop_front();
      for (const std::size_t child : children_[i]) wait(child);
    }
  }

  const std::vector<ReferringRow>& rows_;
  const bool mirror_;
  std::vector<Strength> for_;
  std::vector<Strength> against_;
  std::vector<std::vector<std::size_t>> children_;
};

}  // namespace

std::vector<RowFate> judge(const std::vector<ReferringRow>& rows, bool mirror) {
  return Judge(rows, mirror).judge();
}

}  // namespace tidemark::compare
