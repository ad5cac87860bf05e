// Random worlds, through the code that sessions run: nothing is lost, every node converges.
#include <doctest/doctest.h>

#include "tests/simulation/runner.h"

using namespace tidemark::simulation;

namespace {

void check_laws(const RunRequest& request) {
  const RunReport report = run(request);
  CHECK_MESSAGE(report.violations == 0, request.name, ": ", report.summary());
  if (request.options.locks && !seed_to_replay()) {
    CHECK_MESSAGE(report.sum.passed_over > 0, request.name, ": no session met a held row");
  }
}

}  // namespace

TEST_CASE("random worlds keep the laws") {
  check_laws({.name = "random worlds", .histories = kRandomWorlds, .options = {}});
}

TEST_CASE("worlds without faults keep the laws") {
  check_laws({.name = "worlds without faults",
              .histories = 10'000,
              .options = {.faults = false, .tables = true}});
}

TEST_CASE("worlds whose jobs resolve by different policies keep the laws") {
  check_laws({.name = "worlds of many policies",
              .histories = 30'000,
              .options = {.policies = true, .tables = true}});
}

TEST_CASE("worlds with backups and chains of backups keep the laws") {
  check_laws({.name = "worlds with backups",
              .histories = 30'000,
              .options = {.policies = true, .backups = true}});
}

TEST_CASE("worlds whose sessions meet writers and die halfway keep the laws") {
  check_laws({.name = "worlds with interruptions",
              .histories = 30'000,
              .options = {.policies = true, .interruptions = true, .tables = true}});
  check_laws({.name = "backups with interruptions",
              .histories = 10'000,
              .options = {.backups = true, .interruptions = true}});
}

