#include "tests/simulation/boundary_values.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tidemark::simulation {
namespace {

using namespace std::string_view_literals;

std::vector<Value> texts(const std::vector<std::string_view>& all) {
  std::vector<Value> values{Value::null()};
  for (const std::string_view text : all) values.push_back(Value::text(text));
  return values;
}

std::vector<Value> integers() {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::vector<Value> values{Value::null()};
  for (const std::int64_t number :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{127}, std::int64_t{-128},
        std::int64_t{32768}, std::int64_t{2147483647}, std::int64_t{-2147483648},
        std::int64_t{4294967296}, (std::int64_t{1} << 53) + 1, kMost, -kMost - 1}) {
    values.push_back(Value::integer(number));
  }
  return values;
}

std::vector<Value> reals(bool with_nan, bool with_minus_zero) {
  using Limits = std::numeric_limits<double>;
  std::vector<Value> values{Value::null()};
  for (const double number : {0.0, 1.0, -1.5, 0.1, 1e15, 9007199254740993.0, 1e308, Limits::max(),
                              Limits::lowest(), Limits::min(), Limits::denorm_min(),
                              Limits::epsilon(), Limits::infinity(), -Limits::infinity()}) {
    values.push_back(Value::real(number));
  }
  if (with_nan) values.push_back(Value::real(Limits::quiet_NaN()));
  if (with_minus_zero) values.push_back(Value::real(-0.0));
  return values;
}

std::vector<Value> plain_texts() {
  static const std::string kLong(5000, 'x');
  return texts({"",
                " ",
                "a",
                "A",
                "'",
                "\"",
                "\\",
                "%_",
                "1",
                "1.0",
                "NULL",
                "null",
                "\n\r\t",
                "\xC3\xA9",
                "e\xCC\x81",
                "\xF0\x9F\x98\x80",
                "\xD7\x90\xE2\x80\x8F",
                "{}",
                "\\N",
                "\\x00",
                kLong});
}

std::vector<Value> blobs() {
  static const std::string kLong(5000, '\xFF');
  std::vector<Value> values{Value::null()};
  for (const std::string_view bytes :
       {""sv, "\0"sv, "\0\0"sv, "\xFF\xFE"sv, "abc"sv, "\\x"sv, std::string_view(kLong)}) {
    values.push_back(Value::blob(bytes));
  }
  return values;
}

void append(std::vector<Value>& values, const std::vector<Value>& more) {
  values.insert(values.end(), more.begin(), more.end());
}

BoundaryColumn column(const char* name, const char* type, std::vector<Value> values) {
  return {.column = {.name = name, .declared_type = type}, .values = std::move(values)};
}

std::vector<BoundaryColumn> make_columns(Palette palette) {
  const bool takes_anything = palette == Palette::memory || palette == Palette::sqlite;
  const bool has_nan = palette == Palette::memory || palette == Palette::postgresql;
  // Such a row of PostgreSQL waits for ever at SQLite, which drops the sign.
  const bool has_minus_zero = palette != Palette::mixed;
  std::vector<Value> text = plain_texts();
  if (takes_anything) append(text, texts({"a\0b"sv, "\0"sv, "\xFF\xC3"sv}));
  std::vector<BoundaryColumn> columns{column("number", "INTEGER", integers()),
                                      column("ratio", "REAL", reals(has_nan, has_minus_zero)),
                                      column("note", "TEXT", text),
                                      column("bytes", "BLOB", blobs())};
  if (takes_anything) {
    // What is not converted in a column without a type.
    std::vector<Value> anything = integers();
    append(anything, reals(palette == Palette::memory, has_minus_zero));
    append(anything, text);
    append(anything, blobs());
    columns.push_back(column("anything", "", std::move(anything)));
  }
  if (palette == Palette::postgresql) {
    columns.push_back(column("amount", "numeric",
                             texts({"0", "-0.00", "1.10", "NaN", "1e-30", "0.1",
                                    "123456789012345678901234567890.123456789"})));
    columns.push_back(column("price", "numeric(10,2)", texts({"99999999.99", "-0.01", "0.00"})));
    columns.push_back(column("small", "smallint", texts({"-32768", "32767", "0"})));
    columns.push_back(column("single", "real",
                             texts({"3.4028235e+38", "1e-45", "-0", "0.1", "NaN", "Infinity"})));
    columns.push_back(column("sure", "boolean", texts({"t", "f"})));
    columns.push_back(column("day", "date",
                             texts({"-infinity", "infinity", "4713-01-01 BC", "0001-01-01",
                                    "2024-02-29", "5874897-12-31"})));
    columns.push_back(column("moment", "timestamptz",
                             texts({"-infinity", "infinity", "1970-01-01 00:00:00+00",
                                    "2038-01-19 03:14:08.000001+00", "294276-12-31 23:59:59+00"})));
    columns.push_back(column(
        "at", "timestamp",
        texts({"4713-01-01 00:00:00 BC", "2024-03-31 02:30:00", "1999-12-31 23:59:59.999999"})));
    columns.push_back(column("hour", "time", texts({"00:00:00", "24:00:00", "23:59:59.999999"})));
    columns.push_back(column("span", "interval",
                             texts({"0", "-178000000 years", "1 mon -1 day", "00:00:00.000001"})));
    columns.push_back(column(
        "name", "uuid",
        texts({"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"})));
    columns.push_back(column("paper", "jsonb",
                             texts({"null", "{}", "[]", "\"\"", "1e400", "{\"a\": [1, null]}"})));
    columns.push_back(column("exact", "json", texts({"{ \"a\" : 1, \"a\" : 2 }", "[1,2 ]"})));
    columns.push_back(column("list", "integer[]", texts({"{}", "{NULL}", "{1,-2147483648}"})));
    columns.push_back(column("names", "text[]", texts({"{}", "{\"\",NULL,\"NULL\",\"a,b\"}"})));
    columns.push_back(column("address", "inet", texts({"::", "255.255.255.255", "10.0.0.0/8"})));
    columns.push_back(column("bits", "bit varying", texts({"", "0", "10110"})));
    columns.push_back(column("padded", "char(3)", texts({"", "a", "abc"})));
    columns.push_back(
        column("short", "varchar(3)", texts({"", "abc", "\xC3\xA9\xC3\xA9\xC3\xA9"})));
    columns.push_back(column("stretch", "int4range", texts({"empty", "(,)", "[1,10)"})));
  }
  return columns;
}

}  // namespace

const std::vector<BoundaryColumn>& boundary_columns(Palette palette) {
  static const std::vector<std::vector<BoundaryColumn>> kAll{
      make_columns(Palette::memory), make_columns(Palette::sqlite),
      make_columns(Palette::postgresql), make_columns(Palette::mixed)};
  return kAll[static_cast<std::size_t>(palette)];
}

Row boundary_row(Palette palette, std::uint64_t number) {
  Row row;
  for (const BoundaryColumn& each : boundary_columns(palette)) {
    number = number * 0x9E3779B97F4A7C15u + 0x7F4A7C15u;
    row.push_back(each.values[(number >> 33) % each.values.size()]);
  }
  return row;
}

}  // namespace tidemark::simulation
