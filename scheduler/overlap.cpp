#include "scheduler/overlap.h"

#include <algorithm>
#include <vector>

namespace tidemark::scheduler {
namespace {

bool is_glob(std::string_view pattern) {
  return pattern.find_first_of("*?") != std::string_view::npos;
}

/// True if a pattern of `excluding` takes away every name that `pattern` could match.
bool excludes_all(const JobConfig& excluding, std::string_view pattern) {
  return std::any_of(excluding.exclude.begin(), excluding.exclude.end(),
                     [&](const std::string& glob) { return glob_covers(glob, pattern); });
}

}  // namespace

bool globs_may_meet(std::string_view a, std::string_view b) {
  // reachable[j]: the first i symbols of a and the first j of b can match one common text.
  std::vector<bool> reachable(b.size() + 1, false);
  reachable[0] = true;
  for (std::size_t j = 0; j < b.size() && b[j] == '*'; ++j) reachable[j + 1] = true;
  for (const char symbol : a) {
    std::vector<bool> next(b.size() + 1, false);
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (symbol == '*' && reachable[j]) next[j] = true;
      if (j == 0) continue;
      const char other = b[j - 1];
      const bool one_step = reachable[j - 1] && (symbol == '?' || other == '?' || symbol == other ||
                                                 symbol == '*' || other == '*');
      const bool a_runs_on = symbol == '*' && next[j - 1];
      const bool b_runs_on = other == '*' && (next[j - 1] || reachable[j]);
      if (one_step || a_runs_on || b_runs_on) next[j] = true;
    }
    reachable = std::move(next);
  }
  return reachable[b.size()];
}

bool glob_covers(std::string_view whole, std::string_view part) {
  // The glob match of `whole` against the symbols of `part`, where `?` and `*` of `part` stand for
  // what only a wildcard of `whole` at least as wide can swallow.
  std::vector<bool> reachable(part.size() + 1, false);
  reachable[0] = true;
  for (const char symbol : whole) {
    std::vector<bool> next(part.size() + 1, false);
    for (std::size_t j = 0; j <= part.size(); ++j) {
      if (symbol == '*') {
        next[j] = reachable[j] || (j > 0 && next[j - 1]);
      } else if (j > 0 && part[j - 1] != '*') {
        next[j] = reachable[j - 1] && (symbol == '?' || symbol == part[j - 1]);
      }
    }
    reachable = std::move(next);
  }
  return reachable[part.size()];
}

std::optional<std::string> shared_tables(const JobConfig& a, const JobConfig& b) {
  for (const std::string& pattern_a : a.tables) {
    if (!is_glob(pattern_a)) {
      if (a.takes(pattern_a) && b.takes(pattern_a)) return pattern_a;
      continue;
    }
    if (excludes_all(a, pattern_a) || excludes_all(b, pattern_a)) continue;
    for (const std::string& pattern_b : b.tables) {
      if (!is_glob(pattern_b)) {
        if (a.takes(pattern_b) && b.takes(pattern_b)) return pattern_b;
        continue;
      }
      if (excludes_all(a, pattern_b) || excludes_all(b, pattern_b)) continue;
      if (globs_may_meet(pattern_a, pattern_b)) {
        return glob_covers(pattern_a, pattern_b) ? pattern_b : pattern_a;
      }
    }
  }
  return std::nullopt;
}

}  // namespace tidemark::scheduler
