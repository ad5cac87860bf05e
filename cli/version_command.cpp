#include <sstream>

#include "cli/commands.h"
#include "cli/context.h"
#include "cli/version.h"
#include "engines/registry.h"
#include "scheduler/suggest.h"

namespace tidemark::cli {

int run_version(Context& context) {
  std::ostringstream text;
  text << "tidemark " << kVersion << "\n"
       << "databases: " << scheduler::listed(known_schemes()) << "\n";
  context.output().text(text.str());
  context.output().document("version", {{"version", kVersion}, {"databases", known_schemes()}});
  return 0;
}

}  // namespace tidemark::cli
