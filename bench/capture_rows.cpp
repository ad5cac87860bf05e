// What capture costs the application: its own CPU time with and without Tidemark's triggers.
#include <string>

#include "bench/application.h"
#include "bench/measure.h"
#include "bench/product.h"
#include "bench/rows.h"

namespace tidemark::bench {
namespace {

struct Workload {
  std::string what;
  std::int64_t rows = 0;  // in the table before
  std::int64_t writes = 0;
  std::int64_t transaction = 0;  // writes in one transaction; 0: all of them
  std::int64_t distinct = 0;     // rows that are updated, taken in turn; 0: inserts; -1: any row
  double must = 0;
  double aim = 0;
};

void write(const Database& database, const Workload& workload) {
  const Statement statement(database, workload.distinct == 0 ? kInsert : kUpdate);
  Random random(4);
  const std::int64_t size = workload.transaction == 0 ? workload.writes : workload.transaction;
  for (std::int64_t i = 0; i < workload.writes; ++i) {
    if (size > 1 && i % size == 0) database.run("BEGIN");
    std::int64_t id = workload.rows + i + 1;
    if (workload.distinct > 0) id = 1 + i % workload.distinct;
    if (workload.distinct < 0) id = 1 + random.below(workload.rows);
    const Item item = make_item(id, random);
    bench::bind(statement, item);
    statement.run();
    if (size > 1 && (i % size == size - 1 || i == workload.writes - 1)) database.run("COMMIT");
  }
}

Row measure(const Settings& settings, const Workload& workload) {
  const std::filesystem::path plain = settings.folder / "plain.db";
  const std::filesystem::path captured = settings.folder / "captured.db";
  const std::filesystem::path file = settings.folder / "run.db";
  copy_database(settings.folder / "rows.db", plain);
  if (workload.rows == 0) Database(plain).run("DELETE FROM item; VACUUM");
  copy_database(plain, captured);
  activate(captured);
  const auto run = [&](const std::filesystem::path& from) {
    return [&workload, &file, from] {
      copy_database(from, file);
      const Database database(file);
      const double begin = cpu_seconds();
      write(database, workload);
      return cpu_seconds() - begin;
    };
  };
  // These runs are short and their ratio is what the benchmark is about: more of them.
  const std::vector<double> times = alternate(settings.rounds + 4, {run(plain), run(captured)});
  const double each = (times[1] - times[0]) / static_cast<double>(workload.writes);
  return {.what = workload.what,
          .measured = times[1] / times[0],
          .unit = "x",
          .must = workload.must,
          .aim = workload.aim,
          .detail = milliseconds(times[0]) + " without, " + milliseconds(times[1]) + " with; " +
                    std::to_string(static_cast<int>(each * 1e9)) + " ns a change"};
}

double control_bytes(const Database& database) {
  return database.number("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'tidemark%'");
}

Row measure_bytes(const Settings& settings) {
  const std::filesystem::path file = settings.folder / "run.db";
  copy_database(settings.folder / "rows.db", file);
  activate(file);
  const Database database(file);
  const double before = control_bytes(database);
  const auto changes = static_cast<double>(settings.scaled(300'000));
  write(database, {.what = "",
                   .rows = settings.scaled(300'000),
                   .writes = settings.scaled(300'000),
                   .distinct = -1});
  return {.what = "bytes in control tables a captured change",
          .measured = (control_bytes(database) - before) / changes,
          .unit = "bytes",
          .must = 21,
          .detail = "whole pages of all control tables, before harvest"};
}

}  // namespace

std::vector<Row> capture_rows(const Settings& settings) {
  const std::int64_t rows = settings.scaled(300'000);
  make_database(settings.folder / "rows.db", rows);
  std::vector<Row> measured;
  for (const Workload& workload :
       std::vector<Workload>{{.what = "capture: batch inserts, one transaction",
       .writes = rows,
       .must = 2.2,
       .aim = 1.9},
                             {.what = "capture: one insert a transaction",
                             .writes = settings.scaled(20'000),
                             .transaction = 1,
                             .must = 1.45,
                             .aim = 1.4},
                             {.what = "capture: hot updates, 10 rows in turn, one transaction",
                             .rows = rows,
                             .writes = rows,
                             .distinct = 10,
                             .must = 2.2,
                             .aim = 1.5},
                             {.what = "capture: random updates on 300k rows, transactions of 1,000",
                             .rows = rows,
                             .writes = settings.scaled(100'000),
                             .transaction = 1'000,
                             .distinct = -1,
                             .must = 1.1,
                             .aim = 1.0},
                             {.what = "capture: random updates on 300k rows, one transaction",
                             .rows = rows,
                             .writes = settings.scaled(100'000),
                             .distinct = -1}}) {
    measured.push_back(measure(settings, workload));
  }
  measured.push_back(measure_bytes(settings));
  return measured;
}

}  // namespace tidemark::bench
