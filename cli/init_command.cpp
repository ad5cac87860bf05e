#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/context.h"

namespace tidemark::cli {
namespace {

constexpr std::string_view kTemplate = R"(# Tidemark keeps databases in agreement.
#
#   tidemark check       looks at everything named here and changes nothing
#   tidemark activate    installs control tables and triggers
#   tidemark sync        runs one session of each job
#   tidemark status      shows how the nodes stand

# How long to wait for another writer of a database before giving up.
#lock_timeout = "10s"

# How long deleted rows are remembered after every node has heard of them.
#tombstone_retention = "30d"

# How long conflicts that are not open are kept, or "forever".
#conflict_retention = "365d"

# One section for each database. A relative path starts at the folder of this file; an absolute one is
# written sqlite:///var/lib/shop/hq.db
[node.hq]
url = "sqlite:hq.db"

[node.branch1]
url = "sqlite:branch1.db"

# One section for each group of nodes that share tables.
[job.branch1]
# The first is the hub: it is paired with each other in turn. In a backup it is the source.
nodes = ["hq", "branch1"]

# "two-way": changes travel in both directions. "backup": from the first node to the others only, and
# what was changed on the others is set back and kept in the conflict log.
mode = "two-way"

# Names or globs; what matches `exclude` is left out.
tables = ["*"]
#exclude = ["log_*"]

# Which of two conflicting changes wins: "latest", "earliest", "first_node", or "manual" (the latest
# wins for the time being and the conflict stays open). The other is always kept in the conflict log.
conflict = "latest"

# A session that would delete more of a table stops before it writes anything: a share of the rows,
# a number of rows, or "none".
max_deletes = "20%"

# Nodes whose clocks differ by more are not synchronized.
#max_clock_skew = "5s"

# "manual", "continuous", "every 30s" or "cron 0 2 * * *", by the clocks of `time_zone` (the machine's);
# and the times of the week in which the schedule starts nothing.
#schedule = "manual"
#time_zone = "Europe/Berlin"
#exclude_windows = ["Mon-Fri 08:00-20:00"]

# How often the daemon measures the lag of the job even when nothing changes; "off": never.
#heartbeat = "10s"

# Settings of some tables; the last section that matches counts.
#[job.branch1.table."stock_*"]
#conflict = "manual"
)";

void write_new_file(const std::string& name) {
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    const int error = errno;
    if (error == EEXIST) {
      throw Error(ExitCode::failed, name + " exists already and was not touched",
                  "edit it, or name another file with --config FILE");
    }
    throw Error(ExitCode::failed, "cannot write " + name + ": " + std::strerror(error),
                "check the folder and its permissions, or name another file with --config FILE");
  }
  std::string_view rest = kTemplate;
  while (!rest.empty()) {
    const ssize_t written = ::write(file, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = errno;
      ::close(file);
      ::unlink(name.c_str());
      throw Error(ExitCode::failed, "cannot write " + name + ": " + std::strerror(error),
                  "free space on the disk, or name another file with --config FILE");
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  ::close(file);
}

}  // namespace

int run_init(Context& context) {
  const std::string name = context.config_file().string();
  write_new_file(name);
  context.output().note("wrote " + name + "\nedit its nodes and jobs, then run 'tidemark check'\n");
  context.output().document("init", {{"file", name}});
  return 0;
}

}  // namespace tidemark::cli
