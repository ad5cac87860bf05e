#include <algorithm>
#include <charconv>

#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/context.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/time_text.h"

namespace tidemark::cli {
namespace {

constexpr std::int64_t kDefaultLimit = 20;
constexpr std::int64_t kMaxLimit = 1'000'000;

std::int64_t read_limit(const CommandLine& line) {
  const std::optional<std::string> text = line.argument("limit");
  if (!text) return kDefaultLimit;
  std::int64_t limit = 0;
  const char* const end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, limit);
  if (parsed.ec != std::errc() || parsed.ptr != end || limit < 1 || limit > kMaxLimit) {
    throw Error(ExitCode::usage, "option --limit cannot be \"" + *text + "\"",
                "give a number from 1 to 1000000");
  }
  return limit;
}

std::vector<SessionRecord> read_records(Context& context, std::int64_t limit,
                                        std::vector<ExitCode>& failures, std::size_t& attempts) {
  const auto jobs = context.jobs();
  const auto wanted = [&](const SessionRecord& record) {
    return context.line().words.empty() ||
           std::any_of(jobs.begin(), jobs.end(),
                       [&](const scheduler::JobConfig* job) { return job->name == record.job; });
  };
  std::vector<SessionRecord> records;
  for (const std::string& name : nodes_in_jobs(context.config())) {
    ++attempts;
    try {
      Node& node = context.node(name, Access::read_only);
      if (!node.identity()) continue;
      // Records of other jobs are passed over below, so a chosen job needs a longer look back.
      for (SessionRecord& record :
           node.sessions(context.line().words.empty() ? limit : kMaxLimit)) {
        if (wanted(record)) records.push_back(std::move(record));
      }
    } catch (const Error& error) {
      failures.push_back(error.code());
      context.warn(of_node(name, error.what()));
    }
  }
  std::stable_sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return a.finished_at_us > b.finished_at_us;
  });
  if (records.size() > static_cast<std::size_t>(limit))
    records.resize(static_cast<std::size_t>(limit));
  return records;
}

Json record_json(const SessionRecord& record) {
  Json tables = Json::array();
  for (const auto& [table, counts] : record.tables) {
    Json entry = {{"table", table}};
    entry.update(counts_json(counts));
    tables.push_back(std::move(entry));
  }
  return {{"session", record.session_id},
          {"job", record.job},
          {"mode", record.mode},
          {"source", record.source},
          {"target", record.target},
          {"started_at", rfc3339(record.started_at_us)},
          {"finished_at", rfc3339(record.finished_at_us)},
          {"tables", std::move(tables)}};
}

std::string record_text(const SessionRecord& record) {
  std::string text = short_time(record.finished_at_us) + "  " + record.job + ": " + record.source +
                     " -> " + record.target + " (" + record.mode + ", " +
                     duration_text(record.finished_at_us - record.started_at_us) + ")\n";
  text = printable(text.substr(0, text.size() - 1)) + "\n";
  if (record.tables.empty()) return text + "  no rows, only knowledge\n";
  using Align = TextTable::Align;
  TextTable table({{"table"},
                   {"received", Align::right},
                   {"inserted", Align::right},
                   {"updated", Align::right},
                   {"deleted", Align::right},
                   {"adopted", Align::right},
                   {"conflicts", Align::right},
                   {"quarantined", Align::right}});
  for (const auto& [name, counts] : record.tables) {
    table.add({name, grouped(counts.received), grouped(counts.inserted), grouped(counts.updated),
               grouped(counts.deleted), grouped(counts.adopted), grouped(counts.conflicts),
               grouped(counts.quarantined)});
  }
  return text + table.render(2);
}

}  // namespace

int run_sessions(Context& context) {
  const std::int64_t limit = read_limit(context.line());
  std::vector<ExitCode> failures;
  std::size_t attempts = 0;
  const std::vector<SessionRecord> records = read_records(context, limit, failures, attempts);
  Json list = Json::array();
  std::string text;
  for (const SessionRecord& record : records) {
    list.push_back(record_json(record));
    text += record_text(record);
  }
  context.output().document("sessions", {{"sessions", std::move(list)}});
  context.output().text(records.empty() ? "no session has changed anything yet\n" : text);
  return summed_exit_code(failures, attempts);
}

}  // namespace tidemark::cli
