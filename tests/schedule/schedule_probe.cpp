// Answers questions about schedules for schedule_test.py, one a line, fields separated by tabs,
// times in seconds since 1970:
//   cron    ZONE  LINE             FROM  COUNT   the next COUNT runs after FROM
//   window  ZONE  WINDOW|WINDOW... TIME...       for each TIME the next moment that is allowed
#include <cstdint>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "scheduler/schedule.h"

namespace {

using tidemark::scheduler::ExcludeWindows;
using tidemark::scheduler::Time;
using tidemark::scheduler::TimeZone;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream input(text);
  for (std::string part; std::getline(input, part, separator);) parts.push_back(part);
  return parts;
}

Time time_of(const std::string& text) { return Time(std::chrono::seconds(std::stoll(text))); }

void tell(Time time) {
  std::cout << ' ' << std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

void answer_cron(const std::vector<std::string>& fields) {
  auto schedule = tidemark::scheduler::parse_schedule("cron " + fields.at(2));
  schedule.zone = TimeZone::named(fields.at(1));
  Time time = time_of(fields.at(3));
  for (int left = std::stoi(fields.at(4)); left > 0; --left) {
    time = tidemark::scheduler::next_after(schedule, time).value();
    tell(time);
  }
}

void answer_window(const std::vector<std::string>& fields) {
  const TimeZone zone = TimeZone::named(fields.at(1));
  const ExcludeWindows windows(split(fields.at(2), '|'));
  for (std::size_t i = 3; i < fields.size(); ++i) {
    tell(windows.next_allowed(time_of(fields[i]), zone));
  }
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const auto fields = split(line, '\t');
    try {
      if (fields.at(0) == "cron") answer_cron(fields);
      if (fields.at(0) == "window") answer_window(fields);
    } catch (const std::exception& error) {
      std::cout << " error: " << error.what();
    }
    std::cout << '\n';
  }
}
