#include "scheduler/verify.h"

#include "cli/commands.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/session_text.h"
#include "cli/text.h"
#include "cli/time_text.h"
#include "model/row_json.h"

namespace tidemark::cli {
namespace {

using scheduler::Difference;
using scheduler::DifferenceKind;
using scheduler::JobConfig;
using scheduler::VerifyReport;

Json values_json(const Row& key) {
  Json json = Json::array();
  for (const Value& value : key) json.push_back(value_to_json(value.view()));
  return json;
}

Json report_json(const VerifyReport& report) {
  Json tables = Json::array();
  for (const scheduler::TableVerification& table : report.tables) {
    Json keys = Json::array();
    for (const Difference& difference : table.shown) {
      keys.push_back({{"key", values_json(difference.key)}, {"kind", to_string(difference.kind)}});
    }
    tables.push_back({{"table", table.table},
                      {"rows_first", table.rows_first},
                      {"rows_second", table.rows_second},
                      {"differences", table.different},
                      {"pending", table.pending},
                      {"unmet", table.unmet},
                      {"keys", std::move(keys)}});
  }
  return {{"job", report.job},
          {"first", report.first},
          {"second", report.second},
          {"mode", scheduler::to_string(report.mode)},
          {"equal", report.different() == 0 && report.pending() == 0 && report.problems.empty()},
          {"differences", report.different()},
          {"pending", report.pending()},
          {"started_at", rfc3339(report.started_at_us)},
          {"finished_at", rfc3339(report.finished_at_us)},
          {"tables", std::move(tables)},
          {"problems", report.problems},
          {"warnings", report.warnings}};
}

std::string difference_text(const Difference& difference, const VerifyReport& report) {
  std::string what;
  switch (difference.kind) {
    case DifferenceKind::missing_at_first:
      what = "missing on " + report.first;
      break;
    case DifferenceKind::missing_at_second:
      what = "missing on " + report.second;
      break;
    case DifferenceKind::rows_differ:
      what = "rows differ";
      break;
  }
  return "  " + printable(difference.table) + " " + printable(to_string(to_views(difference.key))) +
         ": " + printable(what) + "\n";
}

std::string report_text(const VerifyReport& report) {
  std::string text =
      printable(report.job) + ": " + pair_text(report.first, report.second, report.mode) + ": ";
  if (report.different() > 0) {
    text += counted(report.different(), "difference");
  } else {
    text += report.pending() > 0 ? "no differences" : "equal";
  }
  if (report.pending() > 0) text += ", " + counted(report.pending(), "key") + " pending";
  text += "; " + counted(static_cast<std::int64_t>(report.tables.size()), "table") + ", " +
          counted(report.rows(), "row") + ", " +
          duration_text(report.finished_at_us - report.started_at_us) + "\n";
  for (const scheduler::TableVerification& table : report.tables) {
    for (const Difference& difference : table.shown) text += difference_text(difference, report);
    const std::int64_t more = table.different - static_cast<std::int64_t>(table.shown.size());
    if (more > 0) text += "  " + printable(table.table) + ": " + grouped(more) + " more\n";
  }
  return text;
}

class Verify {
 public:
  explicit Verify(Context& context)
      : context_(context),
        repair_(context.line().has("repair")),
        dry_run_(context.line().has("dry-run")) {
    if (dry_run_ && !repair_) {
      throw Error(ExitCode::usage, "--dry-run is for --repair; verify itself changes nothing",
                  "run 'tidemark verify' or 'tidemark verify --repair --dry-run'");
    }
  }

  int run() {
    const auto jobs = context_.jobs();
    for (const JobConfig* job : jobs) {
      std::size_t mended = 0;
      for (std::size_t i = 1; i < job->nodes.size(); ++i) {
        const std::int64_t before = repaired_;
        const bool alone = jobs.size() == 1 && job->nodes.size() == 2;
        check_pair(*job, job->nodes[i], alone);
        if (repaired_ > before) mended = i;
      }
      // What came back to the first node has yet to reach the nodes before.
      for (std::size_t i = 1; i < mended; ++i) check_pair(*job, job->nodes[i], false);
    }
    return finish();
  }

