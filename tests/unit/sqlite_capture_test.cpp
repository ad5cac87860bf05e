// Triggers and harvest of the SQLite engine: what applications can do to a table in SQL that the
// contract of all engines does not speak of.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "capture/harvest.h"
#include "engines/sqlite/table_sql.h"
#include "model/error.h"
#include "tests/unit/sqlite_application.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

/// A table under capture whose log is empty, and what a harvest makes of the next changes.
class Captured {
 public:
  explicit Captured(const std::string& schema, const std::string& rows = "")
      : application(schema), node(application.activate()) {
    application.run(rows);
    harvest();
  }

  /// "key+" for a row, "key-" for a tombstone, of what was changed since the last call.
  std::string harvest() {
    std::string changed;
    for (const ActiveTable& table : node->active_tables()) {
      node->begin_write();
      TableState state = node->load_state(table);
      const Knowledge before = state.knowledge;
      node->harvest(table, state);
      node->save_state(table, state);
      node->commit();
      node->begin_read();
      const auto stream = node->changes_since(table, before);
      ChangedRow row;
      while (stream->next(row)) changed += to_string(row.key) + (row.present ? "+ " : "- ");
      node->rollback();
    }
    return changed;
  }
  std::string after(const std::string& sql) {
    application.run(sql);
    return harvest();
  }
  /// Whether a peer that has seen all that was harvested misses something.
  bool misses_something() {
    const ActiveTable table = node->active_tables().front();
    node->begin_read();
    const bool misses = node->oldest_unseen(table, node->load_state(table).knowledge).has_value();
    node->rollback();
    return misses;
  }
  CaptureHealth health() { return node->active_tables().front().health; }

  SqliteApplication application;
  std::unique_ptr<Node> node;
};

}  // namespace

TEST_CASE("a stamp is the millisecond and the operation, exactly (S20)") {
  SqliteApplication application;
  // Every part of a second, at moments spread over eighty years.
  const std::string moments =
      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000), m AS "
      "(SELECT "
      "1000 * (i * 126227) + i % 1000 AS ms FROM n), j AS (SELECT ms, julianday(strftime("
      "'%Y-%m-%d %H:%M:%S', ms / 1000, 'unixepoch') || printf('.%03d', ms % 1000)) AS d FROM m) ";
  for (int operation = 0; operation < 4; ++operation) {
    std::string stamp = sqlite::Stamp::expression(static_cast<sqlite::Stamp::Operation>(operation));
    const std::string now = "julianday()";
    REQUIRE(stamp.find(now) != std::string::npos);
    stamp.replace(stamp.find(now), now.size(), "d");
    CHECK(application.ask(moments + "SELECT count(*), sum(" + stamp + " = 4 * ms + " +
                          std::to_string(operation) + ") FROM j") == "20001,20001");
  }
  CHECK(application.ask("SELECT abs(" + sqlite::Stamp::expression(sqlite::Stamp::kUpdate) +
                        " / 4 - round((julianday('now') - 2440587.5) * 86400000)) <= 1") == "1");
}

TEST_CASE("a row that REPLACE might have evicted and did not is nothing that a peer misses") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, email TEXT UNIQUE)",
                    "INSERT INTO t VALUES (1, 'x')");
  captured.application.run("INSERT OR IGNORE INTO t VALUES (9, 'x')");
  REQUIRE(captured.application.ask("SELECT count(*) FROM tidemark_log_1") == "1");
  CHECK_FALSE(captured.misses_something());
  // One that it did evict is logged beside the row that took its place.
  captured.application.run("INSERT OR REPLACE INTO t VALUES (9, 'x')");
  CHECK(captured.misses_something());
  CHECK(captured.harvest() == "1- 9+ ");
  CHECK_FALSE(captured.misses_something());
}

