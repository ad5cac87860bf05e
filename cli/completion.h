// What a shell may offer after a command line that is still being typed, from the command table and
// the names in the configuration. The scripts for bash and zsh (packaging/completion) ask the
// program: `tidemark __complete WORD...`, where the last word is the one at the cursor.
#pragma once

#include <string>
#include <vector>

namespace tidemark::cli {

struct Completion {
  std::string word;
  std::string says;  // what it means; may be empty
};

/// The word of a completion that stands for the names of files.
inline constexpr char kCompleteFiles[] = ":files";

/// The completions of the last word. A configuration that cannot be read has no names; nothing is
/// thrown for it, and no database is opened.
std::vector<Completion> completions(const std::vector<std::string>& words);

/// Prints them, one a line, word and meaning separated by a tab; always 0.
int print_completions(const std::vector<std::string>& words);

}  // namespace tidemark::cli
