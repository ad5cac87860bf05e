// A whole session of many changes, against the raw limit (the same rows written by key in one
// transaction, from memory, nobody asking where they come from) and against two ways that SQLite
// brings along.
#include <fstream>
#include <string>

#include "bench/application.h"
#include "bench/measure.h"
#include "bench/product.h"
#include "bench/rows.h"

namespace tidemark::bench {
namespace {

constexpr const char* kCache = "PRAGMA cache_size = -32768";  // what a session gives itself

/// Databases that a run starts from: `source` has the changes in its log, `target` has not seen
/// them.
struct Templates {
  std::filesystem::path before;   // plain rows
  std::filesystem::path changed;  // plain rows with the changes
  std::filesystem::path source;
  std::filesystem::path target;
  std::vector<Change> changes;
};

Templates make_templates(const Settings& settings) {
  Templates made{.before = settings.folder / "before.db",
                 .changed = settings.folder / "changed.db",
                 .source = settings.folder / "source.db",
                 .target = settings.folder / "target.db",
                 .changes = make_changes(settings.scaled(300'000), settings.scaled(300'000))};
  make_database(made.before, settings.scaled(300'000));
  copy_database(made.before, made.changed);
  write_changes(Database(made.changed), made.changes);
  copy_database(made.before, made.source);
  copy_database(made.before, made.target);
  activate(made.source);
  activate(made.target);
  bench::run_session(made.source, made.target);
  write_changes(Database(made.source), made.changes);
  return made;
}

double run_raw(const Settings& settings, const Templates& templates) {
  const std::filesystem::path file = settings.folder / "run.db";
  copy_database(templates.before, file);
  const double begin = wall_seconds();
  {
    const Database database(file);
    database.run(kCache);
    const Statement upsert(database, kUpsert);
    const Statement remove(database, kDelete);
    database.run("BEGIN IMMEDIATE");
    for (const Change& change : templates.changes) {
      if (change.is_delete) {
        sqlite3_bind_int64(remove.handle(), 1, change.item.id);
        remove.run();
      } else {
        bench::bind(upsert, change.item);
        upsert.run();
      }
    }
    database.run("COMMIT");
  }
  return wall_seconds() - begin;
}

double run_tidemark(const Settings& settings, const Templates& templates) {
  const std::filesystem::path source = settings.folder / "run_source.db";
  const std::filesystem::path target = settings.folder / "run.db";
  copy_database(templates.source, source);
  copy_database(templates.target, target);
  const double begin = wall_seconds();
  const scheduler::SessionReport report = bench::run_session(source, target);
  const double seconds = wall_seconds() - begin;
  const auto changed = static_cast<std::size_t>(report.to_second.total().changed());
  if (changed != templates.changes.size()) {
    throw std::runtime_error("a session changed " + std::to_string(changed) + " rows");
  }
  return seconds;
}

int keep_going(void*, int, sqlite3_changeset_iter*) { return SQLITE_CHANGESET_REPLACE; }

/// Recording happens while the application writes and is not counted, as that of triggers is not.
double run_changeset(const Settings& settings, const Templates& templates) {
  const std::filesystem::path source = settings.folder / "run_source.db";
  const std::filesystem::path target = settings.folder / "run.db";
  copy_database(templates.before, source);
  copy_database(templates.before, target);
  const Database writer(source);
  sqlite3_session* session = nullptr;
  int code = sqlite3session_create(writer.handle(), "main", &session);
  if (code == SQLITE_OK) code = sqlite3session_attach(session, kTable);
  write_changes(writer, templates.changes);
  const double begin = wall_seconds();
  int size = 0;
  void* changeset = nullptr;
  if (code == SQLITE_OK) code = sqlite3session_changeset(session, &size, &changeset);
  if (code == SQLITE_OK) {
    const Database reader(target);
    reader.run(kCache);
    code = sqlite3changeset_apply(reader.handle(), size, changeset, nullptr, keep_going, nullptr);
  }
  const double seconds = wall_seconds() - begin;
  sqlite3_free(changeset);
  sqlite3session_delete(session);
  if (code != SQLITE_OK) throw std::runtime_error("the session extension failed");
  return seconds;
}

double run_sqldiff(const Settings& settings, const Templates& templates) {
  const std::filesystem::path target = settings.folder / "run.db";
  copy_database(templates.before, target);
  return run_shell("sqldiff --transaction '" + target.string() + "' '" +
                   templates.changed.string() + "' | sqlite3 '" + target.string() + "'");
}

}  // namespace

std::vector<Row> session_rows(const Settings& settings) {
  const Templates templates = make_templates(settings);
  const bool has_sqldiff = std::system("command -v sqldiff >/dev/null") == 0;
  std::vector<Run> candidates{[&] { return run_raw(settings, templates); },
                              [&] { return run_tidemark(settings, templates); },
                              [&] { return run_changeset(settings, templates); }};
  if (has_sqldiff) candidates.emplace_back([&] { return run_sqldiff(settings, templates); });
  const std::vector<double> times = alternate(settings.rounds, candidates);
  std::vector<Row> rows{{.what = "session of 300k changes, to raw upserts by key",
                         .measured = times[1] / times[0],
                         .unit = "x",
                         .must = 3.0,
                         .aim = 2.0,
                         .detail = milliseconds(times[1]) + ", raw " + milliseconds(times[0])},
                        {.what = "session of 300k changes, to changeset made and applied",
                         .measured = times[1] / times[2],
                         .unit = "x",
                         .must = 1.0,
                         .detail = "session extension " + milliseconds(times[2])}};
  if (has_sqldiff) {
    rows.push_back({.what = "session of 300k changes, to sqldiff | sqlite3",
                    .measured = times[1] / times[3],
                    .unit = "x",
                    .must = 1.0,
                    .detail = "sqldiff | sqlite3 " + milliseconds(times[3])});
  }
  return rows;
}

}  // namespace tidemark::bench
