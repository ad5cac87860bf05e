#include "engines/postgresql/table_sql.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "engines/postgresql/identifiers.h"
#include "model/row_json.h"

namespace tidemark::postgresql {
namespace {

/// Parts that `part` makes of 0, 1 ... count-1, joined.
template <typename Part>
std::string list(std::size_t count, const char* separator, const Part& part) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += separator;
    text += part(i);
  }
  return text;
}

std::string printed(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

double parsed_real(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool fits_real(double value) {
  if (std::isnan(value) || std::isinf(value)) return true;
  const auto narrow = static_cast<float>(value);
  if (std::isinf(narrow)) return false;
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, narrow).ptr;
  return parsed_real({buffer, end}) == value;
}

bool is_within(const CatalogColumn& column, std::int64_t number) {
  return number >= column.least && number <= column.most;
}

bool is_within(const CatalogColumn& column, std::string_view text) {
  if (column.most_characters == 0 || text.size() <= column.most_characters) return true;
  const auto is_first_byte = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_first_byte)) <=
         column.most_characters;
}

/// A column of a staged row, or the parameter of its number.
std::string source(const std::string& prefix, std::size_t position, bool staged) {
  return prefix + (staged ? "c" : "") + std::to_string(position + 1);
}

/// What separates fields and lines of COPY's text form is written as a letter after a backslash.
char escape_of(char c) {
  switch (c) {
    case '\\':
      return '\\';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

void append_escaped(std::string_view text, std::string& out) {
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char letter = escape_of(text[i]);
    if (letter == 0) continue;
    out.append(text, plain, i - plain);
    out += '\\';
    out += letter;
    plain = i + 1;
  }
  out.append(text, plain);
}

std::string hexadecimal(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "\\x";
  text.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::string time_us(const std::string& timestamp) {
  return "(date_part('epoch', " + timestamp + ") * 1000000)::bigint";
}

std::string log_table(std::int64_t id) { return "tidemark.log_" + std::to_string(id); }

std::string version_table(std::int64_t id) { return "tidemark.version_" + std::to_string(id); }

TableSql::TableSql(const TableSpec& spec, const CatalogTable& table, std::int64_t id)
    : spec_(spec), table_(table), id_(id) {
  for (const ColumnSpec& column : spec_.columns)
    columns_.push_back(&table_.columns.at(column.name));
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (column(i).always_identity && !spec_.is_in_key(i)) fixed_columns_.push_back(i);
  }
}

std::string recent_table(std::int64_t id) { return "tidemark.recent_" + std::to_string(id); }

std::string TableSql::name(std::size_t position) const {
  return quoted_name(spec_.columns[position].name);
}

std::string TableSql::columns() const {
  return list(columns_.size(), ", ", [&](std::size_t i) { return name(i); });
}

std::string TableSql::staged_columns(const std::string& prefix) const {
  return list(columns_.size(), ", ",
              [&](std::size_t i) { return prefix + "c" + std::to_string(i + 1); });
}

std::string TableSql::staged_key(const std::string& prefix) const {
  return list(spec_.key.size(), ", ",
              [&](std::size_t i) { return prefix + "c" + std::to_string(spec_.key[i] + 1); });
}

std::string TableSql::output(const std::string& prefix) const {
  return list(columns_.size(), ", ",
              [&](std::size_t i) { return output_term(column(i), prefix + name(i)); });
}

std::string TableSql::key_output(const std::string& prefix) const {
  return list(spec_.key.size(), ", ", [&](std::size_t i) {
    return output_term(column(spec_.key[i]), prefix + name(spec_.key[i]));
  });
}

std::string TableSql::control_key_output(const std::string& prefix) const {
  return list(spec_.key.size(), ", ", [&](std::size_t i) {
    return output_term(column(spec_.key[i]), prefix + "k" + std::to_string(i + 1));
  });
}

std::string TableSql::control_key(const std::string& prefix) const {
  return list(spec_.key.size(), ", ",
              [&](std::size_t i) { return prefix + "k" + std::to_string(i + 1); });
}

std::string TableSql::key_order(const std::string& prefix) const {
  return list(spec_.key.size(), ", ", [&](std::size_t i) {
    return order_term(column(spec_.key[i]), prefix + name(spec_.key[i]));
  });
}

std::string TableSql::control_key_order(const std::string& prefix) const {
  return list(spec_.key.size(), ", ", [&](std::size_t i) {
    return order_term(column(spec_.key[i]), prefix + "k" + std::to_string(i + 1));
  });
}

std::string TableSql::key_is_control(const std::string& prefix, const std::string& other) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    return prefix + name(spec_.key[i]) + " = " + other + "k" + std::to_string(i + 1);
  });
}

