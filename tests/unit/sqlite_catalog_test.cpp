// What the SQLite engine reads from the catalog: keys, refusals, unique indexes, names of every
// kind.
#include <doctest/doctest.h>

#include <algorithm>

#include "engines/sqlite/catalog.h"
#include "engines/sqlite/embedded_sql.h"
#include "engines/sqlite/identifiers.h"
#include "model/error.h"
#include "tests/unit/sqlite_application.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

TableSpec spec_of(const std::string& schema, const std::string& table) {
  SqliteApplication application(schema);
  for (const TableSpec& spec : application.open()->catalog()) {
    if (spec.name == table) return spec;
  }
  throw std::logic_error("no table " + table);
}

std::string key_of(const TableSpec& spec) {
  std::string names;
  for (const std::size_t position : spec.key) names += spec.columns[position].name + " ";
  return names;
}

}  // namespace

TEST_CASE("any name stays one name") {
  CHECK(sqlite::quoted_name("plain") == "\"plain\"");
  CHECK(sqlite::quoted_name("say \"hi\"\n") == "\"say \"\"hi\"\"\n\"");
  CHECK(sqlite::quoted_name("") == "\"\"");
  CHECK(sqlite::same_name("Item", "iTEM"));
  CHECK_FALSE(sqlite::same_name("\xc3\xa4", "\xc3\x84"));  // folding is for ASCII only
  CHECK_FALSE(sqlite::same_name("item", "items"));
}

TEST_CASE("a placeholder is filled or it is a mistake") {
  CHECK(render_text("a {{x}} b {{x}}", {{"x", "{{y}}"}}) == "a {{y}} b {{y}}");
  CHECK_THROWS_AS(render_text("{{x}}", {}), std::logic_error);
  CHECK_THROWS_AS(render_text("a", {{"x", "1"}}), std::logic_error);
  CHECK_THROWS_AS(render_text("{{x", {{"x", "1"}}), std::logic_error);
  CHECK_THROWS_AS(sqlite::render("no_such_file", {}), std::logic_error);
}

TEST_CASE("the terms of an index are read from its text") {
  const auto parsed = sqlite::parse_index(
      "CREATE UNIQUE INDEX \"odd ( name\" ON \"t,(\" (lower(a) DESC, coalesce(b, ','), /* c, */ c "
      "collate nocase asc) WHERE a != 'x)' -- end");
  REQUIRE(parsed.terms.size() == 3);
  CHECK(parsed.terms[0] == "lower(a)");
  CHECK(parsed.terms[1] == "coalesce(b, ',')");
  CHECK(parsed.terms[2] == "c collate nocase");
  CHECK(parsed.predicate == "a != 'x)'");
  CHECK(sqlite::parse_index("CREATE UNIQUE INDEX i ON t(a->>'$.x')").terms ==
        std::vector<std::string>{"a->>'$.x'"});
}

TEST_CASE("affinity follows the declared type") {
  CHECK(affinity_of("BIGINT UNSIGNED", false) == Affinity::integer);
  CHECK(affinity_of("FLOATING POINT", false) == Affinity::integer);  // POINT holds INT
  CHECK(affinity_of("varchar(10)", false) == Affinity::text);
  CHECK(affinity_of("", false) == Affinity::blob);
  CHECK(affinity_of("double precision", false) == Affinity::real);
  CHECK(affinity_of("DECIMAL(10,2)", false) == Affinity::numeric);
  CHECK(affinity_of("ANY", false) == Affinity::numeric);
  CHECK(affinity_of("ANY", true) == Affinity::any);
}

