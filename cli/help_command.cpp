#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/context.h"

namespace tidemark::cli {

int run_help(Context& context) {
  const std::vector<std::string>& words = context.line().words;
  context.output().text(words.empty() ? program_help(terminal_width())
                                      : command_help(find_command(words), terminal_width()));
  return 0;
}

}  // namespace tidemark::cli
