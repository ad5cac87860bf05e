// What is said when a SQLite database cannot be opened, and how it is opened when it can.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "model/error.h"
#include "tests/unit/sqlite_application.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

struct Failure {
  ExitCode code;
  std::string message;
};

Failure open_failure(const SqliteApplication& application, const std::string& url) {
  try {
    open_node({.node_name = "site", .url = url, .directory = application.folder()});
  } catch (const Error& error) {
    CHECK(!error.hint().empty());
    return {error.code(), error.what()};
  }
  return {ExitCode::done, ""};
}

bool says(const Failure& failure, ExitCode code, const std::string& words) {
  CAPTURE(failure.message);
  CHECK(failure.code == code);
  CHECK(failure.message.find(words) != std::string::npos);
  return failure.code == code;
}

}  // namespace

TEST_CASE("a database that is not there or is none is told apart") {
  const SqliteApplication application;
  const auto write_file = [&](const char* name, const std::string& content) {
    std::ofstream(application.folder() / name) << content;
  };
  write_file("text.db", std::string(3000, 'x'));
  write_file("short.db", "hello");
  write_file("empty.db", "");
  mkfifo((application.folder() / "pipe.db").c_str(), 0600);
  says(open_failure(application, "sqlite:none.db"), ExitCode::unreachable, "no such file");
  says(open_failure(application, "sqlite:none/app.db"), ExitCode::unreachable, "no such file");
  says(open_failure(application, "sqlite:."), ExitCode::unreachable, "is a directory");
  says(open_failure(application, "sqlite:pipe.db"), ExitCode::unreachable, "not a regular file");
  says(open_failure(application, "sqlite:text.db"), ExitCode::unreachable, "is not a database");
  says(open_failure(application, "sqlite:short.db"), ExitCode::unreachable, "is not a database");
  CHECK(open_failure(application, "sqlite:empty.db").code == ExitCode::done);
  CHECK_FALSE(std::filesystem::exists(application.folder() / "none.db"));
}

TEST_CASE("permissions are named before anything is tried") {
  if (geteuid() == 0) return;  // the superuser may read and write everything
  const SqliteApplication application("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  chmod(application.file().c_str(), 0);
  says(open_failure(application, "sqlite:app.db"), ExitCode::unreachable, "no permission to read");
  chmod(application.file().c_str(), 0400);
  says(open_failure(application, "sqlite:app.db"), ExitCode::unreachable, "no permission to write");
  CHECK(application.open(true)->catalog().size() == 1);
}

TEST_CASE("a url is read strictly") {
  const SqliteApplication application;
  says(open_failure(application, "mysql://host/db"), ExitCode::usage, "names no database");
  says(open_failure(application, "sqlite:"), ExitCode::usage, "names no file");
  says(open_failure(application, "sqlite://host/app.db"), ExitCode::usage, "no host");
  says(open_failure(application, "sqlite::memory:"), ExitCode::usage, "in memory");
  CHECK(open_failure(application, "sqlite://" + application.file().string()).code ==
        ExitCode::done);
}

TEST_CASE("two urls of one file have one canonical form") {
  const SqliteApplication application;
  const auto folder = application.folder();
  std::filesystem::create_symlink(application.file(), folder / "link.db");
  const std::string plain = canonical_url("sqlite:app.db", folder);
  CHECK(canonical_url("sqlite:./x/../app.db", folder) == plain);
  CHECK(canonical_url("sqlite:link.db", folder) == plain);
  CHECK(canonical_url("sqlite://" + (folder / "app.db").string(), "/") == plain);
  CHECK(canonical_url("sqlite:none.db", folder) != plain);
}

TEST_CASE("text in UTF-16 is refused by name") {
  SqliteApplication application(
      "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(id INTEGER PRIMARY KEY)");
  says(open_failure(application, "sqlite:app.db"), ExitCode::not_ready, "UTF-16le");
}

TEST_CASE(
    "a lock that somebody else holds is waited for, then reported as worth another try (S24)") {
  SqliteApplication application("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  const auto node = application.open();
  application.run("BEGIN IMMEDIATE");
  try {
    node->begin_write();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::locked);
    CHECK(error.retryable());
  }
  application.run("COMMIT");
  node->begin_write();
  node->rollback();
}

TEST_CASE("the journal mode stays as it is and says whether readers block (S28)") {
  SqliteApplication application("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  CHECK_FALSE(application.open()->traits().snapshot_reads);
  CHECK(application.ask("PRAGMA journal_mode") == "delete");
  application.run("PRAGMA journal_mode = WAL");
  CHECK(application.open()->traits().snapshot_reads);
  CHECK(application.ask("PRAGMA journal_mode") == "wal");
}

TEST_CASE("the lock of a pair ends with its holder though a process was forked meanwhile") {
  SqliteApplication application("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  const auto node = application.activate();
  const auto other = application.open();
  auto held = node->try_lock_pair(SqliteApplication::uuid(7));
  REQUIRE(held);
  // As between fork() and exec() of whatever a program starts: it has all descriptors still.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  CHECK_FALSE(other->try_lock_pair(SqliteApplication::uuid(7)));
  held.reset();
  CHECK(other->try_lock_pair(SqliteApplication::uuid(7)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST_CASE("the lock of a pair is beside the database and ends with its holder") {
  SqliteApplication application("CREATE TABLE t(id INTEGER PRIMARY KEY)");
  const auto node = application.activate();
  const auto other = application.open();
  const std::filesystem::path lock_file = application.file().string() + ".tidemark-lock";
  {
    const auto held = node->try_lock_pair(SqliteApplication::uuid(7));
    REQUIRE(held);
    CHECK(std::filesystem::exists(lock_file));
    CHECK_FALSE(other->try_lock_pair(SqliteApplication::uuid(7)));
    CHECK(other->try_lock_pair(SqliteApplication::uuid(8)));
  }
  CHECK(other->try_lock_pair(SqliteApplication::uuid(7)));
  node->begin_write();
  node->remove_control_tables();
  node->rollback();
  CHECK(std::filesystem::exists(lock_file));
  node->begin_write();
  node->remove_control_tables();
  node->commit();
  CHECK_FALSE(std::filesystem::exists(lock_file));
}