TEST_CASE("rows that REPLACE evicts by another unique value are found to be gone (S1)") {
  Captured captured(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, email TEXT COLLATE NOCASE UNIQUE, a, b, UNIQUE(a, "
      "b))",
      "INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'y', 1, 2), (3, 'z', 2, 1), (4, NULL, NULL, 1)");
  SUBCASE("INSERT OR REPLACE") {
    CHECK(captured.after("INSERT OR REPLACE INTO t VALUES (9, 'X', 1, 2)") == "1- 2- 9+ ");
  }
  SUBCASE("UPDATE OR REPLACE") {
    CHECK(captured.after("UPDATE OR REPLACE t SET email = 'y' WHERE id = 1") == "1+ 2- ");
  }
  SUBCASE("nothing is evicted by a NULL") {
    CHECK(captured.after("INSERT OR REPLACE INTO t VALUES (9, NULL, NULL, 1)") == "9+ ");
  }
  SUBCASE("a candidate that stayed is no change") {
    CHECK(captured.after("INSERT OR IGNORE INTO t VALUES (9, 'x', 5, 5)") == "");
    CHECK(captured.after("INSERT INTO t VALUES (9, 'x', 5, 5) ON CONFLICT DO NOTHING") == "");
  }
  SUBCASE("a candidate that is deleted and comes back is one") {
    CHECK(captured.after("INSERT OR REPLACE INTO t VALUES (9, 'x', 7, 7);"
                         "DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (1, 'x', 1, 1)") ==
          "1+ 9- ");
  }
  SUBCASE("an update that changes no unique value looks for nobody") {
    captured.application.run("UPDATE t SET email = 'x', a = 1 WHERE id = 1");
    CHECK(captured.application.ask("SELECT count(*) FROM tidemark_log_1") == "1");
  }
}

// Such an entry may be all that is left of a log whose older entries were harvested on their own.
TEST_CASE("a candidate is evicted anew when its tombstone is older than it (S1)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE)",
                    "INSERT INTO t VALUES (1, 'x')");
  CHECK(captured.after("INSERT OR REPLACE INTO t VALUES (2, 'x')") == "1- 2+ ");
  const std::string logged = "INSERT INTO tidemark_log_1 SELECT 1, (changed_at_us / 1000 ";
  const std::string candidate = ") * 4 + 3 FROM tidemark_version_1 WHERE k1 = 1";
  CHECK(captured.after(logged + "- 5" + candidate) == "");
  CHECK(captured.after(logged + candidate) == "");
  CHECK(captured.after(logged + "+ 5" + candidate) == "1- ");
}

TEST_CASE("a column that replaces by its own declaration evicts too (S1)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE ON CONFLICT REPLACE)",
                    "INSERT INTO t VALUES (1, 'x'), (2, 'y')");
  CHECK(captured.after("INSERT INTO t VALUES (3, 'x')") == "1- 3+ ");
  CHECK(captured.after("UPDATE t SET u = 'x' WHERE id = 2") == "2+ 3- ");
}

TEST_CASE("unique indexes over expressions, generated columns and parts of the rows evict (S1)") {
  Captured captured(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, state TEXT, twice AS (id / 10));"
      "CREATE UNIQUE INDEX i1 ON t(lower(name), state || '!' DESC);"
      "CREATE UNIQUE INDEX i2 ON t(twice, state) WHERE state = 'open';",
      "INSERT INTO t VALUES (10, 'Ann', 'a'), (11, 'Bob', 'open'), (12, 'Cid', 'done')");
  CHECK(captured.after("INSERT OR REPLACE INTO t VALUES (90, 'ANN', 'a')") == "10- 90+ ");
  CHECK(captured.after("UPDATE OR REPLACE t SET state = 'open' WHERE id = 12") == "11- 12+ ");
}

