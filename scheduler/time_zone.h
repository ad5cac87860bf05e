// A time zone of this machine's tzdata: how far its clocks are from UTC, and until when. A TimeZone
// is a small value that refers to data of the process, loaded once and never changed; it may be
// copied and used from any thread. Changes of the offset are known to the end of 2037, where the
// compiled zones of tzdata end; later times keep the last offset.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

namespace date {
class time_zone;
}

namespace tidemark::scheduler {

class TimeZone {
 public:
  /// UTC, without asking tzdata.
  TimeZone() = default;

  /// "Europe/Berlin". Throws Error usage with a suggestion for a name that is not known.
  static TimeZone named(std::string_view name);
  /// The zone of TZ, else of /etc/localtime. Throws Error usage when it cannot be told.
  static TimeZone of_this_machine();
  /// The zone that a file like /etc/localtime stands for: a link into the folder of zones, or a
  /// copy of one of its files. UTC where there is none, as for the C library. Throws Error usage.
  static TimeZone of_file(const std::filesystem::path& file);

  std::string name() const;

  /// A stretch of time [begin, end) in which the clocks of the zone show UTC + offset.
  struct Stretch {
    std::chrono::sys_seconds begin;
    std::chrono::sys_seconds end;
    std::chrono::seconds offset;
  };
  /// The stretch that holds `time`.
  Stretch at(std::chrono::sys_seconds time) const;

  friend bool operator==(const TimeZone&, const TimeZone&) = default;

 private:
  explicit TimeZone(const date::time_zone& zone) : zone_(&zone) {}

  const date::time_zone* zone_ = nullptr;  // null: UTC
};

}  // namespace tidemark::scheduler
