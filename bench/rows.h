// The rows of the table that the benchmark prints, in groups that can be run alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tidemark::bench {

struct Settings {
  std::filesystem::path folder;  // for databases; everything in it is the benchmark's own
  int rounds = 5;                // runs of each candidate, of which the median counts
  double scale = 1;              // of the number of rows

  std::int64_t scaled(std::int64_t rows) const;
};

struct Row {
  std::string what;
  double measured = 0;
  std::string unit;  // "x" for a ratio
  double must = 0;   // at most; 0 when the row is there for comparison only
  double aim = 0;    // 0 when there is none beyond `must`
  std::string detail;
};

struct Group {
  std::string name;
  std::string what;
  std::vector<Row> (*run)(const Settings& settings);
};

const std::vector<Group>& groups();

std::vector<Row> capture_rows(const Settings& settings);
std::vector<Row> session_rows(const Settings& settings);
std::vector<Row> copy_rows(const Settings& settings);
std::vector<Row> idle_rows(const Settings& settings);
std::vector<Row> verify_rows(const Settings& settings);
std::vector<Row> memory_rows(const Settings& settings);

/// "12.3 ms", for Row::detail.
std::string milliseconds(double seconds);

}  // namespace tidemark::bench
