#include "scheduler/time_zone.h"

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <date/tz.h>

#include "model/error.h"
#include "scheduler/suggest.h"

namespace tidemark::scheduler {
namespace {

constexpr std::string_view kZoneFolder = "/zoneinfo/";
const char* const kNamesHint =
    "time zones are called like \"Europe/Berlin\" or \"UTC\"; timedatectl list-timezones shows all";

bool is_utc(std::string_view name) {
  return name == "UTC" || name == "Etc/UTC" || name == "Z" || name == "GMT";
}

const date::tzdb& zones() {
  try {
    return date::get_tzdb();
  } catch (const std::exception&) {
    throw Error(ExitCode::usage, "the time zones of this machine cannot be read",
                "install the package tzdata, or write time_zone = \"UTC\"");
  }
}

const date::time_zone* find_zone(std::string_view name) {
  for (const date::time_zone& zone : zones().zones) {
    if (zone.name() == name) return &zone;
  }
  return nullptr;
}

/// The name that was likely meant: another case, the city alone, or a misspelling.
std::string unknown_zone_hint(std::string_view name) {
  std::vector<std::string> known;
  for (const date::time_zone& zone : zones().zones) {
    const std::string& candidate = zone.name();
    const auto slash = candidate.rfind('/');
    if (slash != std::string::npos && candidate.substr(slash + 1) == name) {
      return "did you mean \"" + candidate + "\"?";
    }
    known.push_back(candidate);
  }
  const std::string near = closest(name, known);
  return near.empty() ? kNamesHint : "did you mean \"" + near + "\"? " + kNamesHint;
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream input(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(input), {}};
}

/// The zone whose data is the same as those of a plain file; all that share it tell the same time.
const date::time_zone* zone_with(const std::string& data) {
  if (data.empty()) return nullptr;
  for (const date::time_zone& zone : zones().zones) {
    // This name stands for whatever the machine is set to.
    if (zone.name() == "localtime") continue;
    if (bytes_of(std::filesystem::path("/usr/share/zoneinfo") / zone.name()) == data) return &zone;
  }
  return nullptr;
}

}  // namespace

TimeZone TimeZone::named(std::string_view name) {
  if (is_utc(name)) return {};
  const auto& known = zones().zones;
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const date::time_zone& zone) { return zone.name() == name; });
  if (found == known.end()) {
    throw Error(ExitCode::usage, "the time zone \"" + std::string(name) + "\" is not known",
                unknown_zone_hint(name));
  }
  try {
    found->get_info(date::sys_seconds());  // reads the file of the zone
  } catch (const std::exception& error) {
    throw Error(ExitCode::usage,
                "the time zone \"" + std::string(name) + "\" cannot be read: " + error.what(),
                "install the package tzdata again");
  }
  return TimeZone(*found);
}

TimeZone TimeZone::of_this_machine() {
  // Whoever sets TZ for a program wants its times in that zone. A colon may stand before a name or
  // a path.
  const char* variable = std::getenv("TZ");
  if (variable != nullptr && *variable == ':') ++variable;
  if (variable == nullptr || *variable == '\0') return of_file("/etc/localtime");
  return *variable == '/' ? of_file(variable) : named(variable);
}

TimeZone TimeZone::of_file(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  for (const std::string& path : {std::filesystem::read_symlink(file, ignored).string(),
                                  std::filesystem::canonical(file, ignored).string()}) {
    const auto place = path.find(kZoneFolder);
    if (place == std::string::npos) continue;
    const std::string name = path.substr(place + kZoneFolder.size());
    if (is_utc(name) || find_zone(name) != nullptr) return named(name);
  }
  // A copy instead of a link: the name is not in it.
  if (const date::time_zone* zone = zone_with(bytes_of(file))) return named(zone->name());
  throw Error(ExitCode::usage, "the time zone of this machine cannot be told from " + file.string(),
              "write it into the configuration, for instance time_zone = \"Europe/Berlin\"");
}

std::string TimeZone::name() const { return zone_ == nullptr ? "UTC" : zone_->name(); }

TimeZone::Stretch TimeZone::at(std::chrono::sys_seconds time) const {
  using std::chrono::seconds;
  if (zone_ == nullptr) {
    return {std::chrono::sys_seconds::min(), std::chrono::sys_seconds::max(), seconds(0)};
  }
  const date::sys_info info = zone_->get_info(time);
  return {info.begin, info.end, info.offset};
}

}  // namespace tidemark::scheduler
