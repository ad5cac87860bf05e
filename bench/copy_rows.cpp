// The first copy of a large table, idle sessions, and the proof of equality.
#include <string>

#include "bench/application.h"
#include "bench/measure.h"
#include "bench/product.h"
#include "bench/rows.h"

namespace tidemark::bench {
namespace {

/// Reads, binds and inserts in key order, in one transaction.
double copy_plainly(const std::filesystem::path& from, const std::filesystem::path& to) {
  copy_database(from, to);
  const double begin = wall_seconds();
  {
    const Database target(to);
    target.run("PRAGMA cache_size = -32768");
    const Database source(from.parent_path() / "big.db");
    const Statement select(source, "SELECT * FROM item ORDER BY id");
    const Statement insert(target, kInsert);
    target.run("BEGIN IMMEDIATE");
    while (select.row()) {
      for (int i = 0; i < 6; ++i) {
        sqlite3_bind_value(insert.handle(), i + 1, sqlite3_column_value(select.handle(), i));
      }
      insert.run();
    }
    target.run("COMMIT");
  }
  return wall_seconds() - begin;
}

double vacuum_into(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::remove(to);
  const Database source(from);
  const double begin = wall_seconds();
  source.run("VACUUM INTO '" + to.string() + "'");
  return wall_seconds() - begin;
}

/// Looks at every column of every row.
double stream(const std::filesystem::path& file) {
  const Database database(file);
  const double begin = wall_seconds();
  const Statement select(database, "SELECT * FROM item ORDER BY id");
  std::size_t bytes = 0;
  while (select.row()) {
    for (int i = 0; i < 6; ++i) {
      switch (sqlite3_column_type(select.handle(), i)) {
        case SQLITE_INTEGER:
          bytes += static_cast<std::size_t>(sqlite3_column_int64(select.handle(), i) & 1);
          break;
        case SQLITE_FLOAT:
          bytes += sqlite3_column_double(select.handle(), i) > 0 ? 1 : 0;
          break;
        default:
          bytes += static_cast<std::size_t>(sqlite3_column_bytes(select.handle(), i));
          bytes += static_cast<unsigned char>(*sqlite3_column_text(select.handle(), i));
      }
    }
  }
  const double seconds = wall_seconds() - begin;
  if (bytes == 0) throw std::runtime_error("nothing was read");
  return seconds;
}

/// Two nodes with `rows` equal rows that have met.
void make_pair(const std::filesystem::path& first, const std::filesystem::path& second,
               std::int64_t rows) {
  make_database(first, rows);
  copy_database(first, second);
  activate(first);
  activate(second);
  bench::run_session(first, second);
}

double timed_session(const std::filesystem::path& first, const std::filesystem::path& second) {
  const double begin = wall_seconds();
  const scheduler::SessionReport report = bench::run_session(first, second);
  const double seconds = wall_seconds() - begin;
  if (report.to_first.total().changed() + report.to_second.total().changed() != 0) {
    throw std::runtime_error("an idle session moved rows");
  }
  return seconds;
}

}  // namespace

std::vector<Row> copy_rows(const Settings& settings) {
  const std::filesystem::path big = settings.folder / "big.db";
  const std::filesystem::path source = settings.folder / "source.db";
  const std::filesystem::path empty = settings.folder / "empty.db";
  const std::filesystem::path target = settings.folder / "target.db";
  const std::filesystem::path fresh = settings.folder / "fresh.db";
  make_database(big, settings.scaled(1'000'000));
  make_database(empty, 0);
  copy_database(big, source);
  activate(source);
  std::filesystem::remove(fresh);
  activate(fresh, source);
  const std::vector<double> times = alternate(
      settings.rounds, {[&] { return copy_plainly(empty, target); },
                        [&] {
                          const std::filesystem::path from = settings.folder / "run_source.db";
                          copy_database(source, from);
                          copy_database(fresh, target);
                          const double begin = wall_seconds();
                          bench::run_session(from, target);
                          return wall_seconds() - begin;
                        },
                        [&] { return vacuum_into(big, target); }});
  return {{.what = "first copy of 1M rows, to a plain loop",
           .measured = times[1] / times[0],
           .unit = "x",
           .must = 1.3,
           .detail = milliseconds(times[1]) + ", plain loop " + milliseconds(times[0]) +
                     ", VACUUM INTO " + milliseconds(times[2])}};
}

std::vector<Row> idle_rows(const Settings& settings) {
  const std::filesystem::path small_first = settings.folder / "small1.db";
  const std::filesystem::path small_second = settings.folder / "small2.db";
  const std::filesystem::path big_first = settings.folder / "big1.db";
  const std::filesystem::path big_second = settings.folder / "big2.db";
  make_pair(small_first, small_second, settings.scaled(1'000));
  make_pair(big_first, big_second, settings.scaled(1'000'000));
  const std::vector<double> times =
      alternate(settings.rounds * 4, {[&] { return timed_session(small_first, small_second); },
                                      [&] { return timed_session(big_first, big_second); }});
  const std::string detail = "files opened and closed, both ways";
  return {{.what = "session without changes, tables of 1k rows",
           .measured = times[0] * 1e3,
           .unit = "ms",
           .must = 10,
           .detail = detail},
          {.what = "session without changes, tables of 1M rows",
           .measured = times[1] * 1e3,
           .unit = "ms",
           .must = 10,
           .detail = detail}};
}

std::vector<Row> verify_rows(const Settings& settings) {
  const std::filesystem::path first = settings.folder / "first.db";
  const std::filesystem::path second = settings.folder / "second.db";
  make_pair(first, second, settings.scaled(1'000'000));
  const std::vector<double> times =
      alternate(settings.rounds, {[&] { return stream(first) + stream(second); },
                                  [&] {
                                    const double begin = wall_seconds();
                                    bench::verify(first, second);
                                    return wall_seconds() - begin;
                                  }});
  return {{.what = "verify of 1M equal rows, to raw streaming of both",
           .measured = times[1] / times[0],
           .unit = "x",
           .must = 2.0,
           .detail = milliseconds(times[1]) + ", streaming one after the other " +
                     milliseconds(times[0])}};
}

}  // namespace tidemark::bench
