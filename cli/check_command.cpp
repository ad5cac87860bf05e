#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "cli/capture_trouble.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/text.h"
#include "scheduler/session.h"

namespace tidemark::cli {
namespace {

using scheduler::JobConfig;

enum class Severity : std::uint8_t { note, warning, error };

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::error:
      return "error";
    case Severity::warning:
      return "warning";
    case Severity::note:
      break;
  }
  return "note";
}

struct Finding {
  Severity severity = Severity::note;
  ExitCode code = ExitCode::done;  // of an error
  std::string job;                 // empty: about a node as such
  std::string node;                // empty: about a pair or a job
  std::string table;
  std::string message;
  std::string hint;
};

struct NodeLook {
  bool reachable = false;
  std::optional<Identity> identity;
  std::vector<TableSpec> catalog;
  std::vector<ActiveTable> active;
  std::vector<Concern> concerns;
};

const TableSpec* find_spec(const std::vector<TableSpec>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const TableSpec& table) { return table.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

const ActiveTable* find_active(const NodeLook& node, const std::string& name) {
  const auto found =
      std::find_if(node.active.begin(), node.active.end(),
                   [&](const ActiveTable& table) { return table.spec.name == name; });
  return found == node.active.end() ? nullptr : &*found;
}

class Check {
 public:
  explicit Check(Context& context) : context_(context), jobs_(context.jobs()) {}

  int run() {
    look_at_nodes();
    for (const JobConfig* job : jobs_) look_at_job(*job);
    look_at_idle_nodes();
    return tell();
  }

 private:
  void add(Finding finding) {
    // Two jobs over one table find the same things.
    const bool known = std::any_of(findings_.begin(), findings_.end(), [&](const Finding& other) {
      return other.message == finding.message && other.severity == finding.severity;
    });
    if (!known) findings_.push_back(std::move(finding));
  }

  // --- Nodes
  // --------------------------------------------------------------------------------------------
  void look_at_nodes() {
    for (const JobConfig* job : jobs_) {
      for (const std::string& name : job->nodes) {
        if (nodes_.contains(name)) continue;
        throw_if_interrupted();
        order_.push_back(name);
        look_at_node(name, nodes_[name]);
      }
    }
  }

  void look_at_node(const std::string& name, NodeLook& look) {
    try {
      // Opened as a session would, so that a database that can only be read shows here.
      Node& node = context_.node(name, Access::read_write);
      look.identity = node.identity();
      look.catalog = node.catalog();
      if (look.identity) look.active = node.active_tables();
      look.concerns = node.concerns();
      look.reachable = true;
    } catch (const Error& error) {
      add({.severity = Severity::error,
           .code = error.code(),
           .job = "",
           .node = name,
           .table = "",
           .message = error.what(),
           .hint = error.hint()});
      return;
    }
    if (!look.identity) {
      add({.severity = Severity::note,
           .code = ExitCode::done,
           .job = "",
           .node = name,
           .table = "",
           .message = "node " + name + " is not activated",
           .hint = "run 'tidemark activate " + name + "'"});
    }
    for (const ActiveTable& table : look.active) look_at_capture(name, table);
    for (const Concern& concern : look.concerns) {
      add({.severity = concern.obstacle ? Severity::error : Severity::warning,
           .code = ExitCode::not_ready,
           .job = "",
           .node = name,
           .table = concern.table,
           .message = "node " + name + ": " +
                      (concern.table.empty() ? "" : "table " + concern.table + ": ") +
                      concern.message,
           .hint = concern.hint});
    }
  }

  void look_at_capture(const std::string& name, const ActiveTable& table) {
    Finding finding{.severity = Severity::warning,
                    .code = ExitCode::not_ready,
                    .job = "",
                    .node = name,
                    .table = table.spec.name,
                    .message = "table " + table.spec.name + " on node " + name,
                    .hint = ""};
    if (table.health != CaptureHealth::intact) {
      CaptureTrouble trouble = capture_trouble(table, name);
      finding.message += ": " + trouble.what;
      finding.hint = std::move(trouble.remedy);
    } else if (table.is_reshaped()) {
      finding.severity = Severity::note;
      finding.message += " was changed since it was activated (" +
                         shape_changes(table.activated_shape, table.current_shape) + ")";
      finding.hint = "the next session goes on with it once the other nodes were changed alike";
    } else {
      return;
    }
    add(std::move(finding));
  }

  void look_at_idle_nodes() {
    if (!context_.line().words.empty()) return;
    for (const scheduler::NodeConfig& node : context_.config().nodes) {
      if (!context_.config().jobs_of(node.name).empty()) continue;
      add({.severity = Severity::note,
           .code = ExitCode::done,
           .job = "",
           .node = node.name,
           .table = "",
           .message = "node " + node.name + " is part of no job",
           .hint = "add it to the nodes of a job, or remove it"});
    }
  }

  // --- Jobs
  // -------------------------------------------------------------------------------------------------
  void look_at_job(const JobConfig& job) {
    std::set<std::string> taken;
    for (const std::string& name : job.nodes) {
      const NodeLook& look = nodes_.at(name);
      if (look.reachable) look_at_tables(job, name, look, taken);
    }
    table_counts_[job.name] = taken.size();
    const bool any = std::any_of(job.nodes.begin(), job.nodes.end(), [&](const std::string& name) {
      return nodes_.at(name).reachable;
    });
    if (taken.empty() && any) {
      add(job_finding(job, Severity::error, "job " + job.name + " takes no table of its nodes",
                      "correct tables and exclude of the job, or create the tables"));
    }
    const NodeLook& first = nodes_.at(job.nodes.front());
    if (!first.reachable) return;
    for (std::size_t i = 1; i < job.nodes.size(); ++i) {
      const NodeLook& second = nodes_.at(job.nodes[i]);
      if (second.reachable) look_at_pair(job, job.nodes[i], first, second, taken);
    }
  }

  static Finding job_finding(const JobConfig& job, Severity severity, std::string message,
                             std::string hint) {
    return {.severity = severity,
            .code = ExitCode::not_ready,
            .job = job.name,
            .node = "",
            .table = "",
            .message = std::move(message),
            .hint = std::move(hint)};
  }

  static Finding table_finding(const JobConfig& job, Severity severity, const std::string& node,
                               const std::string& table, std::string message, std::string hint) {
    Finding finding = job_finding(job, severity, std::move(message), std::move(hint));
    finding.node = node;
    finding.table = table;
    return finding;
  }

  void look_at_tables(const JobConfig& job, const std::string& name, const NodeLook& look,
                      std::set<std::string>& taken) {
    for (const TableSpec& table : look.catalog) {
      if (!job.takes(table.name)) continue;
      const std::string where = "table " + table.name + " on node " + name;
      if (!table.refusal.empty()) {
        const bool listed = job.lists(table.name);
        add(table_finding(
            job, listed ? Severity::error : Severity::warning, name, table.name,
            where + (listed ? " cannot take part: it " : " is left out: it ") + table.refusal,
            listed ? "take it out of the job's tables, or change the table"
                   : "change it if it is to take part, or exclude it"));
        continue;
      }
      taken.insert(table.name);
      if (look.identity && find_active(look, table.name) == nullptr) {
        add(table_finding(job, Severity::warning, name, table.name,
                          where + " is not under capture yet",
                          "run 'tidemark activate " + name + "'"));
      }
      look_at_replace(job, name, table);
      look_at_parents(job, name, look, table);
    }
    look_at_relations(job, name, look);
    for (const std::string& table : job.tables) {
      if (table.find_first_of("*?") != std::string::npos || !job.takes(table)) continue;
      if (find_spec(look.catalog, table) != nullptr) continue;
      add(table_finding(job, Severity::error, name, table,
                        "node " + name + " has no table " + table,
                        "create it, or run 'tidemark activate " + name +
                            " --create-tables' to have it made like the other node's"));
    }
  }

  /// Rows that a REPLACE evicts are found through the unique values they share with the new row.
  void look_at_replace(const JobConfig& job, const std::string& name, const TableSpec& table) {
    for (const UniqueSpec& unique : table.uniques) {
      if (!unique.has_expression) continue;
      add(table_finding(
          job, Severity::note, name, table.name,
          "table " + table.name + " on node " + name + " has a unique index over an expression (" +
              unique.name + ")",
          "rows that REPLACE evicts through it are looked for by the same expression"));
    }
  }

  void look_at_parents(const JobConfig& job, const std::string& name, const NodeLook& look,
                       const TableSpec& table) {
    for (const ForeignKeySpec& foreign_key : table.foreign_keys) {
      if (find_spec(look.catalog, foreign_key.parent_table) != nullptr) continue;
      add(table_finding(job, Severity::warning, name, table.name,
                        "table " + table.name + " on node " + name + " refers to table " +
                            foreign_key.parent_table + ", which does not exist",
                        "create the parent table, or drop the foreign key"));
    }
  }

  void look_at_relations(const JobConfig& job, const std::string& name, const NodeLook& look) {
    std::set<std::string> taken;
    for (const TableSpec& table : look.catalog) {
      if (job.takes(table.name) && table.refusal.empty()) taken.insert(table.name);
    }
    for (const scheduler::CutRelation& relation : scheduler::cut_relations(look.catalog, taken)) {
      add(table_finding(job, Severity::warning, name,
                        relation.child_is_taken ? relation.child : relation.parent,
                        "node " + name + ": " + relation.what(), "take both tables or neither"));
    }
  }

  // --- Pairs
  // ------------------------------------------------------------------------------------------------
  void look_at_pair(const JobConfig& job, const std::string& second_name, const NodeLook& first,
                    const NodeLook& second, const std::set<std::string>& taken) {
    const std::string& first_name = job.nodes.front();
    look_at_identity(job, first_name, second_name, first, second);
    look_at_clocks(job, first_name, second_name);
    for (const std::string& name : taken) {
      const TableSpec* here = find_spec(first.catalog, name);
      const TableSpec* there = find_spec(second.catalog, name);
      if (here == nullptr || there == nullptr) {
        if (job.lists(name)) continue;  // told with the node
        const std::string& lacking = here == nullptr ? first_name : second_name;
        add(table_finding(job, Severity::warning, lacking, name,
                          "table " + name + " is missing on node " + lacking,
                          "run 'tidemark activate " + lacking +
                              " --create-tables' to have it made, or exclude it"));
        continue;
      }
      if (!here->refusal.empty() || !there->refusal.empty()) continue;
      for (const std::string& difference : shape_differences(*here, *there)) {
        add(table_finding(job, Severity::error, second_name, name,
                          "table " + name + " differs between nodes " + first_name +
                              " (here) and " + second_name + " (there): " + difference,
                          "make the two tables alike; sessions leave this one out until then"));
      }
    }
  }

  void look_at_identity(const JobConfig& job, const std::string& first_name,
                        const std::string& second_name, const NodeLook& first,
                        const NodeLook& second) {
    if (!first.identity || !second.identity) return;
    if (first.identity->node_id != second.identity->node_id) return;
    Finding finding =
        job_finding(job, Severity::error,
                    "nodes " + first_name + " and " + second_name +
                        " carry one identity: one database is a copy of the other",
                    "run 'tidemark activate " + second_name +
                        " --new-identity' if that is the copy, with the other name if not");
    finding.code = ExitCode::refused;
    add(std::move(finding));
  }

  void look_at_clocks(const JobConfig& job, const std::string& first_name,
                      const std::string& second_name) {
    try {
      Node& first = context_.node(first_name, Access::read_write);
      Node& second = context_.node(second_name, Access::read_write);
      const std::int64_t before = first.clock_us();
      const std::int64_t there = second.clock_us();
      const std::int64_t after = first.clock_us();
      // The second clock was read somewhere between the two readings of the first.
      const std::int64_t skew =
          there < before ? before - there : std::max<std::int64_t>(0, there - after);
      if (skew <= job.max_clock_skew.count()) return;
      Finding finding = job_finding(job, Severity::error,
                                    "the clocks of nodes " + first_name + " and " + second_name +
                                        " differ by " + std::to_string(skew / 1000) + " ms",
                                    "the latest change wins, so clocks must agree: set the wrong "
                                    "one, or raise max_clock_skew");
      finding.code = ExitCode::refused;
      add(std::move(finding));
    } catch (const Error& error) {
      Finding finding = job_finding(job, Severity::error, error.what(), error.hint());
      finding.code = error.code();
      add(std::move(finding));
    }
  }

  // --- The answer
  // ---------------------------------------------------------------------------------------------
  Json node_json(const std::string& name) const {
    const NodeLook& look = nodes_.at(name);
    return {{"node", name},
            {"reachable", look.reachable},
            {"activated", look.identity.has_value()},
            {"tables", look.catalog.size()},
            {"captured", look.active.size()}};
  }

  static Json finding_json(const Finding& finding) {
    const auto text = [](const std::string& value) {
      return value.empty() ? Json(nullptr) : Json(value);
    };
    return {{"severity", to_string(finding.severity)},
            {"job", text(finding.job)},
            {"node", text(finding.node)},
            {"table", text(finding.table)},
            {"message", finding.message},
            {"hint", finding.hint}};
  }

  std::string nodes_text() const {
    using Align = TextTable::Align;
    TextTable table({{"node"},
                     {"connection"},
                     {"activated"},
                     {"tables", Align::right},
                     {"captured", Align::right}});
    for (const std::string& name : order_) {
      const NodeLook& look = nodes_.at(name);
      table.add({name, look.reachable ? "ok" : "failed",
                 !look.reachable ? ""
                 : look.identity ? "yes"
                                 : "no",
                 look.reachable ? grouped(static_cast<std::int64_t>(look.catalog.size())) : "",
                 look.identity ? grouped(static_cast<std::int64_t>(look.active.size())) : ""});
    }
    return table.render();
  }

  int tell() {
    Json nodes = Json::array();
    for (const std::string& name : order_) nodes.push_back(node_json(name));
    Json findings = Json::array();
    std::string text = nodes_text();
    for (const auto& [job, count] : table_counts_) {
      text += "job " + printable(job) + ": " + counted(static_cast<std::int64_t>(count), "table") +
              "\n";
    }
    std::int64_t errors = 0;
    std::int64_t warnings = 0;
    ExitCode code = ExitCode::done;
    std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
      return static_cast<int>(a.severity) > static_cast<int>(b.severity);
    });
    for (const Finding& finding : findings_) {
      if (finding.severity == Severity::error) {
        if (errors++ == 0) code = finding.code;
      } else if (finding.severity == Severity::warning) {
        ++warnings;
      }
      findings.push_back(finding_json(finding));
      text += "\n" + std::string(to_string(finding.severity)) + ": " + printable(finding.message) +
              "\n  HINT: " + printable(finding.hint) + "\n";
    }
    text +=
        "\n" +
        (errors + warnings == 0 ? std::string("nothing stands in the way")
                                : counted(errors, "error") + ", " + counted(warnings, "warning")) +
        "\n";
    context_.output().document("check", {{"ok", errors == 0},
                                         {"errors", errors},
                                         {"warnings", warnings},
                                         {"nodes", std::move(nodes)},
                                         {"findings", std::move(findings)}});
    context_.output().text(text);
    return static_cast<int>(code);
  }

  Context& context_;
  const std::vector<const JobConfig*> jobs_;
  std::vector<std::string> order_;
  std::map<std::string, NodeLook> nodes_;
  std::map<std::string, std::size_t> table_counts_;
  std::vector<Finding> findings_;
};

}  // namespace

int run_check(Context& context) { return Check(context).run(); }

}  // namespace tidemark::cli
