#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "model/error.h"

namespace tidemark::cli {
namespace {

/// How long the work at hand may take to roll back before the process is ended.
constexpr unsigned kGraceSeconds = 2;

volatile sig_atomic_t signal_arrived = 0;
volatile sig_atomic_t ends_as_json = 0;

constexpr char kLastWords[] =
    "\nERROR: interrupted\nHINT: nothing is half done; run the same command again\n";
constexpr char kLastJson[] =
    "{\"v\":1,\"type\":\"error\",\"code\":130,\"message\":\"interrupted\","
    "\"hint\":\"nothing is half done; run the same command again\"}\n";

void end_now() {
  const ssize_t written = ends_as_json != 0
                              ? ::write(STDOUT_FILENO, kLastJson, sizeof kLastJson - 1)
                              : ::write(STDERR_FILENO, kLastWords, sizeof kLastWords - 1);
  if (written < 0) {
    // Nobody reads any more; the exit code tells.
  }
  ::_exit(130);
}

extern "C" void on_interrupt(int) {
  if (signal_arrived != 0) end_now();
  signal_arrived = 1;
  ::alarm(kGraceSeconds);
}

extern "C" void on_alarm(int) { end_now(); }

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void install_interrupt_handlers(bool json) {
  ends_as_json = json ? 1 : 0;
  handle(SIGALRM, on_alarm);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited {};
    // A shell that starts us in the background, or nohup, may have decided to ignore it.
    ::sigaction(signal, nullptr, &inherited);
    if (inherited.sa_handler != SIG_IGN) handle(signal, on_interrupt);
  }
}

bool interrupted() { return signal_arrived != 0; }

void throw_if_interrupted() {
  if (interrupted()) {
    throw Error(ExitCode::interrupted, "interrupted",
                "nothing is half done; run the same command again");
  }
}

}  // namespace tidemark::cli
