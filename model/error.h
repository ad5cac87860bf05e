// Error is the one exception of Tidemark: something in the world is not as it must be. It carries
// the exit code that the command line ends with, a message in lower case that names node, table or
// file, and a hint: one sentence that tells the operator what to do next. Programming mistakes are
// asserts; conflicts between rows are values, never errors.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace tidemark {

/// The exit codes of the program; the numbers are part of the interface and never change.
enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  partly = 3,          // done, but rows were quarantined or a node failed
  conflicts_open = 4,  // only with --exit-code
  unreachable = 5,     // cannot connect, open or log in
  locked = 6,          // another session holds the lock
  refused = 7,         // a guard refused: deletes, clock skew, identity
  not_ready = 8,       // not activated, or the schema changed
  protocol = 9,        // the other side speaks another version
  differences = 10,    // verify found differences
  interrupted = 130,
};

class Error : public std::runtime_error {
 public:
  /// `retryable` says that the same call may succeed a moment later with nothing changed by hand.
  Error(ExitCode code, const std::string& message, std::string hint, bool retryable = false)
      : std::runtime_error(message), code_(code), hint_(std::move(hint)), retryable_(retryable) {}

  ExitCode code() const { return code_; }
  const std::string& hint() const { return hint_; }
  bool retryable() const { return retryable_; }

  /// The message for a log that others read: without keys and values of rows.
  std::string logged() const { return logged_.empty() ? what() : logged_; }
  /// For a message that holds keys or values of rows: what a log may hold of it.
  Error logged_as(std::string text) && {
    logged_ = std::move(text);
    return std::move(*this);
  }

 protected:
  std::string logged_;

 private:
  ExitCode code_;
  std::string hint_;
  bool retryable_;
};

/// Another transaction wrote the same rows at the same time and this one had to give way: rolled
/// back, nothing of it stays, and the same work done again from its start will most likely succeed.
class Collision : public Error {
 public:
  Collision(const std::string& message, std::string hint, std::string logged = "")
      : Error(ExitCode::failed, message, std::move(hint), true) {
    logged_ = std::move(logged);
  }
};

/// Another transaction holds a lock on a row that was to be written, or on one that it needs, and
/// did not end while the row was waited for. Of the one row nothing was written; the transaction in
/// which it was to be can go on.
class RowLocked : public Error {
 public:
  RowLocked(const std::string& message, std::string hint)
      : Error(ExitCode::locked, message, std::move(hint), true) {}
};

}  // namespace tidemark
