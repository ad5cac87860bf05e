#include "cli/text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cli/time_text.h"

using namespace tidemark;
using namespace tidemark::cli;

TEST_CASE("what a terminal would obey is printed as an escape") {
  CHECK(printable("plain äöü 字 🙂") == "plain äöü 字 🙂");
  CHECK(printable("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(printable("a\nb\tc\r") == "a\\nb\\tc\\r");
  CHECK(printable(std::string("a\0b", 3)) == "a\\x00b");
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");
  CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");           // overlong
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");           // a C1 control
  CHECK(printable("\xe2\x80\xae") == "\\xe2\\x80\\xae");  // right-to-left override
  CHECK(printable("\x7f") == "\\x7f");
}

TEST_CASE("columns line up whatever is in them") {
  TextTable table({{"name"}, {"rows", TextTable::Align::right}});
  table.add({"é", "5"});
  table.add({"longer\n", "12 345"});
  CHECK(table.render() ==
        "name        rows\n"
        "é              5\n"
        "longer\\n  12 345\n");
}

TEST_CASE("text is shortened by characters, not bytes") {
  CHECK(shortened("abc", 3) == "abc");
  CHECK(shortened("abcd", 3) == "ab…");
  CHECK(shortened("ääää", 3) == "ää…");
  CHECK(width_of("ää…") == 3);
}

TEST_CASE("values show their kind where they would look alike") {
  CHECK(value_text(ValueView::of_null()) == "NULL");
  CHECK(value_text(ValueView::of_integer(std::numeric_limits<std::int64_t>::min())) ==
        "-9223372036854775808");
  CHECK(value_text(ValueView::of_real(1.0)) == "1.0");
  CHECK(value_text(ValueView::of_real(0.1)) == "0.1");
  CHECK(value_text(ValueView::of_real(-0.0)) == "-0.0");
  CHECK(value_text(ValueView::of_real(1e300)) == "1e+300");
  CHECK(value_text(ValueView::of_real(-std::numeric_limits<double>::infinity())) == "-Infinity");
  CHECK(value_text(ValueView::of_text("a\nb")) == "a\\nb");
  CHECK(value_text(ValueView::of_blob(std::string_view("\x00\xff", 2))) == "x'00ff'");
}

TEST_CASE("counts are readable") {
  CHECK(counted(1, "row") == "1 row");
  CHECK(counted(0, "row") == "0 rows");
  CHECK(grouped(1234567) == "1 234 567");
  CHECK(grouped(-1234) == "-1 234");
  CHECK(grouped(999) == "999");
  CHECK(grouped(-999) == "-999");
}

TEST_CASE("paragraphs are broken between words") {
  CHECK(wrapped("aa bb cc", 2, 7) == "  aa bb\n  cc\n");
  CHECK(wrapped("a\n\nb", 0, 80) == "a\n\nb\n");
  CHECK(wrapped("unbreakable", 0, 5) == "unbreakable\n");
}

TEST_CASE("times are written in UTC") {
  CHECK(rfc3339(1'795'322'050'123'456) == "2026-11-22T04:34:10.123456Z");
  CHECK(short_time(1'795'322'050'123'456) == "2026-11-22 04:34:10 UTC");
  CHECK(rfc3339(-1) == "1969-12-31T23:59:59.999999Z");
  CHECK(short_time(7) == "before activation");
  CHECK(rfc3339(std::numeric_limits<std::int64_t>::max()) == "9999-12-31T23:59:59.999999Z");
  CHECK(rfc3339(std::numeric_limits<std::int64_t>::min()).starts_with("0001-01-01"));
}

TEST_CASE("how long ago is told in one unit") {
  const std::int64_t now = 1'795'322'050'000'000;
  const std::int64_t second = 1'000'000;
  CHECK(relative_time(now, now) == "just now");
  CHECK(relative_time(now - 3 * second, now) == "3 s ago");
  CHECK(relative_time(now - 600 * second, now) == "10 min ago");
  CHECK(relative_time(now - 7200 * second, now) == "2 h ago");
  CHECK(relative_time(now - 3 * 86400 * second, now) == "3 days ago");
  CHECK(relative_time(now + 120 * second, now) == "in 2 min");
  CHECK(duration_text(123'456) == "0.12 s");
  CHECK(duration_text(200 * second) == "3 min 20 s");
}
