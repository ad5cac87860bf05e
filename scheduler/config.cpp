#include "scheduler/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <tuple>

#include <toml++/toml.h>

#include "engines/registry.h"
#include "model/error.h"
#include "model/table.h"
#include "scheduler/duration.h"
#include "scheduler/overlap.h"
#include "scheduler/suggest.h"

namespace tidemark::scheduler {
namespace {

constexpr std::uintmax_t kMaxFileBytes = 4 << 20;

const std::vector<std::string> kTopKeys = {"alert",     "conflict_retention", "daemon",
                                           "job",       "lock_timeout",       "node",
                                           "time_zone", "tombstone_retention"};
const std::vector<std::string> kDaemonKeys = {
    "connect_timeout", "heartbeat", "log_file",        "log_format", "log_level",
    "metrics",         "parallel",  "silence_timeout", "socket",     "state"};
const std::vector<std::string> kAlertKeys = {"conflicts", "exec", "no_success_for", "quarantine"};
const std::vector<std::string> kLogLevels = {"debug", "info", "warning", "error"};
const std::vector<std::string> kLogFormats = {"text", "json"};
const std::vector<std::string> kNodeKeys = {"names", "owner", "url"};
const std::vector<std::string> kJobKeys = {
    "alert",          "conflict",    "exclude",  "exclude_windows", "heartbeat",
    "max_clock_skew", "max_deletes", "mode",     "nodes",           "schedule",
    "table",          "tables",      "time_zone"};
const std::vector<std::string> kTableKeys = {"conflict", "fire_triggers", "keys", "range_size"};
const std::vector<std::string> kKeys = {"ranges", "plain"};
const std::vector<std::string> kModes = {"two-way", "backup"};
const std::vector<std::string> kPolicies = {"latest", "earliest", "first_node", "manual"};

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

struct CanonicalUrl {
  std::string url;
  std::optional<Error> error;  // why there is none
};

/// In the order of `urls`. Finding where a path leads asks the file system, which may hang: a
/// configuration is read all the same, and what is not found within a second counts as written. Two
/// names of one file are then refused by the session that meets them.
std::vector<CanonicalUrl> canonical_urls(const std::vector<std::string>& urls,
                                         const std::filesystem::path& directory) {
  struct Search {
    std::mutex mutex;
    std::condition_variable ends;
    std::vector<CanonicalUrl> found;
  };
  const auto search = std::make_shared<Search>();
  std::thread([search, urls, directory] {
    for (const std::string& url : urls) {
      CanonicalUrl found;
      try {
        found.url = canonical_url(url, directory);
      } catch (const Error& error) {
        found.error = error;
      }
      const std::lock_guard guard(search->mutex);
      search->found.push_back(std::move(found));
      search->ends.notify_all();
    }
  }).detach();
  constexpr std::chrono::seconds kPatience(1);
  std::unique_lock lock(search->mutex);
  search->ends.wait_for(lock, kPatience, [&] { return search->found.size() == urls.size(); });
  std::vector<CanonicalUrl> found = search->found;
  for (std::size_t i = found.size(); i < urls.size(); ++i) found.push_back({.url = urls[i]});
  return found;
}

/// Collects the mistakes of one reading, so that the first in the file is the one that is told: the
/// TOML tables come sorted by key.
class Mistakes {
 public:
  explicit Mistakes(std::string file) : file_(std::move(file)) {}

  void add(int line, std::string message, std::string hint) {
    found_.push_back({line, std::move(message), std::move(hint)});
  }

  void throw_first() const {
    if (found_.empty()) return;
    const auto first = std::min_element(
        found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
    throw Error(ExitCode::usage, file_ + ":" + std::to_string(first->line) + ": " + first->message,
                first->hint);
  }

 private:
  struct Mistake {
    int line;
    std::string message;
    std::string hint;
  };
  std::string file_;
  std::vector<Mistake> found_;
};

int line_of(const toml::node& node) {
  return std::max(1, static_cast<int>(node.source().begin.line));
}
int line_of(const toml::key& key) { return std::max(1, static_cast<int>(key.source().begin.line)); }

std::string read_text(const std::filesystem::path& file) {
  const std::string name = file.string();
  const auto fail = [&](const std::string& why, const std::string& hint) {
    throw Error(ExitCode::usage, "cannot read the configuration " + name + ": " + why, hint);
  };
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      fail("no such file", "run tidemark init to write one, or name another with --config FILE");
    }
    fail(std::strerror(errno),
         "check the path and its permissions, or name another with --config FILE");
  }
  if (S_ISDIR(info.st_mode)) fail("is a directory", "name a file with --config FILE");
  std::ifstream input(file, std::ios::binary);
  if (!input) fail(std::strerror(errno), "check the permissions of the file");
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (input.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         input.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(input.gcount()));
    if (text.size() > kMaxFileBytes) {
      fail("is larger than 4 MiB", "name a configuration with --config FILE, not a database");
    }
  }
  if (input.bad()) fail(std::strerror(errno), "check the file");
  if (text.starts_with("SQLite format 3")) {
    fail("is a SQLite database", "name a configuration with --config FILE, not a database");
  }
  return text;
}

