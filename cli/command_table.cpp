#include "cli/command_table.h"

#include "cli/commands.h"

namespace tidemark::cli {
namespace {

OptionSpec dry_run(const std::string& help) {
  return {.name = "dry-run", .letter = 'n', .argument = "", .help = help, .choices = {}};
}

OptionSpec flag(const std::string& name, const std::string& help) {
  return {.name = name, .letter = 0, .argument = "", .help = help, .choices = {}};
}

WordsSpec words(WordKind kind, const std::string& name, std::size_t min, std::size_t max) {
  return {.kind = kind, .name = name, .min = min, .max = max};
}

CommandSpec init_command() {
  return {
      .name = "init",
      .summary = "write a commented tidemark.toml",
      .description =
          "Writes a configuration with an explanation of every setting, to be edited. An existing "
          "file is never touched.",
      .words = {},
      .options = {},
      .examples = {{"tidemark init", "writes ./tidemark.toml"},
                   {"tidemark init --config shops.toml", "writes another file"}},
      .run = run_init,
      .subcommands = {},
  };
}

CommandSpec check_command() {
  return {
      .name = "check",
      .summary = "look at nodes and tables; changes nothing",
      .description =
          "Opens every node of the jobs and tells what stands in the way: connections, tables that "
          "cannot "
          "take part and why, tables that differ between nodes, foreign keys that the list of "
          "tables cuts "
          "in two, clocks that differ, and whether nodes are activated. Without JOB, all jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {},
      .examples = {{"tidemark check", "checks everything in tidemark.toml"}},
      .run = run_check,
      .subcommands = {},
  };
}

CommandSpec activate_command() {
  return {
      .name = "activate",
      .summary = "install control tables and triggers",
      .description =
          "Installs capture on the tables that the jobs of each node take, in one transaction for "
          "a node. "
          "Nothing happens where it is installed already; lost triggers are made anew. Without "
          "NODE, all "
          "nodes of all jobs.",
      .words = words(WordKind::node, "NODE", 0, WordsSpec::kMany),
      .options = {dry_run("print the SQL, change nothing"),
                  flag("create-tables",
                       "make tables that another node of a job has, and a SQLite file "
                       "that does not exist"),
                  flag("new-identity",
                       "this node is a copy of another: give it an identity of its own"),
                  flag("new-incarnation",
                       "this node was restored from a backup: give it a fresh origin")},
      .examples = {{"tidemark activate --dry-run", "shows the SQL that would run"},
                   {"tidemark activate branch2 --create-tables",
                    "a new, empty node gets its tables"}},
      .run = run_activate,
      .subcommands = {},
  };
}

CommandSpec deactivate_command() {
  return {
      .name = "deactivate",
      .summary = "remove every trace of Tidemark from nodes",
      .description =
          "Removes triggers and control tables: the schema is byte for byte what it was. What the "
          "control tables held, the conflict log among it, is gone with them.",
      .words = words(WordKind::node, "NODE", 1, WordsSpec::kMany),
      .options = {dry_run("print the SQL, change nothing")},
      .examples = {{"tidemark deactivate branch1 --dry-run", "shows the SQL that would run"}},
      .run = run_deactivate,
      .subcommands = {},
  };
}

CommandSpec forget_command() {
  return {
      .name = "forget",
      .summary = "wait no longer for a peer that is gone",
      .description =
          "Deleted rows are remembered until every peer has heard of them. This removes a peer "
          "from "
          "all nodes that know it, so that nobody waits for it any more. NODE is the name that it "
          "had, or its id. Should it come back, its rows are compared as a whole: nothing that was "
          "deleted meanwhile returns, and nothing that it wrote is lost.",
      .words = words(WordKind::node, "NODE", 1, 1),
      .options = {dry_run("tell which nodes would forget it, change nothing")},
      .examples = {{"tidemark forget branch7", "after branch 7 was closed for good"}},
      .run = run_forget,
      .subcommands = {},
  };
}

CommandSpec sync_command() {
  return {
      .name = "sync",
      .summary = "run one session of each job now",
      .description =
          "Brings the nodes of each job into agreement. A job with more than two nodes pairs the "
          "first with "
          "each other in turn, and goes round once more when that is needed for all to be equal. "
          "Without "
          "JOB, all jobs in the order of the file. A daemon that runs stands aside for as long.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {dry_run("tell what would be done, change nothing"),
                  flag("exit-code", "end with 4 while conflicts are open"),
                  flag("allow-deletes", "this once, let max_deletes stop nothing")},
      .examples = {{"tidemark sync", "all jobs"},
                   {"tidemark sync branch1 --dry-run", "what would happen in one job"}},
      .run = run_sync,
      .subcommands = {},
  };
}

CommandSpec run_command() {
  return {
      .name = "run",
      .summary = "run all jobs by their schedules, until told to end",
      .description =
          "The daemon: begins sessions as schedules and changes on the nodes ask for, watches the "
          "nodes, serves metrics, tells alerts. One runs for a configuration. SIGTERM ends it at "
          "the next safe point, SIGHUP makes it read the configuration anew; one with a mistake is "
          "refused and the old one stays. Runs in the foreground, under systemd (Type=notify) or "
          "anything else.",
      .words = {},
      .options = {},
      .examples = {{"tidemark run", "the jobs of ./tidemark.toml"},
                   {"tidemark run --config /etc/tidemark/tidemark.toml", "as a service does"}},
      .run = run_daemon,
      .subcommands = {},
  };
}

CommandSpec pause_command() {
  return {
      .name = "pause",
      .summary = "let the daemon begin no sessions of jobs",
      .description =
          "Ends when no session of the jobs is at work any more. Jobs stay paused when the daemon "
          "is started anew. Sessions by hand (sync, kick) work as ever. A job that another daemon "
          "runs is paused on that one's machine. Without JOB, all jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {},
      .examples = {{"tidemark pause branch1", "before work on that node"}},
      .run = run_pause,
      .subcommands = {},
  };
}

CommandSpec resume_command() {
  return {
      .name = "resume",
      .summary = "let the daemon go on with paused jobs",
      .description = "What was missed meanwhile happens once. Without JOB, all jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {},
      .examples = {{"tidemark resume branch1", "the job runs again"}},
      .run = run_resume,
      .subcommands = {},
  };
}

CommandSpec kick_command() {
  return {
      .name = "kick",
      .summary = "let the daemon run jobs now, without waiting for them",
      .description =
          "The jobs run as soon as there is room, whatever their schedules, windows and pauses "
          "between retries say. Where no daemon runs this is the same as sync. Without JOB, all "
          "jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {},
      .examples = {{"tidemark kick nightly", "tonight's run now"}},
      .run = run_kick,
      .subcommands = {},
  };
}

CommandSpec status_command() {
  return {
      .name = "status",
      .summary = "nodes, pending changes, lag, last sessions, open conflicts",
      .description =
          "Shows how every node stands, what waits to be carried between the nodes of each job and "
          "since when a node is behind by it, also one that is out of reach; where a daemon runs, "
          "also what it does and the lag that it measured, else what the last "
          "one measured: from the commit of a change, or of a heartbeat, on one node to its commit "
          "on the other.",
      .words = {},
      .options = {flag("watch", "show it again every two seconds, until ctrl-C")},
      .examples = {{"tidemark status --json", "the same for a program"},
                   {"tidemark status --watch", "see it live"}},
      .run = run_status,
      .subcommands = {},
  };
}

CommandSpec sessions_command() {
  return {
      .name = "sessions",
      .summary = "what happened, per table",
      .description =
          "Lists the newest pulls that changed something, from the records that every target "
          "keeps. "
          "Without JOB, those of all jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {{.name = "limit",
                   .letter = 'l',
                   .argument = "N",
                   .help = "how many pulls to show (20)",
                   .choices = {}}},
      .examples = {{"tidemark sessions --limit 5", "the newest five"}},
      .run = run_sessions,
      .subcommands = {},
  };
}

