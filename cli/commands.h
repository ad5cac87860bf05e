// The function behind each command; each lives in a file of its own. The result is the exit code;
// what goes wrong is thrown as Error.
#pragma once

#include <vector>

namespace tidemark::cli {

class Context;
struct CommandSpec;

/// The help of one command, or of the program when `path` is empty.
int print_help(Context& context, const std::vector<const CommandSpec*>& path);

int run_init(Context& context);
int run_check(Context& context);
int run_activate(Context& context);
int run_deactivate(Context& context);
int run_forget(Context& context);
int run_sync(Context& context);
int run_daemon(Context& context);
int run_pause(Context& context);
int run_resume(Context& context);
int run_kick(Context& context);
int run_status(Context& context);
int run_sessions(Context& context);
int run_conflicts_list(Context& context);
int run_conflicts_show(Context& context);
int run_conflicts_reinstate(Context& context);
int run_conflicts_dismiss(Context& context);
int run_quarantine_list(Context& context);
int run_quarantine_show(Context& context);
int run_quarantine_retry(Context& context);
int run_quarantine_discard(Context& context);
int run_verify(Context& context);
int run_version(Context& context);
int run_help(Context& context);

}  // namespace tidemark::cli