toml::table parse_text(const std::string& text, const std::string& name) {
  try {
    return toml::parse(std::string_view(text), std::string_view(name));
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    if (what.starts_with("Error while parsing "))
      what.erase(0, std::strlen("Error while parsing "));
    std::replace_if(
        what.begin(), what.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    if (what.starts_with("Encountered")) what[0] = 'e';
    std::string hint = "correct this line; the file is TOML, see tidemark init for an example";
    if (what.find("cannot redefine") != std::string::npos) {
      hint = "a name may be given once only; remove or rename one of the two";
    } else if (what.starts_with("string:")) {
      hint = "close the text with the quote that opened it";
    } else if (what.starts_with("array:")) {
      hint = "an array is written [\"a\", \"b\"]";
    } else if (what.find("utf-8") != std::string::npos) {
      hint = "save the file as UTF-8 text";
    }
    const auto line = std::max<std::uint32_t>(1, error.source().begin.line);
    throw Error(ExitCode::usage, name + ":" + std::to_string(line) + ": " + what, hint);
  }
}

/// Why `name` cannot be the name of a node or job; empty if it can.
std::string name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > 100) return "is longer than 100 bytes";
  if (name.front() == '-') return "begins with a dash";
  if (name.front() == ' ' || name.back() == ' ') return "begins or ends with a space";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return "holds a control character";
  }
  return {};
}

class Reader {
 public:
  Reader(Config& config, std::string file) : config_(config), mistakes_(std::move(file)) {}

  void read(const toml::table& root) {
    for (const auto& [key, value] : root) {
      if (key.str() == "node") {
        read_named(value, "node", [this](const toml::key& name, const toml::table& table) {
          read_node(name, table);
        });
      } else if (key.str() == "job") {
        read_named(value, "job", [this](const toml::key& name, const toml::table& table) {
          read_job(name, table);
        });
      } else if (key.str() == "lock_timeout") {
        if (const auto duration = read_duration(value, "lock_timeout")) {
          config_.lock_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
        }
      } else if (key.str() == "time_zone") {
        zone_ = read_time_zone(value);
      } else if (key.str() == "daemon") {
        read_daemon(key, value);
      } else if (key.str() == "alert") {
        config_.daemon.alert = read_alert(value, "alert");
      } else if (key.str() == "tombstone_retention") {
        if (const auto days = read_days(value, "tombstone_retention")) {
          config_.tombstone_retention = *days;
        }
      } else if (key.str() == "conflict_retention") {
        read_conflict_retention(value);
      } else {
        unknown_key(key, kTopKeys, "at the top of the file");
      }
    }
    name_daemon_files();
    spread_heartbeats();
    mistakes_.throw_first();
    const auto by_line = [](const auto& a, const auto& b) { return a.line < b.line; };
    std::sort(config_.nodes.begin(), config_.nodes.end(), by_line);
    std::sort(config_.jobs.begin(), config_.jobs.end(), by_line);
    check_whole();
    mistakes_.throw_first();
    check_contradictions();
    mistakes_.throw_first();
  }

 private:
  // --- Pieces of TOML
  // ---------------------------------------------------------------------------------
  void unknown_key(const toml::key& key, const std::vector<std::string>& known,
                   const std::string& where) {
    mistakes_.add(line_of(key), "unknown key " + in_quotes(key.str()) + " " + where,
                  suggestion(key.str(), known, "keys here"));
  }

  void wrong_type(const toml::node& value, const std::string& key, const std::string& expected,
                  const std::string& example) {
    mistakes_.add(line_of(value), key + " must be " + expected + ", not " + type_name(value),
                  "write it as " + example);
  }

  template <typename Read>
  void read_named(const toml::node& value, const std::string& kind, Read read_one) {
    const toml::table* group = value.as_table();
    if (group == nullptr) {
      mistakes_.add(line_of(value), in_quotes(kind) + " must be a table, not " + type_name(value),
                    "write a section for each: [" + kind + ".NAME]");
      return;
    }
    for (const auto& [name, entry] : *group) {
      const toml::table* table = entry.as_table();
      if (table == nullptr) {
        mistakes_.add(
            line_of(name),
            kind + "." + std::string(name.str()) + " must be a table, not " + type_name(entry),
            "write a section for each: [" + kind + ".NAME]");
        continue;
      }
      if (const std::string problem = name_problem(name.str()); !problem.empty()) {
        mistakes_.add(line_of(name), "the name of a " + kind + " " + problem,
                      "choose a short name of letters, digits, dashes and underscores");
        continue;
      }
      read_one(name, *table);
    }
  }

  std::optional<std::string> read_string(const toml::node& value, const std::string& key,
                                         const std::string& example) {
    if (auto text = value.value_exact<std::string>()) return text;
    wrong_type(value, key, "a string", key + " = " + in_quotes(example));
    return std::nullopt;
  }

  std::optional<std::vector<std::string>> read_strings(const toml::node& value,
                                                       const std::string& key,
                                                       const std::string& example) {
    const toml::array* array = value.as_array();
    if (array == nullptr) {
      wrong_type(value, key, "an array of strings", key + " = " + example);
      return std::nullopt;
    }
    std::vector<std::string> strings;
    for (const toml::node& element : *array) {
      const auto text = element.value_exact<std::string>();
      if (!text) {
        wrong_type(element, "every entry of " + key, "a string", key + " = " + example);
        return std::nullopt;
      }
      if (text->empty()) {
        mistakes_.add(line_of(element), "an entry of " + key + " is empty",
                      "remove it or write a name");
        return std::nullopt;
      }
      strings.push_back(*text);
    }
    return strings;
  }