std::string TableSql::key_is_staged(const std::string& prefix, const std::string& other) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    return prefix + name(spec_.key[i]) + " = " + other + "c" + std::to_string(spec_.key[i] + 1);
  });
}

std::string TableSql::control_is_staged(const std::string& prefix, const std::string& other) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    return prefix + "k" + std::to_string(i + 1) + " = " + other + "c" +
           std::to_string(spec_.key[i] + 1);
  });
}

std::string TableSql::control_is_control(const std::string& prefix,
                                         const std::string& other) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    const std::string column = "k" + std::to_string(i + 1);
    return prefix + column + " = " + other + column;
  });
}

std::string TableSql::key_parameters(int first) const {
  return list(spec_.key.size(), ", ", [&](std::size_t i) {
    return "$" + std::to_string(first + static_cast<int>(i)) + "::" + column(spec_.key[i]).type;
  });
}

std::string TableSql::row_parameters(int first) const {
  return list(columns_.size(), ", ",
              [&](std::size_t i) { return "$" + std::to_string(first + static_cast<int>(i)); });
}

std::string TableSql::key_is(const std::string& prefix, int first) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    return prefix + name(spec_.key[i]) + " = $" + std::to_string(first + static_cast<int>(i)) +
           "::" + column(spec_.key[i]).type;
  });
}

std::string TableSql::control_key_is(const std::string& prefix, int first) const {
  return list(spec_.key.size(), " AND ", [&](std::size_t i) {
    return prefix + "k" + std::to_string(i + 1) + " = $" +
           std::to_string(first + static_cast<int>(i)) + "::" + column(spec_.key[i]).type;
  });
}

std::string TableSql::check_uniques() const {
  const std::vector<std::string>& names = table_.deferrable_uniques;
  if (names.empty()) return {};
  return "SET CONSTRAINTS " + list(names.size(), ", ", [&](std::size_t i) { return names[i]; }) +
         " IMMEDIATE";
}

std::string TableSql::unless_unseen() const {
  if (table_.deferrable_key) return {};
  return " ON CONFLICT (" +
         list(spec_.key.size(), ", ", [&](std::size_t i) { return name(spec_.key[i]); }) +
         ") DO NOTHING";
}

std::string TableSql::assignments(const std::string& source_prefix, bool staged) const {
  std::string outside, inside;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (column(i).always_identity) continue;
    std::string& text = spec_.is_in_key(i) ? inside : outside;
    if (!text.empty()) text += ", ";
    text += name(i) + " = " + source(source_prefix, i, staged);
  }
  return outside.empty() ? inside : outside;
}

std::string TableSql::differs_in_fixed(const std::string& source_prefix, bool staged) const {
  return list(fixed_columns_.size(), " OR ", [&](std::size_t i) {
    const std::size_t position = fixed_columns_[i];
    return "t." + name(position) + " <> " + source(source_prefix, position, staged) +
           "::" + column(position).type;
  });
}

std::vector<std::size_t> TableSql::particular_columns() const {
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Form form = spec_.columns[i].form;
    if (form == Form::decimal || form == Form::bounded_text || form == Form::canonical_text) {
      positions.push_back(i);
    }
  }
  return positions;
}

