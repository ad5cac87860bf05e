// Values, keys, versions and their JSON.
#include <cmath>
#include <limits>
#include <stdexcept>

#include <doctest/doctest.h>

#include "model/change.h"
#include "model/row_json.h"
#include "model/table.h"
#include "model/value.h"
#include "model/version.h"

#include <nlohmann/json.hpp>

using namespace tidemark;  // NOLINT(google-build-using-namespace)

namespace {

TableSpec table_with_key(Collation collation) {
  TableSpec spec;
  spec.name = "t";
  spec.columns = {{.name = "k", .declared_type = "", .collation = collation}, {.name = "v"}};
  spec.key = {0};
  return spec;
}

std::weak_ordering order(const Value& a, const Value& b, Collation collation = Collation::binary) {
  const ValueView left[] = {a.view()};
  const ValueView right[] = {b.view()};
  return KeyOrder(table_with_key(collation)).compare(left, right);
}

}  // namespace

TEST_CASE("identical values have one kind and the same bits") {
  CHECK(Value::integer(1) == Value::integer(1));
  CHECK_FALSE(Value::integer(1) == Value::real(1.0));
  CHECK_FALSE(Value::real(0.0) == Value::real(-0.0));
  CHECK_FALSE(Value::text("a") == Value::blob("a"));
  CHECK(Value::text(std::string_view("a\0b", 3)) == Value::text(std::string_view("a\0b", 3)));
}

TEST_CASE("keys are ordered as SQLite orders them") {
  CHECK(order(Value::null(), Value::integer(-5)) < 0);
  CHECK(order(Value::integer(2), Value::real(2.5)) < 0);
  CHECK(order(Value::real(2.5), Value::integer(2)) > 0);
  CHECK(order(Value::integer(1), Value::real(1.0)) == 0);
  CHECK(order(Value::integer(7), Value::text("")) < 0);
  CHECK(order(Value::text("zz"), Value::blob("")) < 0);
  CHECK(order(Value::text("B"), Value::text("a")) < 0);
  CHECK(order(Value::text("\x80"), Value::text("a")) > 0);
}

TEST_CASE("integers beyond 2^53 are compared with reals exactly") {
  const std::int64_t big = 9007199254740993;  // 2^53 + 1, not a double
  CHECK(order(Value::integer(big), Value::real(9007199254740992.0)) > 0);
  CHECK(order(Value::integer(std::numeric_limits<std::int64_t>::max()),
              Value::real(9223372036854775808.0)) < 0);
  CHECK(order(Value::integer(std::numeric_limits<std::int64_t>::min()),
              Value::real(-9223372036854775808.0)) == 0);
  CHECK(order(Value::integer(0), Value::real(std::numeric_limits<double>::infinity())) < 0);
}

TEST_CASE("collations NOCASE and RTRIM merge what SQLite merges") {
  CHECK(order(Value::text("abc"), Value::text("ABC"), Collation::nocase) == 0);
  CHECK(order(Value::text("\xC3\xA4"), Value::text("\xC3\x84"), Collation::nocase) != 0);
  CHECK(order(Value::text("abc  "), Value::text("abc"), Collation::rtrim) == 0);
  CHECK(order(Value::text("abc"), Value::text("abd"), Collation::rtrim) < 0);
}

TEST_CASE("a column that is missing, converted otherwise or in another key is named") {
  TableSpec here = table_with_key(Collation::binary);
  here.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "price", .declared_type = "REAL"},
                  {.name = "note", .declared_type = "VARCHAR(20)"}};
  TableSpec there = here;
  CHECK(shape_differences(here, there).empty());
  there.columns[2].declared_type = "TEXT";  // the same affinity holds the same values
  CHECK(shape_differences(here, there).empty());
  there.columns[1].declared_type = "TEXT";
  CHECK(shape_differences(here, there) ==
        std::vector<std::string>{"column price: REAL here, TEXT there"});
  there = here;
  there.columns.pop_back();
  CHECK(shape_differences(here, there) ==
        std::vector<std::string>{"column note: here, missing there"});
  there = here;
  there.key = {1};
  CHECK(shape_differences(here, there).size() == 1);
  there = here;
  there.strict = true;
  CHECK(shape_differences(here, there).size() == 1);
}

TEST_CASE(
    "columns in another order are brought into one order, keys and unique indexes with them") {
  TableSpec here;
  here.columns = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
  here.key = {0};
  TableSpec there;
  there.columns = {{.name = "c"}, {.name = "a"}, {.name = "b"}};
  there.key = {1};
  there.uniques = {{.name = "u", .columns = {0, 2}}};
  const TableSpec result = aligned(there, here);
  CHECK(result.columns == here.columns);
  CHECK(result.key == std::vector<std::size_t>{0});
  CHECK(result.uniques[0].columns == std::vector<std::size_t>{2, 1});
}

TEST_CASE("globs match runs and single characters") {
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("order*", "order details"));
  CHECK(glob_matches("*_log", "a_log_log"));
  CHECK(glob_matches("a?c", "abc"));
  CHECK_FALSE(glob_matches("a?c", "ac"));
  CHECK_FALSE(glob_matches("order", "orders"));
  CHECK_FALSE(glob_matches("", "x"));
}