  std::optional<std::chrono::microseconds> read_duration(const toml::node& value,
                                                         const std::string& key) {
    const auto text = value.value_exact<std::string>();
    if (!text) {
      wrong_type(value, key, "a duration in a string", key + " = \"30s\"");
      return std::nullopt;
    }
    const auto duration = parse_duration(*text);
    if (!duration) {
      mistakes_.add(line_of(value), key + " is not a duration: " + in_quotes(*text),
                    "write a number and a unit: \"500ms\", \"30s\", \"5m\", \"2h\" or \"1d\"");
    }
    return duration;
  }

  std::optional<std::chrono::days> read_days(const toml::node& value, const std::string& key) {
    const auto duration = read_duration(value, key);
    if (!duration) return std::nullopt;
    const auto days = std::chrono::floor<std::chrono::days>(*duration);
    if (days == *duration && days >= std::chrono::days(1)) return days;
    mistakes_.add(line_of(value), key + " must be whole days, at least one",
                  "write for instance " + key + " = \"30d\"");
    return std::nullopt;
  }

  void read_conflict_retention(const toml::node& value) {
    if (value.value_exact<std::string>() == "forever") {
      config_.conflict_retention.reset();
    } else if (const auto days = read_days(value, "conflict_retention")) {
      config_.conflict_retention = *days;
    }
  }

  std::optional<Policy> read_policy(const toml::node& value) {
    const auto text = read_string(value, "conflict", "latest");
    if (!text) return std::nullopt;
    const auto policy = parse_policy(*text);
    if (!policy) {
      mistakes_.add(line_of(value), "conflict cannot be " + in_quotes(*text),
                    suggestion(*text, kPolicies, "policies"));
    }
    return policy;
  }

  // --- Sections
  // -----------------------------------------------------------------------------------------
  void read_node(const toml::key& name, const toml::table& table) {
    NodeConfig node;
    node.name = name.str();
    node.line = line_of(name);
    const std::string section = "[node." + node.name + "]";
    bool has_url = false;
    for (const auto& [key, value] : table) {
      if (key.str() == "owner") {
        if (const auto owner = read_string(value, "owner", "shop_owner")) node.owner = *owner;
        continue;
      }
      if (key.str() == "names") {
        read_names(key, value, section, node.names);
        continue;
      }
      if (key.str() != "url") {
        unknown_key(key, kNodeKeys, "in " + section);
        continue;
      }
      has_url = true;
      node.line = line_of(key);
      if (const auto url = read_string(value, "url", "sqlite:shop.db")) node.url = *url;
    }
    if (!has_url) {
      mistakes_.add(line_of(name), section + " has no url",
                    "add for instance url = \"sqlite:" + node.name + ".db\"");
    }
    config_.nodes.push_back(std::move(node));
  }

  /// "table" = "name here", "table.column" = "name here". A column stands under its table, which is
  /// listed too; table names with dots are told from columns by that.
  void read_names(const toml::key& key, const toml::node& value, const std::string& section,
                  NameMap& names) {
    const toml::table* entries = value.as_table();
    if (entries == nullptr) {
      mistakes_.add(line_of(key), section + ": names must be a table, and is " + type_name(value),
                    "write [" + section.substr(1, section.size() - 2) +
                        ".names] and under it \"sales.customer\" = \"customer\"");
      return;
    }
    std::vector<std::string> tables;
    for (const auto& [agreed, own] : *entries) tables.emplace_back(agreed.str());
    for (const auto& [agreed, own] : *entries) {
      const auto text = read_string(own, std::string(agreed.str()), "customer");
      if (!text) continue;
      const std::string name(agreed.str());
      std::string table;
      for (const std::string& candidate : tables) {
        if (candidate.size() > table.size() && name.size() > candidate.size() + 1 &&
            name.starts_with(candidate) && name[candidate.size()] == '.') {
          table = candidate;
        }
      }
      const bool fresh = table.empty()
                             ? names.add_table(name, *text)
                             : names.add_column(table, name.substr(table.size() + 1), *text);
      if (!fresh) {
        mistakes_.add(line_of(agreed), section + ": " + in_quotes(*text) + " is named twice",
                      "two names that all agree on cannot be one here");
      }
    }
  }

  void read_job(const toml::key& name, const toml::table& table) {
    JobConfig job;
    job.name = name.str();
    job.line = line_of(name);
    const std::string section = "[job." + job.name + "]";
    std::optional<int> nodes_line;
    for (const auto& [key, value] : table) {
      const std::string_view word = key.str();
      if (word == "nodes") {
        nodes_line = line_of(key);
        if (auto nodes = read_strings(value, "nodes", "[\"hq\", \"branch1\"]")) job.nodes = *nodes;
      } else if (word == "mode") {
        read_mode(value, job);
      } else if (word == "tables") {
        if (auto tables = read_strings(value, "tables", "[\"*\"]")) job.tables = *tables;
        if (job.tables.empty()) {
          mistakes_.add(line_of(key), section + " takes no table: tables is empty",
                        "list names or globs, or leave the key out to take all");
        }
      } else if (word == "exclude") {
        if (auto tables = read_strings(value, "exclude", "[\"log_*\"]")) job.exclude = *tables;
      } else if (word == "schedule") {
        read_schedule(value, job);
      } else if (word == "exclude_windows") {
        read_exclude_windows(value, job);
      } else if (word == "time_zone") {
        if (const auto zone = read_time_zone(value)) zones_.emplace(job.name, *zone);
      } else if (word == "conflict") {
        if (const auto policy = read_policy(value)) job.policy = *policy;
      } else if (word == "max_deletes") {
        read_max_deletes(value, job);
      } else if (word == "max_clock_skew") {
        if (const auto skew = read_duration(value, "max_clock_skew")) job.max_clock_skew = *skew;
      } else if (word == "alert") {
        job.alert = read_alert(value, section + " alert");
      } else if (word == "heartbeat") {
        heartbeats_[job.name] = read_heartbeat(value);
      } else if (word == "table") {
        read_table_settings(value, job);
      } else {
        unknown_key(key, kJobKeys, "in " + section);
      }
    }
    if (!nodes_line) {
      mistakes_.add(job.line, section + " has no nodes",
                    "add for instance nodes = [\"hq\", \"branch1\"]");
    }
    nodes_lines_[job.name] = nodes_line.value_or(job.line);
    config_.jobs.push_back(std::move(job));
  }