CommandSpec quarantine_command() {
  CommandSpec list{
      .name = "list",
      .summary = "list the rows that wait",
      .description = "Lists the rows that wait on all nodes, each with the reason.",
      .words = {},
      .options = {},
      .examples = {},
      .run = run_quarantine_list,
      .subcommands = {},
  };
  CommandSpec show{
      .name = "show",
      .summary = "show one waiting row beside what its node has",
      .description =
          "Shows every column of the row that waits and of the row that the node has under its "
          "key. ID is the beginning of a waiting row's id, as long as it is unique.",
      .words = words(WordKind::waiting_row, "ID", 1, 1),
      .options = {},
      .examples = {},
      .run = run_quarantine_show,
      .subcommands = {},
  };
  CommandSpec retry{
      .name = "retry",
      .summary = "try the rows that wait again at once",
      .description =
          "Tries all rows that wait on the nodes named, or on all nodes, as the next session "
          "would. "
          "Rows that still cannot be held go on waiting, and the command ends with 3.",
      .words = words(WordKind::node, "NODE", 0, WordsSpec::kMany),
      .options = {dry_run("tell what would be written, change nothing")},
      .examples = {},
      .run = run_quarantine_retry,
      .subcommands = {},
  };
  CommandSpec discard{
      .name = "discard",
      .summary = "give a waiting row up, the node keeps what it has",
      .description =
          "The row goes to the conflict log, from where it can be reinstated. What the node has "
          "instead, be it no row, becomes a new change that wins on every node.",
      .words = words(WordKind::waiting_row, "ID", 1, WordsSpec::kMany),
      .options = {dry_run("tell what would be discarded, change nothing")},
      .examples = {},
      .run = run_quarantine_discard,
      .subcommands = {},
  };
  return {
      .name = "quarantine",
      .summary = "list, show, retry or discard rows that a node cannot hold",
      .description =
          "A row that its target refuses (a type, CHECK, NOT NULL, a foreign key) waits there with "
          "the reason while everything else flows, and is tried again in every session.",
      .words = {},
      .options = {},
      .examples = {{"tidemark quarantine", "lists what waits"},
                   {"tidemark quarantine show 3f2a", "the row beside what its node has"},
                   {"tidemark quarantine retry hub", "after a constraint of hub was changed"}},
      .run = nullptr,
      .subcommands = {std::move(list), std::move(show), std::move(retry), std::move(discard)},
  };
}

