#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/context.h"

namespace tidemark::cli {

int print_help(Context& context, const std::vector<const CommandSpec*>& path) {
  const std::string text =
      path.empty() ? program_help(terminal_width()) : command_help(path, terminal_width());
  context.output().text(text);
  context.output().document("help", {{"text", text}});
  return 0;
}

int run_help(Context& context) { return print_help(context, find_command(context.line().words)); }

}  // namespace tidemark::cli