  // --- The daemon
  // -----------------------------------------------------------------------------------------
  void read_daemon(const toml::key& name, const toml::node& section) {
    const toml::table* table = section.as_table();
    if (table == nullptr) {
      mistakes_.add(line_of(name), "daemon must be a table, not " + type_name(section),
                    "write a section [daemon] with its keys below");
      return;
    }
    DaemonConfig& daemon = config_.daemon;
    for (const auto& [key, value] : *table) {
      const std::string_view word = key.str();
      if (word == "parallel") {
        constexpr std::int64_t kMost = 256;
        if (const auto number = read_number(value, "parallel", 1, kMost)) {
          daemon.parallel = static_cast<std::size_t>(*number);
        }
      } else if (word == "socket") {
        read_path(value, "socket", "/run/tidemark/socket", daemon.socket);
      } else if (word == "state") {
        read_path(value, "state", "/var/lib/tidemark/state", daemon.state);
      } else if (word == "log_file") {
        read_path(value, "log_file", "/var/log/tidemark.log", daemon.log_file);
      } else if (word == "connect_timeout") {
        if (const auto time = read_duration(value, "connect_timeout")) {
          daemon.connect_timeout = std::chrono::ceil<std::chrono::seconds>(*time);
          if (daemon.connect_timeout < std::chrono::seconds(2)) {
            mistakes_.add(line_of(value), "connect_timeout is shorter than two seconds",
                          "write for instance connect_timeout = \"10s\"");
          }
        }
      } else if (word == "silence_timeout") {
        if (const auto time = read_duration(value, "silence_timeout")) {
          daemon.silence_timeout = *time;
          if (*time < std::chrono::seconds(5)) {
            mistakes_.add(line_of(value), "silence_timeout is shorter than five seconds",
                          "write for instance silence_timeout = \"5m\"");
          }
        }
      } else if (word == "heartbeat") {
        heartbeat_ = read_heartbeat(value);
      } else if (word == "metrics") {
        read_metrics(value);
      } else if (word == "log_level") {
        read_choice(value, "log_level", kLogLevels, daemon.log_level);
      } else if (word == "log_format") {
        std::string format;
        read_choice(value, "log_format", kLogFormats, format);
        daemon.log_format = format == "json" ? LogFormat::json : LogFormat::text;
      } else {
        unknown_key(key, kDaemonKeys, "in [daemon]");
      }
    }
  }

  /// Nothing for "off", and where it is wrong.
  std::optional<std::chrono::microseconds> read_heartbeat(const toml::node& value) {
    if (value.value_exact<std::string>() == "off") return std::nullopt;
    const auto interval = read_duration(value, "heartbeat");
    if (interval && *interval < std::chrono::seconds(1)) {
      mistakes_.add(line_of(value), "heartbeat is shorter than a second",
                    "write for instance heartbeat = \"10s\", or \"off\"");
    }
    return interval;
  }

  void spread_heartbeats() {
    for (JobConfig& job : config_.jobs) {
      const auto own = heartbeats_.find(job.name);
      job.heartbeat = own == heartbeats_.end() ? heartbeat_ : own->second;
    }
  }

  void name_daemon_files() {
    const auto beside = [this](std::filesystem::path& path, const char* suffix) {
      if (path.empty()) path = config_.file.filename().string() + suffix;
      path = (config_.directory / path).lexically_normal();
    };
    beside(config_.daemon.socket, ".socket");
    beside(config_.daemon.state, ".state");
    if (!config_.daemon.log_file.empty()) beside(config_.daemon.log_file, "");
  }

