// Connection is one open SQLite database file, set up the way Tidemark works on other people's
// data: defensively, with triggers and foreign-key actions switched off, and with the functions
// that its own statements use. Used by one thread at a time. Not committed means rolled back: the
// destructor does it. Failures are Errors that name the node.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/error.h"

namespace tidemark::sqlite {

struct ConnectRequest {
  std::string node_name;
  std::filesystem::path file;  // absolute
  std::chrono::milliseconds lock_timeout{0};
  bool read_only = false;
};

class Connection {
 public:
  /// Opens an existing file, which may have 0 bytes: an empty database. Throws Error unreachable
  /// when there is no such file, it is no database, or permissions forbid it.
  explicit Connection(const ConnectRequest& request);
  /// An empty private database in memory, for calculations.
  explicit Connection(const std::string& node_name);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  sqlite3* handle() const { return handle_; }
  const std::string& node_name() const { return node_name_; }
  const std::filesystem::path& file() const { return file_; }
  bool read_only() const { return read_only_; }

  /// Runs one or more statements that return nothing of interest.
  /// Triggers are off at first: what is applied must not be captured again. Statements that are
  /// kept are prepared anew after a switch.
  void set_triggers(bool on);
  bool fires_triggers() const { return fires_triggers_; }
  void execute(const std::string& sql);
  /// Other connections see the transaction and may write again when this returns. A loss of power
  /// may undo it until sync(). False if nothing was written.
  bool commit();
  /// The same, and leaves it to whoever commits next to copy the log into the file.
  void commit_without_checkpoint();
  /// What was committed, by this connection or another, survives a loss of power when this returns.
  void sync();
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

  /// Turns what SQLite reported last into an Error; `action` says what was tried.
  [[noreturn]] void fail(std::string_view action) const;

 private:
  void check_file() const;
  void configure(std::chrono::milliseconds lock_timeout);
  void sync_after_commit();
  std::int64_t pages_written() const;

  std::string node_name_;
  std::filesystem::path file_;
  bool read_only_;
  bool fires_triggers_ = false;
  bool syncs_itself_ = true;  // within COMMIT
  sqlite3* handle_ = nullptr;
};

}  // namespace tidemark::sqlite