TEST_CASE("a hidden rowid that the application chooses evicts whoever has it (S1)") {
  Captured captured("CREATE TABLE t(k TEXT PRIMARY KEY, v)",
                    "INSERT INTO t(rowid, k) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
  CHECK(captured.after("INSERT OR REPLACE INTO t(rowid, k) VALUES (1, 'z')") == "'a'- 'z'+ ");
  CHECK(captured.after("UPDATE OR REPLACE t SET rowid = 3 WHERE k = 'b'") == "'b'+ 'c'- ");
}

TEST_CASE("a key that moves is logged on both ends (S8, S9)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
                    "INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  CHECK(captured.after("UPDATE t SET id = 5 WHERE id = 1") == "1- 5+ ");
  CHECK(captured.after("UPDATE t SET rowid = 9 WHERE id = 5") == "5- 9+ ");
  CHECK(captured.after(
            "UPDATE t SET id = -id; UPDATE t SET id = CASE id WHEN -2 THEN 9 ELSE 2 END") ==
        "-9- -2- 2+ 9+ ");
}

TEST_CASE("keys of every class stay apart, and together where the collation says so (S10, S11)") {
  Captured any("CREATE TABLE t(k PRIMARY KEY, v)");
  CHECK(any.after("INSERT INTO t(k) VALUES (1), ('1'), (x'31'), (1.5), ('a'), ('A')") ==
        "1+ 1.5+ '1'+ 'A'+ 'a'+ x'31'+ ");
  Captured nocase("CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v)");
  CHECK(nocase.after("INSERT INTO t VALUES ('a', 1); UPDATE t SET k = 'A'") == "'A'+ ");
  CHECK(nocase.application.ask("SELECT count(*) FROM tidemark_version_1") == "1");
  Captured strict("CREATE TABLE t(k ANY PRIMARY KEY, v INT) STRICT");
  CHECK(strict.after("INSERT INTO t(k) VALUES ('00120'), (120)") == "120+ '00120'+ ");
}

TEST_CASE("NULL in a key is counted and never a version (S7)") {
  Captured captured("CREATE TABLE t(k TEXT PRIMARY KEY, v)");
  captured.application.run("INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('a', 3)");
  const ActiveTable table = captured.node->active_tables().front();
  captured.node->begin_write();
  TableState state = captured.node->load_state(table);
  const HarvestCounts counts = captured.node->harvest(table, state);
  captured.node->rollback();
  CHECK(counts.logged == 3);
  CHECK(counts.null_keys == 2);
  CHECK(counts.versions == 1);
  CHECK(captured.node->count_null_keys(table) == 2);
}

TEST_CASE("a trigger of the application that changes the row after ours ran is seen (S4)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  captured.application.run(
      "CREATE TRIGGER mine AFTER INSERT ON t WHEN new.v = 'no' BEGIN DELETE FROM t WHERE id = "
      "new.id; "
      "END");
  CHECK(captured.after("INSERT INTO t VALUES (1, 'no'), (2, 'yes')") == "1- 2+ ");
}

TEST_CASE("the application's conflict clause cannot silence the log (S3)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)",
                    "INSERT INTO t VALUES (1, 'a')");
  CHECK(captured.after("INSERT OR IGNORE INTO t VALUES (2, 'b'), (3, 'a')") == "2+ ");
  CHECK(captured.after("UPDATE OR FAIL t SET v = v || '!'") == "1+ 2+ ");
}

TEST_CASE("any name can be captured, Tidemark's own included") {
  const char* const kSchema =
      "CREATE TABLE tidemark_log_1(\"k1\" INTEGER PRIMARY KEY, stamp);"
      "CREATE TABLE \"quote\"\" new line\nsemi;colon\"(\"the \"\"key\" TEXT, \"new\" INT, rowid "
      "TEXT, "
      "\"{{id}}\" UNIQUE, PRIMARY KEY(\"the \"\"key\", \"new\"));"
      "CREATE TABLE \"select\"(\"from\" TEXT PRIMARY KEY) WITHOUT ROWID;";
  Captured captured(kSchema);
  REQUIRE(captured.node->active_tables().size() == 3);
  for (const ActiveTable& table : captured.node->active_tables()) {
    CHECK(table.health == CaptureHealth::intact);
    CHECK(table.id > 1);  // the application has the name of the first log
  }
  CHECK(captured.after(
            "INSERT INTO tidemark_log_1 VALUES (5, 1);"
            "INSERT INTO \"quote\"\" new line\nsemi;colon\" VALUES ('a', 1, 'r', 'u');"
            "INSERT OR REPLACE INTO \"quote\"\" new line\nsemi;colon\" VALUES ('b', 2, 'r', 'u');"
            "INSERT INTO \"select\" VALUES ('x')") == "'a', 1- 'b', 2+ 'x'+ 5+ ");
  captured.node->begin_write();
  captured.node->remove_control_tables();
  captured.node->commit();
  CHECK(captured.application.ask("SELECT count(*) FROM sqlite_schema WHERE type = 'table'") == "3");
}

TEST_CASE("a table of the application named like a control table stops activation") {
  SqliteApplication application("CREATE TABLE tidemark_node(x)");
  const auto node = application.open();
  CHECK_FALSE(node->identity());
  node->begin_write();
  CHECK_THROWS_AS(node->create_control_tables({}), Error);
  node->rollback();
}