  std::optional<std::int64_t> read_number(const toml::node& value, const std::string& key,
                                          std::int64_t least, std::int64_t most) {
    const auto number = value.value_exact<std::int64_t>();
    if (!number) {
      wrong_type(value, key, "a whole number", key + " = " + std::to_string(least));
      return std::nullopt;
    }
    if (*number >= least && *number <= most) return number;
    mistakes_.add(line_of(value), key + " cannot be " + std::to_string(*number),
                  "write a number from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }

  void read_path(const toml::node& value, const std::string& key, const std::string& example,
                 std::filesystem::path& path) {
    const auto text = read_string(value, key, example);
    if (!text) return;
    if (text->empty() || text->find('\0') != std::string::npos) {
      mistakes_.add(line_of(value), key + " names no file",
                    "write for instance " + key + " = " + in_quotes(example));
      return;
    }
    path = *text;
  }

  void read_choice(const toml::node& value, const std::string& key,
                   const std::vector<std::string>& choices, std::string& chosen) {
    const auto text = read_string(value, key, choices.front());
    if (!text) return;
    if (std::find(choices.begin(), choices.end(), *text) == choices.end()) {
      mistakes_.add(line_of(value), key + " cannot be " + in_quotes(*text),
                    suggestion(*text, choices, "choices"));
      return;
    }
    chosen = *text;
  }

  /// Whoever may ask sees names of jobs and nodes and no password is asked for, so only programs of
  /// this machine may.
  void read_metrics(const toml::node& value) {
    const auto text = read_string(value, "metrics", "127.0.0.1:9464");
    if (!text) return;
    const std::size_t colon = text->rfind(':');
    int port = 0;
    const char* const end = text->data() + text->size();
    const bool is_number = colon != std::string::npos &&
                           std::from_chars(text->data() + colon + 1, end, port).ptr == end &&
                           colon + 1 < text->size();
    constexpr int kLastPort = 65535;
    if (!is_number || port < 1 || port > kLastPort) {
      mistakes_.add(line_of(value), "metrics has no port: " + in_quotes(*text),
                    "write metrics = \"127.0.0.1:9464\"");
      return;
    }
    std::string address = text->substr(0, colon);
    if (address == "[::1]") address = "::1";
    if (!address.starts_with("127.") && address != "::1" && address != "localhost") {
      mistakes_.add(line_of(value),
                    "metrics must be on a loopback address, not on " + in_quotes(address),
                    "write metrics = \"127.0.0.1:" + std::to_string(port) +
                        "\", and let a proxy that asks for a password serve other machines");
      return;
    }
    config_.daemon.metrics_address = address;
    config_.daemon.metrics_port = port;
  }

  std::optional<AlertConfig> read_alert(const toml::node& section, const std::string& where) {
    const toml::table* table = section.as_table();
    if (table == nullptr) {
      wrong_type(section, where, "a table",
                 "alert = { no_success_for = \"10m\", exec = \"mail -s tidemark root\" }");
      return std::nullopt;
    }
    constexpr std::int64_t kMost = 1'000'000'000;
    AlertConfig alert;
    for (const auto& [key, value] : *table) {
      const std::string_view word = key.str();
      if (word == "no_success_for") {
        alert.no_success_for = read_duration(value, "no_success_for");
        if (alert.no_success_for && *alert.no_success_for < std::chrono::seconds(1)) {
          mistakes_.add(line_of(value), "no_success_for is shorter than a second",
                        "write for instance no_success_for = \"10m\"");
        }
      } else if (word == "conflicts") {
        alert.conflicts = read_number(value, "conflicts", 1, kMost);
      } else if (word == "quarantine") {
        alert.quarantine = read_number(value, "quarantine", 1, kMost);
      } else if (word == "exec") {
        alert.exec = read_string(value, "exec", "mail -s tidemark root").value_or("");
      } else {
        unknown_key(key, kAlertKeys, "in " + where);
      }
    }
    if (alert.exec.empty()) {
      mistakes_.add(line_of(section), where + " has no exec: nobody would be told",
                    "add the command to run: exec = \"mail -s tidemark root\"");
    }
    if (!alert.no_success_for && !alert.conflicts && !alert.quarantine) {
      mistakes_.add(line_of(section), where + " waits for nothing",
                    "add no_success_for = \"10m\", conflicts = 1 or quarantine = 1");
    }
    return alert;
  }

  void read_mode(const toml::node& value, JobConfig& job) {
    const auto text = read_string(value, "mode", "two-way");
    if (!text) return;
    if (*text == to_string(Mode::two_way)) {
      job.mode = Mode::two_way;
    } else if (*text == to_string(Mode::backup)) {
      job.mode = Mode::backup;
    } else {
      mistakes_.add(line_of(value), "mode cannot be " + in_quotes(*text),
                    suggestion(*text, kModes, "modes"));
    }
  }

  /// What `read` returns; the mistake that it throws gets the line of `value`.
  template <typename Read>
  auto at_line_of(const toml::node& value, Read read) -> std::optional<decltype(read())> {
    try {
      return read();
    } catch (const Error& error) {
      mistakes_.add(line_of(value), error.what(), error.hint());
      return std::nullopt;
    }
  }

  void read_schedule(const toml::node& value, JobConfig& job) {
    const auto text = read_string(value, "schedule", "every 30s");
    if (!text) return;
    auto schedule = at_line_of(value, [&] { return parse_schedule(*text); });
    if (!schedule) return;
    schedule->windows = job.schedule.windows;
    job.schedule = std::move(*schedule);
    if (job.schedule.kind == ScheduleKind::cron) local_time_lines_[job.name] = line_of(value);
  }

  void read_exclude_windows(const toml::node& value, JobConfig& job) {
    const auto texts = read_strings(value, "exclude_windows", "[\"Mon-Fri 08:00-20:00\"]");
    if (!texts) return;
    if (auto windows = at_line_of(value, [&] { return ExcludeWindows(*texts); })) {
      job.schedule.windows = *windows;
      if (!windows->empty()) local_time_lines_[job.name] = line_of(value);
    }
  }

  std::optional<TimeZone> read_time_zone(const toml::node& value) {
    const auto name = read_string(value, "time_zone", "Europe/Berlin");
    if (!name) return std::nullopt;
    return at_line_of(value, [&] { return TimeZone::named(*name); });
  }

  /// Jobs without a zone of their own take the zone of the file, or the machine's. That one is
  /// asked for only where local times matter, because it cannot be told everywhere.
  void settle_time_zones() {
    for (JobConfig& job : config_.jobs) {
      const auto own = zones_.find(job.name);
      const auto line = local_time_lines_.find(job.name);
      if (own != zones_.end()) {
        job.schedule.zone = own->second;
      } else if (zone_) {
        job.schedule.zone = *zone_;
      } else if (line != local_time_lines_.end()) {
        try {
          job.schedule.zone = TimeZone::of_this_machine();
        } catch (const Error& error) {
          mistakes_.add(line->second, error.what(), error.hint());
        }
      }
    }
  }

  void read_max_deletes(const toml::node& value, JobConfig& job) {
    const std::string hint =
        "write a share (\"20%\"), a number of rows (1000), or \"none\" for no limit";
    if (const auto rows = value.value_exact<std::int64_t>()) {
      if (*rows < 0) {
        mistakes_.add(line_of(value), "max_deletes cannot be negative", hint);
        return;
      }
      job.max_deletes = {.rows = *rows, .share = std::nullopt};
      return;
    }
    const auto text = value.value_exact<std::string>();
    if (!text) {
      mistakes_.add(line_of(value), "max_deletes cannot be " + type_name(value), hint);
      return;
    }
    if (*text == "none") {
      job.max_deletes = {.rows = std::nullopt, .share = std::nullopt};
      return;
    }
    double percent = -1;
    const char* const end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, percent, std::chars_format::fixed);
    const bool complete = parsed.ec == std::errc() && parsed.ptr + 1 == end && *parsed.ptr == '%';
    if (!complete || !(percent >= 0 && percent <= 100)) {
      mistakes_.add(line_of(value), "max_deletes cannot be " + in_quotes(*text), hint);
      return;
    }
    job.max_deletes = {.rows = std::nullopt, .share = percent / 100};
  }

  std::optional<bool> read_keys(const toml::node& value, const JobConfig& job) {
    const auto text = read_string(value, "keys", "ranges");
    if (!text) return std::nullopt;
    if (std::find(kKeys.begin(), kKeys.end(), *text) == kKeys.end()) {
      mistakes_.add(line_of(value), "keys cannot be " + in_quotes(*text),
                    suggestion(*text, kKeys, "kinds of keys"));
      return std::nullopt;
    }
    if (*text == "ranges") range_lines_.emplace(job.name, line_of(value));
    return *text == "ranges";
  }

  std::optional<std::int64_t> read_range_size(const toml::node& value) {
    constexpr std::int64_t kLeast = 100;
    constexpr std::int64_t kMost = 1'000'000'000'000;
    const auto size = value.value_exact<std::int64_t>();
    if (!size) {
      wrong_type(value, "range_size", "a number of keys", "range_size = 1000000");
    } else if (*size < kLeast || *size > kMost) {
      mistakes_.add(line_of(value), "range_size must be between 100 and 1000000000000",
                    "write for instance range_size = 1000000");
    } else {
      return size;
    }
    return std::nullopt;
  }

  void read_table_settings(const toml::node& value, JobConfig& job) {
    const toml::table* globs = value.as_table();
    const std::string section = "[job." + job.name + ".table.\"GLOB\"]";
    if (globs == nullptr) {
      mistakes_.add(line_of(value), "table must be a table, not " + type_name(value),
                    "write a section for each: " + section);
      return;
    }
    for (const auto& [glob, entry] : *globs) {
      const toml::table* settings = entry.as_table();
      if (settings == nullptr) {
        mistakes_.add(
            line_of(glob),
            "table." + std::string(glob.str()) + " must be a table, not " + type_name(entry),
            "write a section for each: " + section);
        continue;
      }
      if (glob.str().empty()) {
        mistakes_.add(line_of(glob), "the glob of a table section is empty",
                      "write for instance \"log_*\"");
        continue;
      }
      TableConfig table{
          .glob = std::string(glob.str()), .policy = std::nullopt, .line = line_of(glob)};
      for (const auto& [key, setting] : *settings) {
        if (key.str() == "conflict") {
          table.policy = read_policy(setting);
        } else if (key.str() == "keys") {
          table.key_ranges = read_keys(setting, job);
        } else if (key.str() == "range_size") {
          table.range_size = read_range_size(setting);
        } else if (key.str() == "fire_triggers") {
          table.fire_triggers = setting.value_exact<bool>();
          if (!table.fire_triggers) {
            wrong_type(setting, "fire_triggers", "true or false", "fire_triggers = true");
          }
        } else {
          unknown_key(key, kTableKeys,
                      "in [job." + job.name + ".table." + in_quotes(table.glob) + "]");
        }
      }
      job.table_settings.push_back(std::move(table));
    }
    std::sort(job.table_settings.begin(), job.table_settings.end(),
              [](const TableConfig& a, const TableConfig& b) { return a.line < b.line; });
  }

  // --- The file as a whole
  // --------------------------------------------------------------------------------
  void check_whole() {
    if (config_.nodes.empty()) {
      mistakes_.add(1, "the file describes no node",
                    "add a section [node.NAME] with a url for each database");
    }
    if (config_.jobs.empty()) {
      mistakes_.add(1, "the file describes no job",
                    "add a section [job.NAME] with nodes = [\"FIRST\", \"SECOND\"]");
    }
    check_urls();
    for (const JobConfig& job : config_.jobs) check_job(job);
    settle_time_zones();
  }

  void check_urls() {
    std::map<std::string, const NodeConfig*> seen;
    std::vector<std::string> urls;
    for (const NodeConfig& node : config_.nodes) urls.push_back(node.url);
    const std::vector<CanonicalUrl> found = canonical_urls(urls, config_.directory);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const NodeConfig& node = config_.nodes[i];
      if (const auto& error = found[i].error) {
        mistakes_.add(node.line, "node " + in_quotes(node.name) + ": " + error->what(),
                      error->hint());
        continue;
      }
      const auto [place, is_new] = seen.emplace(found[i].url, &node);
      if (is_new) continue;
      mistakes_.add(node.line,
                    "nodes " + in_quotes(place->second->name) + " and " + in_quotes(node.name) +
                        " are the same database (" + node.url + ")",
                    "give every node a database of its own, or remove one of the two");
    }
  }

