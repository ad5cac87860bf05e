// What happens on ctrl-C: the work at hand is given up at the next safe point and rolled back. A
// process that does not reach such a point soon is ended at once, which is as harmless as a kill:
// transactions that were not committed did not happen.
#pragma once

namespace tidemark::cli {

/// Installs the handlers of SIGINT, SIGTERM and SIGHUP. Once for a process. `json`: a process that
/// is ended at once says so on stdout as JSON.
void install_interrupt_handlers(bool json);

bool interrupted();

/// Throws Error interrupted if a signal has arrived.
void throw_if_interrupted();

}  // namespace tidemark::cli