TEST_CASE("worlds with a unique constraint keep the laws") {
  check_laws(
      {.name = "worlds with unique codes", .histories = 20'000, .options = {.unique_codes = true}});
}

TEST_CASE("worlds with foreign keys keep the laws") {
  check_laws({.name = "worlds with foreign keys",
              .histories = 5'000,
              .options = {.faults = false, .references = true}});
  check_laws({.name = "worlds with foreign keys and faults",
              .histories = 5'000,
              .options = {.references = true}});
}

TEST_CASE("worlds with foreign keys and unique codes keep the laws") {
  check_laws({.name = "worlds with foreign keys and unique codes",
              .histories = 5'000,
              .options = {.unique_codes = true, .references = true}});
}

TEST_CASE("worlds with foreign keys keep the laws whatever disturbs them") {
  check_laws(
      {.name = "disturbed worlds with foreign keys",
       .histories = 3'000,
       .options = {
           .policies = true, .interruptions = true, .unique_codes = true, .references = true}});
  check_laws({.name = "backups with foreign keys",
              .histories = 3'000,
              .options = {.policies = true, .backups = true, .references = true}});
}

TEST_CASE("worlds whose clocks are wrong by seconds to years keep the laws") {
  check_laws({.name = "years of skew",
              .histories = 20'000,
              .options = {.boundary_values = true, .years = true}});
}

TEST_CASE("worlds with late, lost and copied nodes keep the laws") {
  check_laws({.name = "late, lost and copied nodes",
              .histories = 20'000,
              .options = {.boundary_values = true, .membership = true}});
}

TEST_CASE("worlds of everything keep the laws") {
  check_laws({.name = "worlds of everything without checks",
              .histories = 10'000,
              .options = {.policies = true,
                          .unique_codes = true,
                          .references = true,
                          .boundary_values = true,
                          .years = true,
                          .membership = true}});
  check_laws({.name = "worlds of everything",
              .histories = 20'000,
              .options = {.unique_codes = true,
                          .references = true,
                          .boundary_values = true,
                          .checks = true,
                          .years = true,
                          .membership = true}});
}

TEST_CASE("worlds whose nodes differ in what they can hold keep the laws") {
  check_laws({.name = "worlds with checks and no faults",
              .histories = 10'000,
              .options = {.faults = false, .boundary_values = true, .checks = true}});
  check_laws({.name = "worlds with checks, foreign keys and no faults",
              .histories = 10'000,
              .options = {.faults = false, .references = true, .checks = true}});
  check_laws({.name = "worlds with checks",
              .histories = 10'000,
              .options = {.boundary_values = true, .checks = true}});
  check_laws({.name = "worlds with checks and foreign keys",
              .histories = 10'000,
              .options = {.references = true, .checks = true}});
}

TEST_CASE("worlds in which applications hold rows keep the laws") {
  check_laws({.name = "worlds with held rows",
              .histories = 10'000,
              .options = {.policies = true, .interruptions = true, .tables = true, .locks = true}});
  check_laws({.name = "worlds with held rows, foreign keys and unique codes",
              .histories = 2'000,
              .options = {.unique_codes = true, .references = true, .locks = true}});
  check_laws({.name = "backups with held rows",
              .histories = 5'000,
              .options = {.backups = true, .locks = true}});
  check_laws({.name = "worlds with held rows and everything else",
              .histories = 1'500,
              .options = {.references = true, .locks = true, .checks = true, .membership = true}});
}

TEST_CASE("worlds of SQLite files keep the laws") {
  Twin files;
  files.make_database = {tidemark::testing::make_sqlite_database};
  check_laws({.name = "worlds of SQLite files",
              .histories = 300,
              .options = {.policies = true, .tables = true},
              .twin = files});
  check_laws({.name = "worlds of SQLite files with foreign keys",
              .histories = 150,
              .options = {.policies = true, .unique_codes = true, .references = true},
              .twin = files});
  check_laws({.name = "disturbed worlds of SQLite files",
              .histories = 150,
              .options = {.interruptions = true, .unique_codes = true, .references = true},
              .twin = files});
  files.palette = Palette::sqlite;
  check_laws({.name = "worlds of SQLite files with everything",
              .histories = 150,
              .options = {.unique_codes = true,
                          .references = true,
                          .boundary_values = true,
                          .checks = true,
                          .membership = true},
              .twin = files});
}

TEST_CASE("worlds of PostgreSQL databases keep the laws") {
  Twin databases;
  databases.make_database = {tidemark::testing::make_postgresql_database};
  check_laws({.name = "worlds of PostgreSQL databases",
              .histories = 20,
              .options = {.policies = true, .tables = true},
              .twin = databases});
  databases.make_database.emplace_back(tidemark::testing::make_silenced_postgresql_database);
  check_laws({.name = "worlds of PostgreSQL databases with foreign keys",
              .histories = 20,
              .options = {.unique_codes = true, .references = true},
              .twin = databases});
  check_laws({.name = "disturbed worlds of PostgreSQL databases",
              .histories = 20,
              .options = {.interruptions = true, .references = true},
              .twin = databases});
  check_laws({.name = "worlds of PostgreSQL databases with held rows",
              .histories = 20,
              .options = {.unique_codes = true, .references = true, .locks = true},
              .twin = databases});
  databases.palette = Palette::postgresql;
  check_laws(
      {.name = "worlds of PostgreSQL databases with everything",
       .histories = 20,
       .options = {.references = true, .boundary_values = true, .checks = true, .membership = true},
       .twin = databases});
}

TEST_CASE("worlds of mixed databases keep the laws") {
  Twin mixed;
  mixed.make_database = {tidemark::testing::make_sqlite_database,
                         tidemark::testing::make_postgresql_database};
  check_laws({.name = "worlds of SQLite and PostgreSQL",
              .histories = 20,
              .options = {.policies = true, .tables = true},
              .twin = mixed});
  mixed.make_database.emplace_back(tidemark::testing::make_silenced_postgresql_database);
  check_laws({.name = "worlds of SQLite and PostgreSQL with foreign keys",
              .histories = 20,
              .options = {.unique_codes = true, .references = true},
              .twin = mixed});
  check_laws({.name = "disturbed worlds of SQLite and PostgreSQL",
              .histories = 20,
              .options = {.interruptions = true, .references = true},
              .twin = mixed});
  mixed.palette = Palette::mixed;
  check_laws(
      {.name = "worlds of SQLite and PostgreSQL with everything",
       .histories = 20,
       .options = {.references = true, .boundary_values = true, .checks = true, .membership = true},
       .twin = mixed});
  check_laws({.name = "backups between SQLite and PostgreSQL",
              .histories = 10,
              .options = {.backups = true},
              .twin = mixed});
}