TEST_CASE("the key is the primary key, or else a unique key over NOT NULL columns") {
  CHECK(spec_of("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "t").integer_key);
  CHECK_FALSE(spec_of("CREATE TABLE t(a INT PRIMARY KEY, b)", "t").integer_key);
  CHECK_FALSE(spec_of("CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b)", "t").integer_key);
  CHECK_FALSE(spec_of("CREATE TABLE t(a INTEGER PRIMARY KEY, b) WITHOUT ROWID", "t").integer_key);
  CHECK(key_of(spec_of("CREATE TABLE t(a, b, c, PRIMARY KEY(c, a))", "t")) == "c a ");
  CHECK(key_of(spec_of("CREATE TABLE t(a, b UNIQUE, c NOT NULL UNIQUE)", "t")) == "c ");
  CHECK(key_of(spec_of("CREATE TABLE t(a NOT NULL, b NOT NULL); CREATE UNIQUE INDEX i ON t(b, a)",
                       "t")) == "b a ");
  CHECK(
      spec_of("CREATE TABLE t(a TEXT, PRIMARY KEY(a COLLATE NOCASE))", "t").columns[0].collation ==
      Collation::nocase);
}

TEST_CASE("tables without a usable key are refused by name") {
  const char* const kSchemas[] = {
      "CREATE TABLE t(a, b)",
      "CREATE TABLE t(a, b UNIQUE)",  // several rows may hold NULL
      "CREATE TABLE t(a NOT NULL); CREATE UNIQUE INDEX i ON t(a) WHERE a > 0",
      "CREATE TABLE t(a NOT NULL); CREATE UNIQUE INDEX i ON t(lower(a))",
      "CREATE TABLE t(a NOT NULL, b NOT NULL AS (a + 1) UNIQUE)",
  };
  for (const char* schema : kSchemas) {
    CAPTURE(schema);
    CHECK(spec_of(schema, "t").refusal ==
          "has no primary key and no unique key over NOT NULL columns");
  }
}

TEST_CASE("a table that only its application can write is refused with the reason") {
  SqliteApplication application;
  sqlite3* handle = nullptr;
  REQUIRE(sqlite3_open(application.file().c_str(), &handle) == SQLITE_OK);
  const auto compare = [](void*, int, const void*, int, const void*) { return 0; };
  sqlite3_create_collation(handle, "german", SQLITE_UTF8, nullptr, compare);
  const auto function = [](sqlite3_context* context, int, sqlite3_value**) {
    sqlite3_result_int(context, 1);
  };
  sqlite3_create_function(handle, "looks_good", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                          function, nullptr, nullptr);
  CHECK(sqlite3_exec(handle,
                     "CREATE TABLE a(k TEXT COLLATE german PRIMARY KEY);"
                     "CREATE TABLE b(k INTEGER PRIMARY KEY, v CHECK(looks_good(v)));"
                     "CREATE TABLE c(k INTEGER PRIMARY KEY, v TEXT COLLATE german UNIQUE);"
                     "CREATE TABLE d(k INTEGER PRIMARY KEY, v TEXT COLLATE german)",
                     nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(handle);
  const auto tables = application.open()->catalog();
  REQUIRE(tables.size() == 4);
  CHECK(tables[0].refusal.find("collation german") != std::string::npos);
  CHECK(tables[1].refusal.find("looks_good") != std::string::npos);
  CHECK(tables[2].refusal.find("german") != std::string::npos);
  CHECK(tables[3].refusal == "");
}

TEST_CASE("views, virtual tables with their shadows and SQLite's own tables are no tables (S26)") {
  SqliteApplication application(
      "CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, name);"
      "INSERT INTO item(name) VALUES ('x'); ANALYZE;"
      "CREATE VIEW shown AS SELECT * FROM item;"
      "CREATE VIRTUAL TABLE words USING fts5(body);");
  const auto tables = application.open()->catalog();
  REQUIRE(tables.size() == 1);
  CHECK(tables[0].name == "item");
}

TEST_CASE("generated columns are set apart and foreign keys spelled out (S15)") {
  const TableSpec child = spec_of(
      "CREATE TABLE Parent(a, b, PRIMARY KEY(a, b));"
      "CREATE TABLE child(id INTEGER PRIMARY KEY, x, y, z AS (x + y) STORED, w AS (x) VIRTUAL,"
      " FOREIGN KEY(X, y) REFERENCES parent)",
      "child");
  CHECK(child.columns.size() == 3);
  CHECK(child.generated == std::vector<std::string>{"z", "w"});
  REQUIRE(child.foreign_keys.size() == 1);
  CHECK(child.foreign_keys[0] == ForeignKeySpec{.columns = {"x", "y"},
                                                .parent_table = "Parent",
                                                .parent_columns = {"a", "b"}});
}

TEST_CASE("the definition of a table makes it again elsewhere, without triggers") {
  const char* const kSchema =
      "CREATE TABLE \"odd \"\"name\"(id INTEGER PRIMARY KEY, v TEXT DEFAULT 'a;b', UNIQUE(v));"
      "CREATE INDEX \"its index\" ON \"odd \"\"name\"(v);"
      "CREATE TRIGGER tr AFTER INSERT ON \"odd \"\"name\" BEGIN SELECT 1; END;";
  const TableSpec spec = spec_of(kSchema, "odd \"name");
  SqliteApplication other;
  const auto node = other.open();
  node->begin_write();
  node->create_table(spec);
  node->commit();
  CHECK(other.ask("SELECT count(*), sum(type = 'trigger') FROM sqlite_schema") == "3,0");
  const auto made = node->catalog();
  REQUIRE(made.size() == 1);
  CHECK(made[0].shape() == spec.shape());
  CHECK(made[0].uniques == spec.uniques);
}
