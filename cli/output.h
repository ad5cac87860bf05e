// What a command prints on stdout: text for people, or JSON for programs with --json. Short
// commands print one JSON document, long ones a line for each event and a summary. Not thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/error.h"

namespace tidemark::cli {

using Json = nlohmann::ordered_json;

class Output {
 public:
  Output(bool json, bool quiet) : json_(json), quiet_(quiet) {}

  bool json() const { return json_; }
  /// Somebody reads what was done, not only what was asked for.
  bool tells() const { return !json_ && !quiet_; }

  /// The answer of a command that shows something; nothing with --json.
  void text(std::string_view text);
  /// What was done and what to do next; nothing with --json or --quiet.
  void note(std::string_view text);
  /// {"v":1,"type":TYPE, ...}; nothing without --json.
  void document(std::string_view type, const Json& content);
  /// The same, handed on at once.
  void event(std::string_view type, const Json& content);

  /// Throws Error failed when something could not be written.
  void finish();

 private:
  bool json_;
  bool quiet_;
};

/// The error as it goes to stderr, or with `json` to stdout.
void print_error(const Error& error, bool json);

Json error_json(const Error& error);

}  // namespace tidemark::cli
