#include "scheduler/metrics_text.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <limits>
#include <string>

using namespace tidemark::scheduler;

namespace {

MetricFamily gauge(const std::string& help = "A value") {
  return {.name = "tidemark_lag_seconds", .help = help, .type = MetricType::gauge};
}

std::string value_text(double value) {
  MetricFamily family = gauge();
  family.add(value);
  const std::string page = metrics_text({family});
  const auto begin = page.rfind("tidemark_lag_seconds ") + 21;
  return page.substr(begin, page.size() - begin - 1);
}

/// What `promtool check metrics` says about a page: nothing when it is content.
std::string promtool(const std::string& page) {
  char name[] = "/tmp/tidemark-metrics-XXXXXX";
  const int file = ::mkstemp(name);
  REQUIRE(file >= 0);
  std::FILE* out = ::fdopen(file, "w");
  std::fwrite(page.data(), 1, page.size(), out);
  std::fclose(out);
  const std::string command = "promtool check metrics < " + std::string(name) + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string said;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) said += static_cast<char>(c);
  const int status = ::pclose(pipe);
  std::remove(name);
  if (status != 0 && said.empty()) said = "promtool failed";
  return said;
}

std::vector<MetricFamily> every_kind() {
  MetricFamily sessions{.name = "tidemark_sessions_total",
                        .help = "Sessions that ended, by outcome",
                        .type = MetricType::counter};
  sessions.add(12, {{"job", "branch1"}, {"outcome", "done"}});
  sessions.add(0, {{"job", "odd \"name\"\\\nof two lines"}, {"outcome", "failed"}});
  MetricFamily lag = gauge("Age of the oldest change that is not carried yet\nin \\ seconds");
  lag.add(0.25, {{"job",
                  "Gr\xc3\xb6\xc3\x9f"
                  "e"}});
  MetricFamily duration{.name = "tidemark_session_duration_seconds",
                        .help = "How long sessions took",
                        .type = MetricType::histogram};
  Histogram histogram({0.01, 0.1, 1});
  for (const double value : {0.005, 0.01, 0.05, 0.5, 20.0}) histogram.observe(value);
  duration.add(histogram, {{"job", "branch1"}});
  return {sessions, lag, duration};
}

}  // namespace

TEST_CASE("a page of metrics is text of Prometheus") {
  CHECK(
      metrics_text(every_kind()) ==
      "# HELP tidemark_sessions_total Sessions that ended, by outcome\n"
      "# TYPE tidemark_sessions_total counter\n"
      "tidemark_sessions_total{job=\"branch1\",outcome=\"done\"} 12\n"
      "tidemark_sessions_total{job=\"odd \\\"name\\\"\\\\\\nof two lines\",outcome=\"failed\"} 0\n"
      "# HELP tidemark_lag_seconds Age of the oldest change that is not carried yet\\nin \\\\ "
      "seconds\n"
      "# TYPE tidemark_lag_seconds gauge\n"
      "tidemark_lag_seconds{job=\"Gr\xc3\xb6\xc3\x9f"
      "e\"} 0.25\n"
      "# HELP tidemark_session_duration_seconds How long sessions took\n"
      "# TYPE tidemark_session_duration_seconds histogram\n"
      "tidemark_session_duration_seconds_bucket{job=\"branch1\",le=\"0.01\"} 2\n"
      "tidemark_session_duration_seconds_bucket{job=\"branch1\",le=\"0.1\"} 3\n"
      "tidemark_session_duration_seconds_bucket{job=\"branch1\",le=\"1\"} 4\n"
      "tidemark_session_duration_seconds_bucket{job=\"branch1\",le=\"+Inf\"} 5\n"
      "tidemark_session_duration_seconds_sum{job=\"branch1\"} 20.565\n"
      "tidemark_session_duration_seconds_count{job=\"branch1\"} 5\n");
  CHECK(metrics_text({}).empty());
  CHECK(metrics_text({gauge()}).empty());
}

TEST_CASE("numbers of metrics are short and lose nothing") {
  CHECK(value_text(0) == "0");
  CHECK(value_text(-3) == "-3");
  CHECK(value_text(1764040000.125) == "1764040000.125");
  CHECK(value_text(9007199254740993.0) == "9007199254740992");
  CHECK(value_text(0.1) == "0.1");
  CHECK(value_text(1e300) == "1e+300");
  CHECK(value_text(std::numeric_limits<double>::infinity()) == "+Inf");
  CHECK(value_text(-std::numeric_limits<double>::infinity()) == "-Inf");
  CHECK(value_text(std::numeric_limits<double>::quiet_NaN()) == "NaN");
}

TEST_CASE("promtool accepts the page, and refuses a broken one") {
  const std::string page = metrics_text(every_kind());
  CHECK(promtool(page).empty());
  CHECK_FALSE(promtool(page + "tidemark_sessions_total{job=\"twice} 1\n").empty());
  CHECK_FALSE(promtool("# HELP tidemark_sessions Sessions\n# TYPE tidemark_sessions counter\n"
                       "tidemark_sessions 1\n")
                  .empty());
}
