#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "capture/activate.h"
#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/text.h"
#include "engines/registry.h"
#include "scheduler/key_ranges.h"
#include "scheduler/meeting.h"
#include "scheduler/session.h"

namespace tidemark::cli {
namespace {

/// An empty database that stands in for one that does not exist yet while a dry run looks at it.
class ScratchDatabase {
 public:
  ScratchDatabase(const std::string& name, const std::string& url) {
    std::string pattern = (std::filesystem::temp_directory_path() / "tidemark-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw Error(ExitCode::failed,
                  "cannot make a temporary folder: " + std::string(std::strerror(errno)),
                  "free space on the disk, or set TMPDIR to a folder that can be written");
    }
    directory_ = pattern;
    const std::string scratch_url = url.substr(0, url.find(':') + 1) + "scratch.db";
    create_database(scratch_url, directory_);
    node_ = open_node({.node_name = name, .url = scratch_url, .directory = directory_});
  }
  ~ScratchDatabase() {
    node_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;

  Node& node() { return *node_; }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<Node> node_;
};

struct Plan {
  std::string name;
  capture::ActivationRequest request;
  std::vector<std::string> left_out;  // sentences
  bool new_database = false;
};

class Activation {
 public:
  explicit Activation(Context& context)
      : context_(context),
        config_(context.config()),
        dry_run_(context.line().has("dry-run")),
        create_(context.line().has("create-tables")) {}

  int run() {
    choose_nodes();
    check_options();
    // Everything is looked at before anything is changed.
    for (const std::string& name : names_) load_catalog(name);
    if (create_) plan_new_tables();
    for (const std::string& name : names_) plans_.push_back(plan(name));
    check_ranges();
    // The most likely to fail of what follows, so it comes before any node is changed.
    for (const std::string& name : missing_) {
      if (!dry_run_) create_database(config_.node(name).url, config_.directory);
    }
    Json nodes = Json::array();
    for (const Plan& each : plans_) {
      throw_if_interrupted();
      nodes.push_back(carry_out(each));
    }
    const Json ranges = set_up_ranges();
    context_.output().document(
        "activate", {{"dry_run", dry_run_}, {"nodes", std::move(nodes)}, {"ranges", ranges}});
    return 0;
  }

 private:
  void choose_nodes() {
    for (const std::string& name : context_.line().words) {
      config_.node(name);
      if (config_.jobs_of(name).empty()) {
        throw Error(ExitCode::usage, "node " + name + " is part of no job",
                    "add it to the nodes of a job in " + config_.file.string());
      }
      if (std::find(names_.begin(), names_.end(), name) == names_.end()) names_.push_back(name);
    }
    if (names_.empty()) names_ = nodes_in_jobs(config_);
  }

  void check_options() const {
    const bool identity = context_.line().has("new-identity");
    const bool incarnation = context_.line().has("new-incarnation");
    if (!identity && !incarnation) return;
    if (identity && incarnation) {
      throw Error(
          ExitCode::usage, "--new-identity and --new-incarnation exclude each other",
          "--new-identity is for a copy of another node, --new-incarnation for a node that was "
          "restored from its own backup");
    }
    if (context_.line().words.size() != 1) {
      throw Error(ExitCode::usage,
                  std::string(identity ? "--new-identity" : "--new-incarnation") +
                      " needs the name of one node",
                  "run 'tidemark activate NODE " +
                      std::string(identity ? "--new-identity'" : "--new-incarnation'"));
    }
  }

  /// The node itself, or what stands in for it in a dry run.
  Node& open(const std::string& name) {
    if (const auto scratch = scratch_.find(name); scratch != scratch_.end()) {
      return scratch->second->node();
    }
    return context_.node(name, Access::owner);
  }

  void load_catalog(const std::string& name) {
    const std::string& url = config_.node(name).url;
    if (create_ && is_missing(url, config_.directory)) {
      missing_.push_back(name);
      if (dry_run_) {
        scratch_.emplace(name, std::make_unique<ScratchDatabase>(name, url));
      } else {
        return;  // made when its turn comes; there is nothing to read yet
      }
    }
    catalogs_[name] = open(name).catalog();
  }

