#include "engines/sqlite/connection.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "engines/sqlite/functions.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

constexpr int kCheckpointPages = 1000;  // SQLite's own default
constexpr char kCheckUrl[] = "Check the url of the node in the configuration.";

// Statistics of memory are kept under one lock of the process, which would make the reading and the
// applying thread of a session wait for each other.
void configure_library_once() {
  static std::once_flag done;
  std::call_once(done, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

void set_switch(sqlite3* handle, int option, int value) {
  sqlite3_db_config(handle, option, value, nullptr);
}

}  // namespace

Connection::Connection(const ConnectRequest& request)
    : node_name_(request.node_name), file_(request.file), read_only_(request.read_only) {
  configure_library_once();
  check_file();
  const int flags = (read_only_ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(file_.c_str(), &handle_, flags, nullptr);
  try {
    if (result != SQLITE_OK) fail("cannot open " + file_.string());
    if (!read_only_ && sqlite3_db_readonly(handle_, "main") == 1) {
      throw Error(
          ExitCode::unreachable, "node " + node_name_ + ": " + file_.string() + " can only be read",
          "Give the user that runs tidemark permission to write the file and its directory.");
    }
    configure(request.lock_timeout);
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

Connection::Connection(const std::string& node_name)
    : node_name_(node_name), file_(":memory:"), read_only_(false) {
  configure_library_once();
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(file_.c_str(), &handle_, flags, nullptr);
  try {
    if (result != SQLITE_OK) fail("cannot open a database in memory");
    configure(std::chrono::milliseconds(0));
  } catch (...) {
    sqlite3_close_v2(handle_);
    throw;
  }
}

Connection::~Connection() { sqlite3_close_v2(handle_); }

// SQLite reports most of these as "unable to open database file". The file itself is not opened
// here: closing it again would drop the locks that another connection of this process holds on it.
void Connection::check_file() const {
  const auto refuse = [this](const std::string& what, const std::string& hint) {
    throw Error(ExitCode::unreachable, "node " + node_name_ + ": " + what, hint);
  };
  struct stat status {};
  if (stat(file_.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      refuse("no such file: " + file_.string(),
             std::string(kCheckUrl) +
                 " A new, empty database is made by 'tidemark activate --create-tables'.");
    }
    refuse("cannot look at " + file_.string() + ": " + std::strerror(errno), kCheckUrl);
  }
  if (S_ISDIR(status.st_mode))
    refuse(file_.string() + " is a directory, not a database", kCheckUrl);
  if (!S_ISREG(status.st_mode)) refuse(file_.string() + " is not a regular file", kCheckUrl);
  if (access(file_.c_str(), R_OK) != 0) {
    refuse("no permission to read " + file_.string(),
           "Give the user that runs tidemark permission to read the file.");
  }
  if (!read_only_ && access(file_.c_str(), W_OK) != 0) {
    refuse("no permission to write " + file_.string(),
           "Give the user that runs tidemark permission to write the file and its directory.");
  }
}

void Connection::configure(std::chrono::milliseconds lock_timeout) {
  sqlite3_busy_timeout(handle_, static_cast<int>(lock_timeout.count()));
  set_switch(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1);
  set_switch(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0);
  // What is applied here must not be captured again, and user triggers have run where the row was
  // made.
  set_switch(handle_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0);
  // Constraints between tables are the business of apply/, which knows the whole pull.
  set_switch(handle_, SQLITE_DBCONFIG_ENABLE_FKEY, 0);
  register_functions(*this);
  // The first statement that reads the file: what is no database shows here. secure_delete: some
  // distributions switch it on, and then emptying a change log would overwrite every page of it;
  // "fast" still overwrites what stays in use.
  execute(
      "PRAGMA secure_delete=fast; PRAGMA cache_size=-32768; SELECT 1 FROM sqlite_schema LIMIT 1");
  sync_after_commit();
}

// A commit to a write-ahead log that waits for the disk keeps the lock for so long, and the disk
// has to take what applications have written with less care as well: ten times as long as the
// commit itself. So it waits afterwards, when everybody may write again. Nobody else can change the
// mode of the journal while this connection is open.
void Connection::sync_after_commit() {
  Statement mode(*this, "PRAGMA journal_mode");
  if (!mode.step() || mode.text(0) != "wal") return;
  execute("PRAGMA synchronous = NORMAL");
  syncs_itself_ = false;
}

bool Connection::commit() {
  const std::int64_t before = pages_written();
  execute("COMMIT");
  return pages_written() != before;
}

void Connection::commit_without_checkpoint() {
  sqlite3_wal_autocheckpoint(handle_, 0);
  const auto restore = [this] { sqlite3_wal_autocheckpoint(handle_, kCheckpointPages); };
  try {
    commit();
  } catch (...) {
    restore();
    throw;
  }
  restore();
}

void Connection::sync() {
  if (syncs_itself_) return;
  sqlite3_file* log = nullptr;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
      log == nullptr || log->pMethods == nullptr ||
      log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) != SQLITE_OK) {
    throw Error(ExitCode::failed,
                "node " + node_name_ + ": the disk did not take what was written to " +
                    file_.string() + "-wal",
                "Look at the disk. What was committed is there, but may be lost with the power.",
                true);
  }
}

std::int64_t Connection::pages_written() const {
  int pages = 0, unused = 0;
  sqlite3_db_status(handle_, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &unused, 0);
  return pages;
}

void Connection::set_triggers(bool on) {
  set_switch(handle_, SQLITE_DBCONFIG_ENABLE_TRIGGER, on ? 1 : 0);
  fires_triggers_ = on;
}

void Connection::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail("cannot run a statement");
  }
}

void Connection::fail(std::string_view action) const {
  const int code = handle_ ? sqlite3_errcode(handle_) : SQLITE_NOMEM;
  const std::string words = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
  const std::string where = "node " + node_name_ + ": ";
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ExitCode::locked,
                  where + "the database is locked by another program (" + words + ")",
                  "Try again when the other program is done, or raise lock_timeout.", true);
    case SQLITE_NOTADB:
      throw Error(ExitCode::unreachable,
                  where + file_.string() + " is not a database, or it is encrypted",
                  "Only plain SQLite 3 files can take part. " + std::string(kCheckUrl));
    case SQLITE_CANTOPEN:
      throw Error(
          ExitCode::unreachable, where + "cannot open " + file_.string() + " (" + words + ")",
          "The user that runs tidemark must be able to write the directory of the file too.");
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      throw Error(
          ExitCode::unreachable,
          where + "no permission to write " + file_.string() + " (" + words + ")",
          "Give the user that runs tidemark permission to write the file and its directory.");
    case SQLITE_CORRUPT:
      throw Error(
          ExitCode::failed, where + file_.string() + " is damaged (" + words + ")",
          "Run PRAGMA integrity_check in the sqlite3 program, and restore the file or take it "
          "out of its jobs.");
    case SQLITE_FULL:
      throw Error(ExitCode::failed, where + "no space left for " + file_.string(),
                  "Free some space and run the session again; nothing was half done.", true);
    case SQLITE_SCHEMA:
      throw Error(ExitCode::failed, where + "the schema changed during the session",
                  "Run the session again.", true);
    case SQLITE_INTERRUPT:
      throw Error(ExitCode::interrupted, where + "interrupted", "Run the session again.");
    default:
      break;
  }
  throw Error(ExitCode::failed, where + std::string(action) + ": " + words,
              "Run 'tidemark check' to see what is wrong with this node.");
}

}  // namespace tidemark::sqlite