TEST_CASE("health: what changed since activation is noticed (S22)") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v, w)",
                    "INSERT INTO t VALUES (1, 2, 3)");
  CHECK(captured.health() == CaptureHealth::intact);
  SqliteApplication& application = captured.application;
  SUBCASE("a trigger is gone") {
    application.run("DROP TRIGGER tidemark_1_update");
    CHECK(captured.health() == CaptureHealth::missing);
  }
  SUBCASE("a trigger does something else") {
    application.run(
        "DROP TRIGGER tidemark_1_update;"
        "CREATE TRIGGER tidemark_1_update AFTER UPDATE ON t BEGIN SELECT 1; END");
    CHECK(captured.health() == CaptureHealth::missing);
  }
  SUBCASE("the table was rebuilt") {
    application.run(
        "CREATE TABLE n(id INTEGER PRIMARY KEY, v, w); INSERT INTO n SELECT * FROM t;"
        "DROP TABLE t; ALTER TABLE n RENAME TO t");
    CHECK(captured.health() == CaptureHealth::missing);
  }
  SUBCASE("the table is gone") {
    application.run("DROP TABLE t");
    CHECK(captured.health() == CaptureHealth::table_missing);
  }
  SUBCASE("the table has another name") {
    application.run("ALTER TABLE t RENAME TO other");
    CHECK(captured.health() == CaptureHealth::table_missing);
  }
  SUBCASE("the log is gone") {
    application.run(
        "DROP TRIGGER tidemark_1_insert; DROP TRIGGER tidemark_1_update;"
        "DROP TRIGGER tidemark_1_delete; DROP TABLE tidemark_log_1");
    CHECK(captured.health() == CaptureHealth::missing);
  }
  SUBCASE("a new unique index lets rows be evicted unseen") {
    application.run("CREATE UNIQUE INDEX i ON t(v)");
    CHECK(captured.health() == CaptureHealth::missing);
  }
  SUBCASE("another index, another column and VACUUM do no harm") {
    application.run("CREATE INDEX i ON t(v); ALTER TABLE t ADD COLUMN x; VACUUM");
    CHECK(captured.health() == CaptureHealth::intact);
  }
  if (captured.health() != CaptureHealth::missing) return;
  const ActiveTable table = captured.node->active_tables().front();
  captured.node->begin_write();
  captured.node->repair_capture(table);
  captured.node->commit();
  CHECK(captured.health() == CaptureHealth::intact);
  CHECK(captured.after("UPDATE t SET v = 'new'").find("1+") != std::string::npos);
}

TEST_CASE("a key of another kind makes the control tables anew and logs every row") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)",
                    "INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  captured.application.run(
      "CREATE TABLE n(id INTEGER, v TEXT PRIMARY KEY); INSERT INTO n SELECT * FROM t;"
      "DROP TABLE t; ALTER TABLE n RENAME TO t");
  const ActiveTable table = captured.node->active_tables().front();
  CHECK(table.health == CaptureHealth::missing);
  captured.node->begin_write();
  captured.node->repair_capture(table);
  captured.node->commit();
  CHECK(captured.health() == CaptureHealth::intact);
  CHECK(captured.harvest() == "'a'+ 'b'+ ");
}

TEST_CASE("rivals are found for every kind of unique index") {
  Captured captured(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, n INT, twice AS (n * 2) "
      "UNIQUE);"
      "CREATE UNIQUE INDEX i1 ON t(lower(substr(name, 1, 1))) WHERE n > 100;"
      "CREATE UNIQUE INDEX i2 ON t(name COLLATE BINARY);",
      "INSERT INTO t VALUES (1, 'Ann', 1), (2, 'bob', 2), (3, 'Cid', 103)");
  const ActiveTable table = captured.node->active_tables().front();
  const auto rivals = [&](std::int64_t id, const char* name, std::int64_t n) {
    const Row row = {Value::integer(id), Value::text(name), Value::integer(n)};
    std::string keys;
    captured.node->begin_read();
    for (const Row& key : captured.node->unique_rivals(table, to_views(row))) {
      keys += to_string(to_views(key)) + " ";
    }
    captured.node->rollback();
    return keys;
  };
  CHECK(rivals(9, "Ann", 9) == "1 ");
  CHECK(rivals(9, "ann", 9) == "");     // the index compares bytes, whatever the column does
  CHECK(rivals(9, "x", 2) == "2 ");     // the generated column
  CHECK(rivals(9, "c-", 104) == "3 ");  // the expression
  CHECK(rivals(9, "c-", 4) == "");      // not part of the index
  CHECK(rivals(9, "Ann", 2) == "2 1 ");
  CHECK(rivals(1, "Ann", 1) == "");  // its own row
}