  void check_job(const JobConfig& job) {
    const int line = nodes_lines_.at(job.name);
    const std::string who = "job " + in_quotes(job.name);
    if (job.nodes.size() < 2) {
      mistakes_.add(line, who + " needs two nodes or more",
                    "write for instance nodes = [\"hq\", \"branch1\"]");
    }
    std::vector<std::string> known;
    for (const NodeConfig& node : config_.nodes) known.push_back(node.name);
    std::set<std::string> named;
    for (const std::string& node : job.nodes) {
      if (!named.insert(node).second) {
        mistakes_.add(line, who + " names the node " + in_quotes(node) + " twice",
                      "name every node once");
      } else if (std::find(known.begin(), known.end(), node) == known.end()) {
        mistakes_.add(line, who + " names a node that is not described: " + in_quotes(node),
                      suggestion(node, known, "nodes of this file"));
      }
    }
    if (job.mode == Mode::backup && job.has_ranges()) {
      mistakes_.add(range_lines_.at(job.name),
                    who + " is a backup, whose target writes no rows of its own",
                    "remove keys = \"ranges\", or use mode = \"two-way\"");
    }
    for (const std::string& table : job.tables) {
      if (table.find_first_of("*?") == std::string::npos && !job.takes(table)) {
        mistakes_.add(job.line, who + " lists the table " + in_quotes(table) + " and excludes it",
                      "remove it from tables or from exclude");
      }
    }
  }

