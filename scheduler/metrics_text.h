// Metrics in the text format of Prometheus (version 0.0.4). The caller builds families of samples;
// metrics_text writes them as a page for a scraper. Values in, text out: no state, no I/O.
//
//   MetricFamily sessions{.name = "tidemark_sessions_total", .help = "Sessions that ended",
//                         .type = MetricType::counter};
//   sessions.add(12, {{"job", "branch1"}, {"outcome", "done"}});
//   std::string page = metrics_text({sessions});
//
// Names and label names are the program's own and asserted; help and label values may be anything
// and are escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidemark::scheduler {

/// Media type of a page, for the answer's header.
inline constexpr std::string_view kMetricsMediaType = "text/plain; version=0.0.4; charset=utf-8";

enum class MetricType : std::uint8_t { counter, gauge, histogram };

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Counts of observed values, each in the first bucket whose bound it does not exceed. Bounds grow;
/// values beyond the last are in the count alone.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);

  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  /// Values at or below bound i.
  std::uint64_t cumulative(std::size_t i) const;
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

struct MetricFamily {
  std::string name;  // a counter's ends with _total, a time's with _seconds
  std::string help;
  MetricType type = MetricType::gauge;

  struct Sample {
    Labels labels;
    double value;
  };
  struct HistogramSample {
    Labels labels;
    Histogram histogram;
  };
  std::vector<Sample> samples{};              // of counters and gauges
  std::vector<HistogramSample> histograms{};  // of histograms

  void add(double value, Labels labels = {}) { samples.push_back({std::move(labels), value}); }
  void add(Histogram histogram, Labels labels = {}) {
    histograms.push_back({std::move(labels), std::move(histogram)});
  }
};

/// The page. Families without samples are left out; a family's name must occur once.
std::string metrics_text(const std::vector<MetricFamily>& families);

}  // namespace tidemark::scheduler
