#include "scheduler/metrics_text.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>

namespace tidemark::scheduler {
namespace {

/// Letters, digits and underscores, no digit first; colons are for rules of the server.
[[maybe_unused]] bool is_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
         std::all_of(name.begin(), name.end(), fits);
}

/// Backslash and line feed, and the quote inside of label values.
std::string escaped(std::string_view text, bool quote) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\\' || (quote && c == '"')) {
      result += '\\';
      result += c;
    } else {
      result += c;
    }
  }
  return result;
}

/// The shortest text that is read as the same number.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[64];
  // Whole numbers as such: an exponent is right and hard to read.
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto end = whole ? std::to_chars(text, text + sizeof text, static_cast<std::int64_t>(value))
                         : std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

void write_sample(std::string& page, const std::string& name, const Labels& labels,
                  const std::string& value) {
  page += name;
  char separator = '{';
  for (const auto& [label, text] : labels) {
    assert(is_name(label));
    page += separator + label + "=\"" + escaped(text, true) + '"';
    separator = ',';
  }
  if (separator == ',') page += '}';
  page += ' ' + value + '\n';
}

void write_histogram(std::string& page, const std::string& name,
                     const MetricFamily::HistogramSample& sample) {
  const Histogram& histogram = sample.histogram;
  const auto write_bucket = [&](const std::string& bound, std::uint64_t count) {
    Labels labels = sample.labels;
    labels.emplace_back("le", bound);
    write_sample(page, name + "_bucket", labels, std::to_string(count));
  };
  for (std::size_t i = 0; i < histogram.bounds().size(); ++i) {
    write_bucket(number(histogram.bounds()[i]), histogram.cumulative(i));
  }
  write_bucket("+Inf", histogram.count());
  write_sample(page, name + "_sum", sample.labels, number(histogram.sum()));
  write_sample(page, name + "_count", sample.labels, std::to_string(histogram.count()));
}

const char* type_text(MetricType type) {
  switch (type) {
    case MetricType::counter:
      return "counter";
    case MetricType::gauge:
      return "gauge";
    case MetricType::histogram:
      break;
  }
  return "histogram";
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size()) {
  assert(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  if (bucket < static_cast<std::ptrdiff_t>(counts_.size())) {
    ++counts_[static_cast<std::size_t>(bucket)];
  }
  ++count_;
  sum_ += value;
}

std::uint64_t Histogram::cumulative(std::size_t i) const {
  std::uint64_t total = 0;
  for (std::size_t bucket = 0; bucket <= i; ++bucket) total += counts_[bucket];
  return total;
}

std::string metrics_text(const std::vector<MetricFamily>& families) {
  std::string page;
  for (const MetricFamily& family : families) {
    if (family.samples.empty() && family.histograms.empty()) continue;
    assert(is_name(family.name));
    page += "# HELP " + family.name + ' ' + escaped(family.help, false) + '\n';
    page += "# TYPE " + family.name + ' ' + type_text(family.type) + '\n';
    for (const auto& sample : family.samples) {
      assert(family.type != MetricType::histogram);
      write_sample(page, family.name, sample.labels, number(sample.value));
    }
    for (const auto& sample : family.histograms) {
      assert(family.type == MetricType::histogram);
      write_histogram(page, family.name, sample);
    }
  }
  return page;
}

}  // namespace tidemark::scheduler