  // --- Jobs against each other
  // --------------------------------------------------------------------------------
  /// A node that sessions of a job write: all of a two-way job, all but the first of a backup.
  static bool writes(const JobConfig& job, const std::string& node) {
    const auto place = std::find(job.nodes.begin(), job.nodes.end(), node);
    return place != job.nodes.end() && (job.mode == Mode::two_way || place != job.nodes.begin());
  }

  static std::set<std::pair<std::string, std::string>> pairs(const JobConfig& job) {
    std::set<std::pair<std::string, std::string>> result;
    for (std::size_t i = 1; i < job.nodes.size(); ++i) {
      result.insert(std::minmax(job.nodes[0], job.nodes[i]));
    }
    return result;
  }

  void check_contradictions() {
    for (std::size_t i = 0; i < config_.jobs.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        check_modes(config_.jobs[k], config_.jobs[i]);
        check_ranges(config_.jobs[k], config_.jobs[i]);
        check_targets(config_.jobs[k], config_.jobs[i]);
        check_targets(config_.jobs[i], config_.jobs[k]);
      }
    }
    check_rings();
  }

  /// Two nodes that give out ranges of one table would give the same numbers.
  void check_ranges(const JobConfig& earlier, const JobConfig& later) {
    if (!earlier.has_ranges() || !later.has_ranges()) return;
    if (earlier.nodes.empty() || later.nodes.empty()) return;
    if (earlier.nodes.front() == later.nodes.front()) return;
    const auto table = shared_tables(earlier, later);
    if (!table) return;
    mistakes_.add(range_lines_.at(later.name),
                  "jobs " + in_quotes(earlier.name) + " and " + in_quotes(later.name) +
                      " both give key ranges, from different first nodes, to the same tables (" +
                      *table + ")",
                  "let all jobs with keys = \"ranges\" begin with one node, or keep their tables "
                  "apart with tables and exclude");
  }

  void check_modes(const JobConfig& earlier, const JobConfig& later) {
    if (earlier.mode == later.mode) return;
    const auto others = pairs(earlier);
    for (const auto& pair : pairs(later)) {
      if (!others.contains(pair)) continue;
      mistakes_.add(later.line,
                    "jobs " + in_quotes(earlier.name) + " and " + in_quotes(later.name) +
                        " contradict each other: nodes " + in_quotes(pair.first) + " and " +
                        in_quotes(pair.second) + " are " + std::string(to_string(earlier.mode)) +
                        " in one and " + std::string(to_string(later.mode)) + " in the other",
                    "give the pair one mode, or remove one of the jobs");
      return;
    }
  }

  void check_targets(const JobConfig& backup, const JobConfig& writer) {
    if (backup.mode != Mode::backup) return;
    for (std::size_t i = 1; i < backup.nodes.size(); ++i) {
      const std::string& target = backup.nodes[i];
      if (!writes(writer, target)) continue;
      const auto table = shared_tables(backup, writer);
      if (!table) continue;
      mistakes_.add(std::max(backup.line, writer.line),
                    "jobs " + in_quotes(backup.name) + " and " + in_quotes(writer.name) +
                        " contradict each other: " + in_quotes(target) +
                        " is the target of the backup " + in_quotes(backup.name) +
                        " and written by " + in_quotes(writer.name) + " on the same tables (" +
                        *table + ")",
                    "let one job write a backup's target: keep their tables apart with tables and "
                    "exclude, or leave the node out of one of the jobs");
      return;
    }
  }

  /// Backups that feed each other in a ring: every node would be set back to what it was copied
  /// from.
  void check_rings() {
    std::map<const JobConfig*, int> colour;  // 1: on the path, 2: done
    const std::function<bool(const JobConfig&)> closes_ring = [&](const JobConfig& job) {
      colour[&job] = 1;
      for (const JobConfig& next : config_.jobs) {
        if (next.mode != Mode::backup || next.nodes.empty()) continue;
        const bool follows = std::find(job.nodes.begin() + 1, job.nodes.end(),
                                       next.nodes.front()) != job.nodes.end();
        if (!follows || !shared_tables(job, next)) continue;
        if (colour[&next] == 1) {
          mistakes_.add(
              std::max(job.line, next.line),
              "jobs " + in_quotes(next.name) + " and " + in_quotes(job.name) +
                  " contradict each other: their backups form a ring, so that a source is "
                  "the target of its own copy",
              "use mode = \"two-way\" where both nodes are written, or remove one of the jobs");
          return true;
        }
        if (colour[&next] == 0 && closes_ring(next)) return true;
      }
      colour[&job] = 2;
      return false;
    };
    for (const JobConfig& job : config_.jobs) {
      if (job.mode == Mode::backup && colour[&job] == 0 && closes_ring(job)) return;
    }
  }

  Config& config_;
  Mistakes mistakes_;
  std::map<std::string, int> nodes_lines_;
  std::map<std::string, int> range_lines_;              // of keys = "ranges", by job
  std::optional<TimeZone> zone_;                        // of the whole file
  std::map<std::string, TimeZone> zones_;               // of jobs
  std::optional<std::chrono::microseconds> heartbeat_;  // of jobs that say nothing
  std::map<std::string, std::optional<std::chrono::microseconds>> heartbeats_;  // of the others
  std::map<std::string, int> local_time_lines_;  // of the jobs that need a zone
};