TEST_CASE("the recent list and the scan of all versions give the same changes") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  const ActiveTable table = captured.node->active_tables().front();
  Knowledge before;
  const auto fill = [&](int from, int count) {
    captured.node->begin_read();
    before = captured.node->load_state(table).knowledge;
    captured.node->rollback();
    captured.application.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < " +
        std::to_string(count - 1) + ") INSERT OR REPLACE INTO t SELECT " + std::to_string(from) +
        " + i, 'x' FROM n");
    captured.harvest();
  };
  const auto count_since = [&](const Knowledge& known) {
    captured.node->begin_read();
    const auto stream = captured.node->changes_since(table, known);
    std::int64_t rows = 0;
    ChangedRow row;
    while (stream->next(row)) ++rows;
    captured.node->rollback();
    return rows;
  };
  const auto listed = [&] {
    return std::stoll(captured.application.ask("SELECT count(*) FROM tidemark_recent_1"));
  };
  fill(0, 10000);
  CHECK(listed() == 10000);
  CHECK(count_since(before) == 10000);
  fill(5000, 10000);  // together too many: the older half goes
  CHECK(listed() <= 16384);
  CHECK(listed() >= 10000);
  CHECK(count_since(before) == 10000);
  CHECK(count_since({}) == 15000);
  fill(0, 30000);  // alone too many: nothing is kept
  CHECK(listed() == 0);
  CHECK(count_since(before) == 30000);
  fill(7, 1);
  CHECK(listed() == 1);
  CHECK(count_since(before) == 1);
  CHECK(count_since({}) == 30000);
}

TEST_CASE("a long log that is written right now is harvested in slices, with writers in between") {
  Captured captured("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)");
  captured.application.run(
      "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 70000) INSERT INTO "
      "t "
      "SELECT i, 0 FROM c");
  Node& node = *captured.node;
  std::vector<capture::CapturedTable> tables{{.table = node.active_tables().front()}};
  const ActiveTable& table = tables.front().table;
  // Right now is a tenth of a second, which a slow machine may take until it looks.
  bool is_busy = false;
  for (int attempt = 0; !is_busy && attempt < 100; ++attempt) {
    captured.application.run(
        "UPDATE tidemark_log_1 SET stamp = CAST((julianday('now') - 2440587.5) * 86400000 AS "
        "INTEGER) * 4 + 1 WHERE rowid = (SELECT max(rowid) FROM tidemark_log_1)");
    is_busy = node.is_busy_log(table);
  }
  CHECK(is_busy);
  SUBCASE("one slice leaves the rest") {
    node.begin_write();
    TableState state = node.load_state(table);
    const HarvestCounts counts = node.harvest_slice(table, state);
    CHECK(counts.versions == counts.logged);
    CHECK(counts.versions < 70000);
    node.save_state(table, state);
    node.commit_unsynced();
    CHECK(node.pending(table).first == 70000 - counts.logged);
    captured.application.run("UPDATE t SET n = 1 WHERE id = 1");
  }
  SUBCASE("a snapshot takes all of it") {}
  SUBCASE("one that nobody writes to is not busy") {
    captured.application.run("UPDATE tidemark_log_1 SET stamp = stamp - 4 * 60000");
    CHECK_FALSE(node.is_busy_log(table));
  }
  capture::open_harvested_snapshot(node, tables);
  CHECK_FALSE(node.has_pending(table));
  const Knowledge& known = tables.front().state.knowledge;
  const auto rows = node.changes_since(table, Knowledge());
  std::set<std::int64_t> sequences;
  ChangedRow row;
  bool as_inserted = true;
  while (rows->next(row)) {
    as_inserted = as_inserted && row.version->inserted && known.covers(*row.version);
    sequences.insert(row.version->sequence);
  }
  CHECK(as_inserted);
  CHECK(sequences.size() == 70000);
  node.commit();
}