Encoded TableSql::encode(std::size_t position, const ValueView& value) const {
  const CatalogColumn& target = column(position);
  const auto refused = [&](const std::string& why) {
    return Encoded{
        .refusal = Refusal{Refusal::Kind::type, "column " + spec_.columns[position].name + " (" +
                                                    target.type + ") cannot hold " + why}};
  };
  if (value.kind == ValueKind::null) return {};
  const auto kind_is = [&](ValueKind kind) { return value.kind == kind; };
  const auto other_kind = [&] {
    return refused(std::string(to_string(value.kind)) + " " + to_string(RowView(&value, 1)));
  };
  switch (target.codec) {
    case Codec::integer:
      if (!kind_is(ValueKind::integer)) return other_kind();
      if (target.is_boolean && value.integer != 0 && value.integer != 1) return other_kind();
      if (!is_within(target, value.integer)) return other_kind();
      return {.text = std::to_string(value.integer)};
    case Codec::real:
      if (!kind_is(ValueKind::real)) return other_kind();
      return {.text = printed(value.real)};
    case Codec::real_text:
      if (!kind_is(ValueKind::real)) return other_kind();
      if (!fits_real(value.real)) return other_kind();
      return {.text = printed(value.real)};
    case Codec::blob:
      if (!kind_is(ValueKind::blob)) return other_kind();
      return {.text = hexadecimal(value.bytes)};
    case Codec::text:
      if (!kind_is(ValueKind::text)) return other_kind();
      if (!is_within(target, value.bytes)) {
        return refused("more than " + std::to_string(target.most_characters) + " characters");
      }
      if (is_clean_utf8(value.bytes)) return {.text = std::string(value.bytes)};
      return refused(value.bytes.find('\0') != std::string_view::npos
                         ? "the character NUL"
                         : "text that is not valid UTF-8");
  }
  return {};
}

std::optional<Refusal> TableSql::append_field(std::size_t position, const ValueView& value,
                                              std::string& line) const {
  // The most frequent ones without a string in between.
  const CatalogColumn& target = column(position);
  if (target.codec == Codec::text && value.kind == ValueKind::text &&
      is_within(target, value.bytes) && is_clean_utf8(value.bytes)) {
    append_escaped(value.bytes, line);
    return std::nullopt;
  }
  if (target.codec == Codec::integer && value.kind == ValueKind::integer && !target.is_boolean &&
      is_within(target, value.integer)) {
    append_number(value.integer, line);
    return std::nullopt;
  }
  Encoded encoded = encode(position, value);
  if (!encoded.refusal) append_copy_field(encoded.text, line);
  return std::move(encoded.refusal);
}

Encoded TableSql::encode_key_part(std::size_t index, const ValueView& value) const {
  return encode(spec_.key[index], value);
}

bool TableSql::can_hold_key(RowView key) const {
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (encode_key_part(i, key[i]).refusal) return false;
  }
  return true;
}

Parameters TableSql::encode_key(RowView key) const {
  Parameters parameters;
  for (std::size_t i = 0; i < key.size(); ++i) {
    Encoded part = encode_key_part(i, key[i]);
    if (part.refusal) {
      throw Error(ExitCode::failed,
                  "table " + spec_.name + ": no row can have the key " + to_string(key) + ": " +
                      part.refusal->reason,
                  "change the row on the other node")
          .logged_as("table " + spec_.name + ": no row can have the key of one of the other node");
    }
    parameters.push_back(std::move(part.text));
  }
  return parameters;
}

ValueView TableSql::decode(std::size_t position, std::string_view bytes) const {
  switch (column(position).codec) {
    case Codec::integer:
      return ValueView::of_integer(read_integer(bytes));
    case Codec::real:
      return ValueView::of_real(read_real(bytes));
    case Codec::real_text:
      return ValueView::of_real(parsed_real(bytes));
    case Codec::blob:
      return ValueView::of_blob(bytes);
    case Codec::text:
      return ValueView::of_text(bytes);
  }
  return {};
}

void append_copy_field(const Parameter& value, std::string& out) {
  if (!value) {
    out += "\\N";
    return;
  }
  append_escaped(*value, out);
}

void append_number(std::int64_t value, std::string& out) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

}  // namespace tidemark::postgresql