CommandSpec conflicts_command() {
  const WordsSpec one = words(WordKind::conflict, "ID", 1, 1);
  const WordsSpec many = words(WordKind::conflict, "ID", 1, WordsSpec::kMany);
  CommandSpec list{
      .name = "list",
      .summary = "list conflicts",
      .description =
          "Lists the conflicts in the logs of all nodes. Those that were reinstated or dismissed "
          "are closed "
          "and shown with --all only; --json always lists every conflict, with both rows.",
      .words = {},
      .options = {flag("all", "also those that were reinstated or dismissed")},
      .examples = {},
      .run = run_conflicts_list,
      .subcommands = {},
  };
  CommandSpec show{
      .name = "show",
      .summary = "show both sides of one conflict",
      .description =
          "Shows winner and loser side by side; an asterisk marks the columns that differ. ID is "
          "the "
          "beginning of a conflict's id, as long as it is unique.",
      .words = one,
      .options = {},
      .examples = {},
      .run = run_conflicts_show,
      .subcommands = {},
  };
  CommandSpec reinstate{
      .name = "reinstate",
      .summary = "write the losing row back",
      .description =
          "Writes the loser back as a new change, which then wins on every node in the ordinary "
          "way. "
          "The loser of a backup is written on the source, for a backup carries nothing back.",
      .words = many,
      .options = {dry_run("tell what would be written, change nothing")},
      .examples = {},
      .run = run_conflicts_reinstate,
      .subcommands = {},
  };
  CommandSpec dismiss{
      .name = "dismiss",
      .summary = "close a conflict, the winner stays",
      .description = "Marks conflicts as dealt with; no row changes.",
      .words = many,
      .options = {dry_run("tell what would be closed, change nothing")},
      .examples = {},
      .run = run_conflicts_dismiss,
      .subcommands = {},
  };
  return {
      .name = "conflicts",
      .summary = "list, show, reinstate or dismiss conflicts",
      .description =
          "Two versions of one row, neither of whose authors had seen the other, are a conflict. "
          "One "
          "of them wins; the other is kept here, from where it can be reinstated.",
      .words = {},
      .options = {},
      .examples = {{"tidemark conflicts", "lists what is not closed"},
                   {"tidemark conflicts show 3f2a", "both sides of one"},
                   {"tidemark conflicts reinstate 3f2a", "the loser wins after all"}},
      .run = nullptr,
      .subcommands = {std::move(list), std::move(show), std::move(reinstate), std::move(dismiss)},
  };
}

