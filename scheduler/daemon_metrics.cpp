#include "scheduler/daemon_metrics.h"

#include <utility>
#include <vector>

#include "scheduler/metrics_text.h"

namespace tidemark::scheduler {
namespace {

constexpr double kMicro = 1e-6;

}  // namespace

void DaemonMetrics::session_done(const SessionReport& report, std::int64_t took_us,
                                 std::int64_t waiting, std::int64_t now_us) {
  const std::lock_guard guard(mutex_);
  PairCounts& counts = pairs_[{report.job, report.first, report.second}];
  ++counts.sessions["success"];
  counts.seconds.observe(static_cast<double>(took_us) * kMicro);
  counts.last_success_us = now_us;
  counts.waiting = waiting;
  const PullCounts second = report.to_second.total();
  const PullCounts first = report.to_first.total();
  counts.conflicts += first.conflicts + second.conflicts;
  counts.to_second.changes += second.changed();
  counts.to_first.changes += first.changed();
  const auto observe = [](Histogram& lags, const std::optional<std::int64_t>& lag_us) {
    if (lag_us) lags.observe(static_cast<double>(*lag_us) * kMicro);
  };
  observe(counts.to_second.lags, report.lag_to_second_us());
  observe(counts.to_first.lags, report.lag_to_first_us());
  if (report.second_heard_us != 0) counts.to_second.heard_us = report.second_heard_us;
  if (report.first_heard_us != 0) counts.to_first.heard_us = report.first_heard_us;
}

void DaemonMetrics::session_failed(const std::string& job, const std::string& first,
                                   const std::string& second, const std::string& result,
                                   std::int64_t took_us) {
  const std::lock_guard guard(mutex_);
  PairCounts& counts = pairs_[{job, first, second}];
  ++counts.sessions[result];
  counts.seconds.observe(static_cast<double>(took_us) * kMicro);
}

void DaemonMetrics::set_jobs(std::map<std::string, JobGauges> jobs) {
  const std::lock_guard guard(mutex_);
  jobs_ = std::move(jobs);
}

void DaemonMetrics::set_nodes(std::map<std::string, bool> watched) {
  const std::lock_guard guard(mutex_);
  nodes_ = std::move(watched);
}

void DaemonMetrics::set_behind(std::map<LagKey, std::int64_t> since_us) {
  const std::lock_guard guard(mutex_);
  behind_ = std::move(since_us);
}

void DaemonMetrics::alert(const std::string& kind) {
  const std::lock_guard guard(mutex_);
  ++alerts_[kind];
}

void DaemonMetrics::keep_only(const std::set<PairKey>& pairs) {
  const std::lock_guard guard(mutex_);
  std::erase_if(pairs_, [&](const auto& entry) { return !pairs.contains(entry.first); });
}

std::string DaemonMetrics::text() const {
  const std::lock_guard guard(mutex_);
  std::vector<MetricFamily> families;
  families.reserve(16);  // those that are filled below stay where they are
  const auto family = [&families](const char* name, MetricType type, const char* help) {
    families.push_back({.name = name, .help = help, .type = type});
    return &families.back();
  };
  MetricFamily* sessions =
      family("tidemark_sessions_total", MetricType::counter, "Sessions that ended");
  MetricFamily* took =
      family("tidemark_session_duration_seconds", MetricType::histogram, "How long sessions took");
  MetricFamily* changes = family("tidemark_changes_applied_total", MetricType::counter,
                                 "Rows that sessions wrote to the target");
  MetricFamily* conflicts =
      family("tidemark_conflicts_total", MetricType::counter, "Conflicts that were logged");
  MetricFamily* waiting =
      family("tidemark_quarantined_rows", MetricType::gauge,
             "Rows that wait in quarantine on the two nodes, as of the last session");
  MetricFamily* lag = family("tidemark_lag_seconds", MetricType::histogram,
                             "From the commit on the source to the commit on the target, of the "
                             "oldest change or heartbeat that a session carried");
  MetricFamily* heartbeat =
      family("tidemark_heartbeat_timestamp_seconds", MetricType::gauge,
             "When the last heartbeat that has reached the target was sent by the source");
  MetricFamily* success = family("tidemark_last_success_timestamp_seconds", MetricType::gauge,
                                 "When a session of the pair last succeeded");
  for (const auto& [key, counts] : pairs_) {
    const Labels pair = {{"job", key.job}, {"first", key.first}, {"second", key.second}};
    for (const auto& [result, count] : counts.sessions) {
      Labels labels = pair;
      labels.emplace_back("result", result);
      sessions->add(static_cast<double>(count), std::move(labels));
    }
    took->add(counts.seconds, pair);
    conflicts->add(static_cast<double>(counts.conflicts), pair);
    waiting->add(static_cast<double>(counts.waiting), pair);
    if (counts.last_success_us) {
      success->add(static_cast<double>(*counts.last_success_us) * kMicro, pair);
    }
    for (const bool to_second : {true, false}) {
      const PairCounts::Direction& direction = to_second ? counts.to_second : counts.to_first;
      const Labels labels = {{"job", key.job},
                             {"source", to_second ? key.first : key.second},
                             {"target", to_second ? key.second : key.first}};
      changes->add(static_cast<double>(direction.changes), labels);
      if (direction.lags.count() > 0) lag->add(direction.lags, labels);
      if (direction.heard_us) {
        heartbeat->add(static_cast<double>(*direction.heard_us) * kMicro, labels);
      }
    }
  }
  MetricFamily* behind =
      family("tidemark_oldest_pending_change_timestamp_seconds", MetricType::gauge,
             "When the oldest change was made that the source has and the target does not; none "
             "where nothing waits");
  for (const auto& [key, since_us] : behind_) {
    behind->add(static_cast<double>(since_us) * kMicro,
                {{"job", key.job}, {"source", key.source}, {"target", key.target}});
  }
  MetricFamily* paused =
      family("tidemark_job_paused", MetricType::gauge, "1 while the job is paused");
  MetricFamily* leased =
      family("tidemark_job_leased", MetricType::gauge, "1 while this daemon runs the job");
  MetricFamily* failing = family("tidemark_job_failing_pairs", MetricType::gauge,
                                 "Pairs of the job whose last session failed");
  for (const auto& [job, gauges] : jobs_) {
    const Labels labels = {{"job", job}};
    paused->add(gauges.paused ? 1 : 0, labels);
    leased->add(gauges.leased ? 1 : 0, labels);
    failing->add(static_cast<double>(gauges.failing_pairs), labels);
  }
  MetricFamily* watched =
      family("tidemark_node_watched", MetricType::gauge, "1 while changes on the node are noticed");
  for (const auto& [node, is_watched] : nodes_) watched->add(is_watched ? 1 : 0, {{"node", node}});
  MetricFamily* alerts =
      family("tidemark_alerts_total", MetricType::counter, "Incidents that were reported");
  for (const auto& [kind, count] : alerts_) {
    alerts->add(static_cast<double>(count), {{"kind", kind}});
  }
  return metrics_text(families);
}

}  // namespace tidemark::scheduler