 private:
  void check_pair(const JobConfig& job, const std::string& second, bool alone) {
    const std::string& first = job.nodes.front();
    throw_if_interrupted();
    ++attempts_;
    try {
      context_.progress_bar().set_title(pair_text(first, second, job.mode));
      const auto [first_node, second_node] = context_.nodes(first, second, Access::read_write);
      const scheduler::VerifyOptions options{.progress = context_.progress()};
      if (repair_ && !dry_run_) {
        mend(job, first_node, second_node, options);
      } else {
        tell(scheduler::verify(job, first_node, second_node, options));
      }
    } catch (const Error& error) {
      context_.progress_bar().clear();
      if (error.code() == ExitCode::interrupted || alone) throw;
      failures_.push_back(error.code());
      Json failed = {{"job", job.name}, {"first", first}, {"second", second}};
      failed.update(error_json(error));
      context_.output().event("verify_failed", failed);
      if (!context_.output().json()) {
        print_error(Error(error.code(),
                          "job " + job.name + ": " + first + " and " + second + ": " + error.what(),
                          error.hint()),
                    false);
      }
    }
  }

  void mend(const JobConfig& job, Node& first, Node& second,
            const scheduler::VerifyOptions& options) {
    const scheduler::RepairReport report =
        scheduler::repair(job, first, second, context_.config().tombstone_retention, options,
                          context_.session_options());
    repaired_ += report.repaired;
    context_.output().event("repair", {{"job", job.name},
                                       {"first", first.name()},
                                       {"second", second.name()},
                                       {"found", report.before.different()},
                                       {"repaired", report.repaired},
                                       {"left", report.after.different()},
                                       {"sessions", report.sessions.size()}});
    if (report.before.different() > 0) {
      context_.progress_bar().clear();
      context_.output().note(report_text(report.before));
      context_.output().note("  " + counted(report.repaired, "key") +
                             " repaired; overwritten rows are in the conflict log\n");
    }
    tell(report.after);
  }

  void tell(const VerifyReport& report) {
    context_.progress_bar().clear();
    context_.output().event("verify", report_json(report));
    context_.output().text(report_text(report));
    for (const scheduler::TableVerification& table : report.tables) {
      if (table.unmet && table.different > 0) {
        context_.warn("nodes " + report.first + " and " + report.second +
                      " have not compared table " + table.table + " yet: run 'tidemark sync " +
                      report.job + "' first");
      }
    }
    for (const std::string& problem : report.problems) context_.warn(problem);
    differences_ += report.different();
    pending_ += report.pending();
    rows_ += report.rows();
    problems_ |= !report.problems.empty();
  }

  int finish() {
    int code = summed_exit_code(failures_, attempts_);
    // Tables that could not be read are not proven equal.
    if (problems_ && code == 0) code = static_cast<int>(ExitCode::not_ready);
    if (differences_ > 0) code = static_cast<int>(ExitCode::differences);
    if (differences_ > 0 && !repair_) {
      context_.output().note(
          "run 'tidemark verify --repair' to mend them; --dry-run with it tells what it "
          "would do\n");
    }
    if (repair_ && dry_run_ && differences_ > 0) {
      context_.output().note("a repair would mend " + counted(differences_, "key") +
                             "; nothing was changed\n");
    }
    if (pending_ > 0) {
      context_.output().note("pending keys are on their way: run 'tidemark sync' to carry them\n");
    }
    context_.output().event("summary", {{"equal", differences_ == 0 && pending_ == 0 && code == 0},
                                        {"rows", rows_},
                                        {"differences", differences_},
                                        {"pending", pending_},
                                        {"repaired", repaired_},
                                        {"failed", failures_.size()},
                                        {"exit_code", code}});
    return code;
  }

  Context& context_;
  const bool repair_;
  const bool dry_run_;
  std::size_t attempts_ = 0;
  std::vector<ExitCode> failures_;
  std::int64_t differences_ = 0;
  std::int64_t pending_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t repaired_ = 0;
  bool problems_ = false;
};

}  // namespace

int run_verify(Context& context) { return Verify(context).run(); }

}  // namespace tidemark::cli