  bool is_chosen(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  static bool has_table(const std::vector<TableSpec>& tables, const std::string& name) {
    return std::any_of(tables.begin(), tables.end(),
                       [&](const TableSpec& table) { return table.name == name; });
  }

  /// Every chosen node gets the tables that the other nodes of its jobs have; what one gets in this
  /// way another may get from it.
  void plan_new_tables() {
    for (const std::string& name : names_) {
      for (const scheduler::JobConfig* job : config_.jobs_of(name)) {
        for (const std::string& other : job->nodes) {
          if (is_chosen(other) || catalogs_.contains(other)) continue;
          catalogs_[other] = context_.node(other, Access::read_only).catalog();
        }
      }
    }
    bool grew = true;
    while (grew) {
      grew = false;
      for (const std::string& name : names_) grew |= take_tables_of_others(name);
    }
  }

  bool take_tables_of_others(const std::string& name) {
    bool grew = false;
    for (const scheduler::JobConfig* job : config_.jobs_of(name)) {
      for (const std::string& other : job->nodes) {
        if (other == name) continue;
        for (const TableSpec& table : std::vector<TableSpec>(catalogs_[other])) {
          if (!table.refusal.empty() || !job->takes(table.name)) continue;
          if (has_table(catalogs_[name], table.name)) continue;
          catalogs_[name].push_back(table);
          new_tables_[name].push_back(table);
          grew = true;
        }
      }
    }
    return grew;
  }

  Plan plan(const std::string& name) {
    Plan plan;
    plan.name = name;
    plan.new_database = std::find(missing_.begin(), missing_.end(), name) != missing_.end();
    plan.request.new_identity = context_.line().has("new-identity");
    plan.request.new_incarnation = context_.line().has("new-incarnation");
    plan.request.create_first = new_tables_[name];
    scheduler::sort_parents_first(plan.request.create_first);
    std::vector<TableSpec> wanted;
    for (const scheduler::JobConfig* job : config_.jobs_of(name)) {
      for (const TableSpec& table : catalogs_[name]) {
        if (!job->takes(table.name)) continue;
        if (!table.refusal.empty() && !job->lists(table.name)) {
          plan.left_out.push_back("table " + table.name + " on node " + name + " is left out: it " +
                                  table.refusal);
          continue;
        }
        if (!has_table(wanted, table.name)) wanted.push_back(table);
      }
    }
    scheduler::sort_parents_first(wanted);
    for (const TableSpec& table : wanted) plan.request.tables.push_back(table.name);
    for (const scheduler::JobConfig* job : config_.jobs_of(name))
      add_listed(*job, plan.request.tables);
    if (plan.request.tables.empty()) {
      throw Error(ExitCode::not_ready, "node " + name + " has no table that its jobs take",
                  create_ ? "no other node of its jobs has one either: create the tables first"
                          : "create the tables, or run 'tidemark activate " + name +
                                " --create-tables' to have them made like the other node's");
    }
    return plan;
  }

  /// Tables that can have no key ranges are told before anything is changed.
  void check_ranges() {
    for (const std::string& name : names_) {
      if (std::find(missing_.begin(), missing_.end(), name) != missing_.end()) continue;
      for (const scheduler::JobConfig* job : config_.jobs_of(name)) {
        for (const TableSpec& table : catalogs_[name]) {
          if (!job->takes(table.name) || !job->has_ranges(table.name)) continue;
          if (!table.refusal.empty() || has_table(new_tables_[name], table.name)) continue;
          const std::string obstacle = scheduler::range_obstacle(open(name), table);
          if (obstacle.empty()) continue;
          throw Error(ExitCode::not_ready,
                      "job " + job->name + ": table " + table.name +
                          " cannot have key ranges: it " + obstacle,
                      "declare the key INTEGER PRIMARY KEY AUTOINCREMENT (SQLite) or serial or "
                      "identity (PostgreSQL), or take keys = \"ranges\" from this table");
        }
      }
    }
  }

  /// Both nodes of a pair must be there, for one gives what the other uses.
  Json set_up_ranges() {
    Json given = Json::array();
    for (const scheduler::JobConfig& job : config_.jobs) {
      if (!job.has_ranges()) continue;
      for (std::size_t i = 1; i < job.nodes.size(); ++i) {
        if (is_chosen(job.nodes.front()) || is_chosen(job.nodes[i])) {
          set_up_ranges(job, job.nodes[i], given);
        }
      }
    }
    return given;
  }

  void set_up_ranges(const scheduler::JobConfig& job, const std::string& other, Json& given) {
    if (dry_run_) {
      for (const TableSpec& table : catalogs_[is_chosen(other) ? other : job.nodes.front()]) {
        if (!job.takes(table.name) || !job.has_ranges(table.name)) continue;
        context_.output().text("-- " + printable(job.nodes.front()) + " and " + printable(other) +
                               ": new rows of table " + printable(table.name) +
                               " get numbers from ranges of " +
                               grouped(job.range_size_of(table.name)) + "\n");
      }
      return;
    }
    try {
      Node& first = context_.node(job.nodes.front(), Access::owner);
      Node& second = context_.node(other, Access::owner);
      if (!first.identity() || !second.identity()) {
        context_.warn("job " + job.name + ": nodes " + first.name() + " and " + second.name() +
                      " get their key ranges when both are activated");
        return;
      }
      scheduler::Meeting meeting(first, second);
      const scheduler::TablePlan shared =
          scheduler::plan_tables(job, meeting.first(), meeting.second());
      std::vector<scheduler::RangedTable> tables;
      for (const scheduler::TablePlan::Entry& entry : shared.tables) {
        tables.push_back({.first = entry.first, .second = entry.second});
      }
      const scheduler::RangeReport report = scheduler::keep_ranges(
          {.job = job, .first = meeting.first(), .second = meeting.second(), .tables = tables});
      for (const std::string& what : report.given) {
        context_.output().note(printable(what) + ": the numbers of new rows from now on\n");
        given.push_back(what);
      }
      for (const std::string& warning : report.warnings) context_.warn(warning);
    } catch (const Error& error) {
      context_.warn("job " + job.name + ": key ranges of nodes " + job.nodes.front() + " and " +
                    other + " were not looked after: " + error.what());
    }
  }

  /// A table that a job names must be there; whoever installs capture says so when it is not.
  static void add_listed(const scheduler::JobConfig& job, std::vector<std::string>& tables) {
    for (const std::string& table : job.tables) {
      if (table.find_first_of("*?") != std::string::npos || !job.takes(table)) continue;
      if (std::find(tables.begin(), tables.end(), table) == tables.end()) tables.push_back(table);
    }
  }

  Json carry_out(const Plan& plan) {
    const capture::ActivationReport report =
        capture::activate(open(plan.name), plan.request, dry_run_);
    for (const std::string& sentence : plan.left_out) context_.warn(sentence);
    for (const std::string& table : report.unlisted) {
      context_.warn("table " + table + " on node " + plan.name +
                    " is under capture, but no job takes it any more; it was left as it is");
    }
    tell(plan, report);
    return {{"node", plan.name},
            {"new_database", plan.new_database},
            {"first_time", report.first_time},
            {"identity_changed", report.identity_changed},
            {"created", report.created},
            {"captured", report.captured},
            {"repaired", report.repaired},
            {"reshaped", report.reshaped},
            {"released", report.released},
            {"unlisted", report.unlisted},
            {"left_out", plan.left_out},
            {"script", report.script}};
  }

  void tell(const Plan& plan, const capture::ActivationReport& report) {
    if (dry_run_) {
      std::string text = "-- " + printable(plan.name) + "\n";
      if (plan.new_database) text += "-- the database does not exist yet and would be made\n";
      for (const std::string& statement : report.script) {
        text += statement;
        text += statement.ends_with(";") ? "\n" : ";\n";
      }
      if (report.script.empty()) text += "-- nothing to do\n";
      context_.output().text(text);
      return;
    }
    std::vector<std::string> done;
    if (plan.new_database) done.emplace_back("database made");
    if (report.first_time) done.emplace_back("activated");
    if (report.identity_changed) {
      done.emplace_back(plan.request.new_identity ? "new identity" : "new incarnation");
    }
    if (!report.created.empty()) {
      done.push_back(counted(static_cast<std::int64_t>(report.created.size()), "table") + " made");
    }
    if (!report.captured.empty()) {
      done.push_back(counted(static_cast<std::int64_t>(report.captured.size()), "table") +
                     " newly under capture");
    }
    if (!report.repaired.empty()) {
      done.push_back("capture made whole on " +
                     counted(static_cast<std::int64_t>(report.repaired.size()), "table"));
    }
    if (!report.reshaped.empty()) {
      done.push_back(counted(static_cast<std::int64_t>(report.reshaped.size()), "changed table") +
                     " taken as it is now");
    }
    if (!report.released.empty()) {
      done.push_back(counted(static_cast<std::int64_t>(report.released.size()), "dropped table") +
                     " forgotten");
    }
    std::string text = printable(plan.name) + ": ";
    for (std::size_t i = 0; i < done.size(); ++i) text += (i > 0 ? ", " : "") + done[i];
    if (done.empty()) {
      text += "nothing to do, " +
              counted(static_cast<std::int64_t>(plan.request.tables.size()), "table") +
              " under capture";
    }
    context_.output().note(text + "\n");
  }

  Context& context_;
  const scheduler::Config& config_;
  const bool dry_run_;
  const bool create_;
  std::vector<std::string> names_;
  std::vector<std::string> missing_;  // databases that do not exist yet
  std::map<std::string, std::unique_ptr<ScratchDatabase>> scratch_;
  std::map<std::string, std::vector<TableSpec>> catalogs_;  // with the tables that are to be made
  std::map<std::string, std::vector<TableSpec>> new_tables_;
  std::vector<Plan> plans_;
};

}  // namespace

int run_activate(Context& context) { return Activation(context).run(); }

}  // namespace tidemark::cli