template <typename Item>
std::vector<std::string> names_of(const std::vector<Item>& items) {
  std::vector<std::string> names;
  for (const Item& item : items) names.push_back(item.name);
  return names;
}

template <typename Item>
const Item& named(const std::vector<Item>& items, const std::string& name, const std::string& kind,
                  const std::filesystem::path& file) {
  for (const Item& item : items) {
    if (item.name == name) return item;
  }
  throw Error(ExitCode::usage,
              "no " + kind + " is called " + in_quotes(name) + " in " + file.string(),
              suggestion(name, names_of(items), kind + "s of this file"));
}

}  // namespace

std::string_view to_string(Mode mode) { return mode == Mode::backup ? "backup" : "two-way"; }

bool JobConfig::lists(const std::string& table) const {
  return std::find(tables.begin(), tables.end(), table) != tables.end() && takes(table);
}

bool JobConfig::takes(const std::string& table) const {
  const auto matches = [&](const std::string& glob) { return glob_matches(glob, table); };
  return std::any_of(tables.begin(), tables.end(), matches) &&
         std::none_of(exclude.begin(), exclude.end(), matches);
}

namespace {

/// What the last section says that matches the table and says anything of it.
template <typename T>
T setting_of(const JobConfig& job, const std::string& table, std::optional<T> TableConfig::*key,
             T otherwise) {
  for (const TableConfig& settings : job.table_settings) {
    if (settings.*key && glob_matches(settings.glob, table)) otherwise = *(settings.*key);
  }
  return otherwise;
}

}  // namespace

Policy JobConfig::policy_of(const std::string& table) const {
  return setting_of(*this, table, &TableConfig::policy, policy);
}

bool JobConfig::has_ranges(const std::string& table) const {
  return setting_of(*this, table, &TableConfig::key_ranges, false);
}

bool JobConfig::has_ranges() const {
  return std::any_of(table_settings.begin(), table_settings.end(), [](const TableConfig& settings) {
    return settings.key_ranges.value_or(false);
  });
}

std::int64_t JobConfig::range_size_of(const std::string& table) const {
  return setting_of(*this, table, &TableConfig::range_size, kRangeSize);
}

bool JobConfig::fires_triggers(const std::string& table) const {
  return setting_of(*this, table, &TableConfig::fire_triggers, false);
}

const NodeConfig& Config::node(const std::string& name) const {
  return named(nodes, name, "node", file);
}

const JobConfig& Config::job(const std::string& name) const {
  return named(jobs, name, "job", file);
}

std::vector<const JobConfig*> Config::jobs_of(const std::string& node) const {
  std::vector<const JobConfig*> result;
  for (const JobConfig& job : jobs) {
    if (std::find(job.nodes.begin(), job.nodes.end(), node) != job.nodes.end())
      result.push_back(&job);
  }
  return result;
}

Config read_config(const std::filesystem::path& file) {
  Config config;
  config.file = file;
  const std::string text = read_text(file);
  std::error_code ignored;
  config.directory = std::filesystem::absolute(file, ignored).lexically_normal().parent_path();
  const toml::table root = parse_text(text, file.string());
  Reader(config, file.string()).read(root);
  return config;
}

}  // namespace tidemark::scheduler
