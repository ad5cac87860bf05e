#include "cli/commands.h"
#include "cli/context.h"
#include "scheduler/daemon.h"

namespace tidemark::cli {

int run_daemon(Context& context) {
  return scheduler::run_daemon(
      {.config_file = context.config_file(), .verbose = context.line().has("verbose")});
}

}  // namespace tidemark::cli
