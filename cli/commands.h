// The function behind each command; each lives in a file of its own. The result is the exit code;
// what goes wrong is thrown as Error.
#pragma once

namespace tidemark::cli {

class Context;

int run_init(Context& context);
int run_check(Context& context);
int run_activate(Context& context);
int run_deactivate(Context& context);
int run_sync(Context& context);
int run_status(Context& context);
int run_sessions(Context& context);
int run_conflicts_list(Context& context);
int run_conflicts_show(Context& context);
int run_conflicts_reinstate(Context& context);
int run_conflicts_dismiss(Context& context);
int run_verify(Context& context);
int run_version(Context& context);
int run_help(Context& context);

}  // namespace tidemark::cli
