// pause, resume and kick: said to the daemon where one runs, else done without it.
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/time_text.h"
#include "scheduler/control_socket.h"
#include "scheduler/daemon_files.h"

namespace tidemark::cli {
namespace {

scheduler::ControlJson names_of(Context& context) {
  scheduler::ControlJson names = scheduler::ControlJson::array();
  for (const scheduler::JobConfig* job : context.jobs()) names.push_back(job->name);
  return names;
}

int set_paused(Context& context, bool pauses) {
  const scheduler::ControlJson names = names_of(context);
  const char* const what = pauses ? "pause" : "resume";
  const auto daemon = scheduler::ControlClient::connect(context.config().daemon.socket);
  if (daemon != nullptr) {
    daemon->ask({{"do", what}, {"jobs", names}}, throw_if_interrupted);
  } else {
    const std::filesystem::path& file = context.config().daemon.state;
    // A daemon that begins just now reads what is written here, or is met at its socket.
    const scheduler::DaemonLock lock(file, now_us());
    scheduler::DaemonState state = scheduler::load_daemon_state(file);
    for (const auto& name : names) {
      if (pauses) {
        state.paused.insert(name.get<std::string>());
      } else {
        state.paused.erase(name.get<std::string>());
      }
    }
    scheduler::save_daemon_state(file, state);
  }
  for (const auto& name : names) {
    context.output().note("job " + name.get<std::string>() +
                          (pauses ? " is paused" : " is resumed") +
                          (daemon != nullptr ? "\n" : "; no daemon runs just now\n"));
  }
  context.output().document(what, {{"jobs", names}, {"daemon", daemon != nullptr}});
  return 0;
}

}  // namespace

int run_pause(Context& context) { return set_paused(context, true); }
int run_resume(Context& context) { return set_paused(context, false); }

int run_kick(Context& context) {
  const auto daemon = scheduler::ControlClient::connect(context.config().daemon.socket);
  if (daemon == nullptr) return run_sync(context);
  const scheduler::ControlJson names = names_of(context);
  daemon->ask({{"do", "kick"}, {"jobs", names}}, throw_if_interrupted);
  for (const auto& name : names) {
    context.output().note("job " + name.get<std::string>() + " runs now\n");
  }
  context.output().document("kick", {{"jobs", names}, {"daemon", true}});
  return 0;
}

}  // namespace tidemark::cli
