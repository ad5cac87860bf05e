// "did you mean": the word that somebody most likely meant when what they wrote is not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemark::scheduler {

/// The candidate that `word` is a likely misspelling of; empty if none is near.
std::string closest(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b and c"; "none" for an empty list.
std::string listed(const std::vector<std::string>& words);

/// The hint for an unknown word: what was likely meant, and what there is.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view what);

}  // namespace tidemark::scheduler