TEST_CASE("knowledge covers what it was raised to and merges to the union") {
  Uuid a;
  Uuid b;
  b.bytes[0] = 9;
  Knowledge knowledge;
  CHECK_FALSE(knowledge.covers(Version{.origin = a, .sequence = 1}));
  knowledge.raise(a, 3);
  knowledge.raise(a, 2);
  CHECK(knowledge.of(a) == 3);
  CHECK(knowledge.covers(Version{.origin = a, .sequence = 3}));
  CHECK_FALSE(knowledge.covers(Version{.origin = a, .sequence = 4}));
  Knowledge other;
  other.raise(b, 0);
  CHECK_FALSE(knowledge.covers(other));  // an origin with nothing is still an origin never met
  knowledge.merge(other);
  CHECK(knowledge.covers(other));
  CHECK(knowledge.entries().size() == 2);
}

TEST_CASE("text is valid wherever its characters lie, and one wrong byte anywhere spoils it") {
  const std::string characters[] = {"a",
                                    "\x7f",
                                    "\xc2\x80",
                                    "\xdf\xbf",
                                    "\xe0\xa0\x80",
                                    "\xed\x9f\xbf",
                                    "\xee\x80\x80",
                                    "\xf0\x90\x80\x80",
                                    "\xf4\x8f\xbf\xbf"};
  const std::string spoilers[] = {std::string(1, '\0'), "\x80", "\xc0\x80", "\xed\xa0\x80",
                                  "\xf4\x90\x80\x80",   "\xff"};
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t after = 0; after < 20; ++after) {
      const std::string left(before, 'l'), right(after, 'r');
      for (const std::string& character : characters) {
        CHECK(is_clean_utf8(left + character + right));
        if (character.size() > 1) CHECK_FALSE(is_clean_utf8(left + character.substr(0, 1) + right));
      }
      for (const std::string& spoiler : spoilers)
        CHECK_FALSE(is_clean_utf8(left + spoiler + right));
    }
  }
}

TEST_CASE("a uuid is read as it is written, and nothing else is") {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i)
    uuid.bytes[i] = static_cast<std::uint8_t>(i * 17);
  CHECK(Uuid::parse(uuid.to_string()) == uuid);
  CHECK_FALSE(Uuid::parse("0011"));
  CHECK_FALSE(Uuid::parse(uuid.to_string() + "0"));
  CHECK_FALSE(Uuid::parse("g" + uuid.to_string().substr(1)));
}

TEST_CASE("every value survives JSON") {
  const Row row{Value::null(),
                Value::integer(std::numeric_limits<std::int64_t>::min()),
                Value::real(0.1 + 0.2),
                Value::real(-0.0),
                Value::real(std::numeric_limits<double>::infinity()),
                Value::real(5e-324),
                Value::text("plain \"quoted\" \xE2\x82\xAC"),
                Value::text(std::string_view("nul\0inside", 10)),
                Value::text("broken \xFF utf-8"),
                Value::text(""),
                Value::blob(std::string_view("\x00\x01\xFF", 3)),
                Value::blob("")};
  std::vector<std::string> columns;
  for (std::size_t i = 0; i < row.size(); ++i) columns.push_back("c" + std::to_string(i));
  const std::string text = row_to_json(columns, row).dump();
  std::vector<std::string> read_columns;
  Row read_row;
  row_from_json(nlohmann::ordered_json::parse(text), read_columns, read_row);
  CHECK(read_columns == columns);
  CHECK(read_row == row);
}

TEST_CASE("base64 is read as it is written, and broken text is refused") {
  for (std::size_t size = 0; size < 40; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 37 + size));
    CHECK(from_base64(to_base64(bytes)) == bytes);
  }
  CHECK(to_base64("any carnal pleas") == "YW55IGNhcm5hbCBwbGVhcw==");
  CHECK_THROWS_AS(from_base64("abc"), std::invalid_argument);
  CHECK_THROWS_AS(from_base64("ab=c"), std::invalid_argument);
  CHECK_THROWS_AS(from_base64("a!cd"), std::invalid_argument);
}

TEST_CASE("a conflict has one id, whoever is called winner") {
  Conflict conflict;
  conflict.table = "t";
  conflict.key = {Value::integer(1)};
  conflict.winner.version = Version{.changed_at_us = 1, .sequence = 1};
  conflict.loser.version = Version{.changed_at_us = 2, .sequence = 2};
  const std::string id = conflict_id(conflict);
  CHECK(id.size() == 32);
  std::swap(conflict.winner, conflict.loser);
  CHECK(conflict_id(conflict) == id);
  conflict.key = {Value::integer(2)};
  CHECK(conflict_id(conflict) != id);
}

TEST_CASE("changes of a shape are told column by column") {
  const std::string then = "id INTEGER, name TEXT, price numeric(10,2), plain; key id";
  CHECK(shape_changes(then, then).empty());
  CHECK(shape_changes(then, "id INTEGER, name TEXT, price numeric(10,2), plain, c TEXT; key id") ==
        "column c is new");
  CHECK(shape_changes(then, "id INTEGER, price numeric(12,2), plain TEXT; key id") ==
        "column name is gone; column plain: no type then, TEXT now; column price: numeric(10,2) "
        "then, numeric(12,2) now");
  CHECK(shape_changes(then, "id INTEGER, name TEXT, price numeric(10,2), plain; key name") ==
        "key id then, key name now");
  CHECK(shape_changes(then, "name TEXT, id INTEGER, price numeric(10,2), plain; key id") ==
        "its columns stand in another order");
}