CommandSpec verify_command() {
  return {
      .name = "verify",
      .summary = "prove equality by reading the data itself",
      .description =
          "Reads every row of both sides and names the keys that differ. A change that a session "
          "has yet to "
          "carry is reported as pending, not as a difference. Ends with 10 when there are "
          "differences. "
          "Without JOB, all jobs.",
      .words = words(WordKind::job, "JOB", 0, WordsSpec::kMany),
      .options = {flag("repair",
                       "mend what differs: the job's first node wins, missing rows come back, the "
                       "overwritten row goes to the conflict log"),
                  dry_run("with --repair: tell what would be mended, change nothing")},
      .examples = {{"tidemark verify", "compares all nodes of all jobs"}},
      .run = run_verify,
      .subcommands = {},
  };
}

CommandSpec version_command() {
  return {
      .name = "version",
      .summary = "print the version",
      .description = "Prints the version of the program and of the libraries in it.",
      .words = {},
      .options = {},
      .examples = {},
      .run = run_version,
      .subcommands = {},
  };
}

CommandSpec help_command() {
  return {
      .name = "help",
      .summary = "explain a command",
      .description = "Prints the list of commands, or one command in detail.",
      .words = words(WordKind::command, "COMMAND", 0, 2),
      .options = {},
      .examples = {{"tidemark help sync", "the same as tidemark sync --help"}},
      .run = run_help,
      .subcommands = {},
  };
}

}  // namespace

const std::vector<OptionSpec>& global_options() {
  static const std::vector<OptionSpec> kOptions = {
      {.name = "config",
       .letter = 'c',
       .argument = "FILE",
       .help = "the configuration (./tidemark.toml)",
       .choices = {}},
      {.name = "json", .letter = 0, .argument = "", .help = "print JSON on stdout", .choices = {}},
      {.name = "quiet",
       .letter = 'q',
       .argument = "",
       .help = "print only what was asked for and errors",
       .choices = {}},
      {.name = "verbose",
       .letter = 'v',
       .argument = "",
       .help = "log every step on stderr",
       .choices = {}},
      {.name = "progress",
       .letter = 0,
       .argument = "WHEN",
       .help = "show a progress bar on stderr: auto, always or never (auto)",
       .choices = {"auto", "always", "never"}},
      {.name = "help", .letter = 'h', .argument = "", .help = "explain the command", .choices = {}},
      {.name = "version",
       .letter = 'V',
       .argument = "",
       .help = "print the version",
       .choices = {}},
  };
  return kOptions;
}

const std::vector<CommandSpec>& commands() {
  static const std::vector<CommandSpec> kCommands = {
      init_command(),       check_command(),  activate_command(), deactivate_command(),
      sync_command(),       run_command(),    pause_command(),    resume_command(),
      kick_command(),       status_command(), sessions_command(), conflicts_command(),
      quarantine_command(), forget_command(), verify_command(),   version_command(),
      help_command(),
  };
  return kCommands;
}

const std::vector<ExitCodeSpec>& exit_codes() {
  static const std::vector<ExitCodeSpec> kCodes = {
      {0, "done, nothing left open"},
      {1, "failed, see the message"},
      {2, "usage or configuration error"},
      {3, "done, but rows were quarantined or a node failed"},
      {4, "conflicts are open (only with --exit-code)"},
      {5, "cannot connect or log in"},
      {6, "another session holds the lock"},
      {7, "refused by a guard (deletes, clock skew, identity)"},
      {8, "not activated, or the schema changed"},
      {9, "the other side speaks another protocol version"},
      {10, "verify found differences"},
      {130, "interrupted; nothing half done"},
  };
  return kCodes;
}

}  // namespace tidemark::cli
