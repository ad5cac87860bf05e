#include "model/exchange.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace tidemark {
namespace {

/// Every decimal number with this many digits survives a double.
constexpr int kDigitsOfReal = 15;

bool contains_folded(std::string_view text, std::string_view word) {
  const auto folded = [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  };
  return std::search(text.begin(), text.end(), word.begin(), word.end(),
                     [&](char x, char y) { return folded(x) == y; }) != text.end();
}

/// What a NUMERIC or INTEGER column makes of a real: an integer where nothing is lost.
ValueView stored_numeric(double value) {
  if (value > -9223372036854775808.0 && value < 9223372036854775807.0) {
    const auto whole = static_cast<std::int64_t>(value);
    if (static_cast<double>(whole) == value) return ValueView::of_integer(whole);
  }
  return ValueView::of_real(value);
}

std::string fixed(double value) {
  std::array<char, 512> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed)
          .ptr;
  return {buffer.data(), end};
}

/// With at least `scale` decimal places.
std::string padded(std::string number, int scale) {
  if (scale <= 0) return number;
  const auto point = number.find('.');
  std::size_t places = 0;
  if (point == std::string::npos) {
    number += '.';
  } else {
    places = number.size() - point - 1;
  }
  if (places < static_cast<std::size_t>(scale)) {
    number.append(static_cast<std::size_t>(scale) - places, '0');
  }
  return number;
}

bool is_negative_zero(double value) { return value == 0 && std::signbit(value); }

/// Types whose texts never look like a number to SQLite, so that a column with a numeric affinity
/// (a declared type of DATE or UUID gives one) keeps them as they are.
bool never_looks_numeric(std::string_view type) {
  for (const std::string_view prefix :
       {"date", "time", "timestamp", "interval", "uuid", "inet", "cidr", "macaddr"}) {
    if (type.starts_with(prefix) && type.find('[') == std::string_view::npos &&
        !type.starts_with("daterange") && !type.starts_with("datemultirange")) {
      return true;
    }
  }
  return false;
}

std::string shown(const ValueView& value) { return to_string(RowView(&value, 1)); }

}  // namespace

Affinity affinity_of(std::string_view type, bool strict) {
  if (strict && type.size() == 3 && contains_folded(type, "ANY")) return Affinity::any;
  if (contains_folded(type, "INT")) return Affinity::integer;
  if (contains_folded(type, "CHAR") || contains_folded(type, "CLOB") ||
      contains_folded(type, "TEXT")) {
    return Affinity::text;
  }
  if (type.empty() || contains_folded(type, "BLOB")) return Affinity::blob;
  if (contains_folded(type, "REAL") || contains_folded(type, "FLOA") ||
      contains_folded(type, "DOUB")) {
    return Affinity::real;
  }
  return Affinity::numeric;
}

std::string_view to_string(Affinity affinity) {
  switch (affinity) {
    case Affinity::integer:
      return "INTEGER";
    case Affinity::text:
      return "TEXT";
    case Affinity::blob:
      return "BLOB";
    case Affinity::real:
      return "REAL";
    case Affinity::numeric:
      return "NUMERIC";
    case Affinity::any:
      return "ANY";
  }
  return "";
}

std::string exchange_obstacle(const ColumnSpec& formed, const ColumnSpec& loose, bool strict_table,
                              bool in_key) {
  const Affinity affinity = affinity_of(loose.declared_type, strict_table);
  const bool untouched = affinity == Affinity::blob || affinity == Affinity::any;
  const auto declare = [](const std::string& type) { return "declare it " + type + " in SQLite"; };
  if (strict_table && affinity == Affinity::blob && formed.form != Form::blob) {
    return "a STRICT table holds nothing but blobs in it; " + declare(loose_type_for(formed));
  }
  const bool whole = affinity == Affinity::integer || affinity == Affinity::numeric;
  switch (formed.form) {
    case Form::loose:
      return {};
    case Form::integer:
    case Form::boolean:
      return whole || untouched ? "" : declare("INTEGER");
    case Form::real:
    case Form::single:
      return affinity == Affinity::real || affinity == Affinity::numeric || untouched
                 ? ""
                 : declare("REAL");
    case Form::decimal:
      if (affinity == Affinity::text || untouched) return {};
      if (in_key) return "exact numbers in a key need a text in SQLite; " + declare("TEXT");
      if (formed.precision == 0) {
        return "numbers without a fixed scale lose decimal places there; " + declare("TEXT") +
               ", or numeric(p,s) with up to 15 digits in PostgreSQL";
      }
      if (formed.precision > kDigitsOfReal) {
        return "numbers with more than 15 digits are rounded there; " + declare("TEXT");
      }
      if (affinity == Affinity::integer && strict_table && formed.scale > 0) return declare("TEXT");
      return {};
    case Form::text:
    case Form::bounded_text:
      return affinity == Affinity::text || untouched ? "" : declare("TEXT");
    case Form::canonical_text:
      if (affinity == Affinity::text || untouched) return {};
      return affinity == Affinity::numeric && never_looks_numeric(formed.declared_type)
                 ? ""
                 : declare("TEXT");
    case Form::blob:
      return affinity == Affinity::blob || affinity == Affinity::any ? "" : declare("BLOB");
  }
  return {};
}

std::string loose_type_for(const ColumnSpec& formed) {
  switch (formed.form) {
    case Form::loose:
      return formed.declared_type;
    case Form::integer:
      return "INTEGER";
    case Form::boolean:
      return "BOOLEAN";
    case Form::real:
    case Form::single:
      return "REAL";
    case Form::decimal:
      if (formed.precision == 0 || formed.precision > kDigitsOfReal) return "TEXT";
      return "NUMERIC(" + std::to_string(formed.precision) + "," + std::to_string(formed.scale) +
             ")";
    case Form::blob:
      return "BLOB";
    case Form::text:
    case Form::bounded_text:
    case Form::canonical_text:
      return "TEXT";
  }
  return "TEXT";
}

std::string formed_type_for(const ColumnSpec& loose, bool strict_table) {
  const std::string_view type = loose.declared_type;
  switch (affinity_of(loose.declared_type, strict_table)) {
    case Affinity::integer:
      return "bigint";
    case Affinity::real:
      return "double precision";
    case Affinity::blob:
    case Affinity::any:
      return "bytea";
    case Affinity::text:
      return "text";
    case Affinity::numeric:
      break;
  }
  if (contains_folded(type, "BOOL")) return "boolean";
  if (contains_folded(type, "DATETIME") || contains_folded(type, "TIMESTAMP")) {
    return contains_folded(type, "TZ") || contains_folded(type, "WITH TIME ZONE")
               ? "timestamp with time zone"
               : "timestamp without time zone";
  }
  if (contains_folded(type, "DATE")) return "date";
  if (contains_folded(type, "TIME")) return "time without time zone";
  if (contains_folded(type, "UUID")) return "uuid";
  if (contains_folded(type, "JSON")) return "text";
  // DECIMAL(10,2): the bounds are the declared ones.
  const auto open = type.find('(');
  if (open != std::string_view::npos && type.find(',', open) != std::string_view::npos) {
    const std::string_view bounds = type.substr(open);
    if (std::all_of(bounds.begin(), bounds.end(), [](char c) {
          return (c >= '0' && c <= '9') || c == ',' || c == ' ' || c == '(' || c == ')';
        })) {
      return "numeric" + std::string(bounds);
    }
  }
  return "double precision";
}

RowConverter::RowConverter(const TableSpec& from, const TableSpec& to) : key_(from.key) {
  for (std::size_t i = 0; i < from.columns.size(); ++i) {
    const bool to_loose = to.columns[i].form == Form::loose;
    const ColumnSpec& formed = to_loose ? from.columns[i] : to.columns[i];
    const ColumnSpec& loose = to_loose ? to.columns[i] : from.columns[i];
    columns_.push_back({.name = from.columns[i].name,
                        .form = formed.form,
                        .scale = formed.scale,
                        .affinity = affinity_of(loose.declared_type, (to_loose ? to : from).strict),
                        .to_loose = to_loose});
  }
}

std::optional<std::string> RowConverter::convert_value(const Column& column, const ValueView& in,
                                                       ValueView& out) {
  out = in;
  const bool as_text = column.affinity == Affinity::text || column.affinity == Affinity::blob ||
                       column.affinity == Affinity::any;
  const auto refused = [&](const std::string& why) {
    return "column " + column.name + ": " + shown(in) + " " + why;
  };
  if (column.form == Form::real || column.form == Form::single) {
    if (column.to_loose) {
      if (in.kind != ValueKind::real) return std::nullopt;
      if (std::isnan(in.real)) return refused("(not a number) would become NULL in SQLite");
      if (is_negative_zero(in.real)) return refused("loses its sign in SQLite");
      if (column.affinity == Affinity::numeric) out = stored_numeric(in.real);
    } else if (in.kind == ValueKind::integer && column.affinity == Affinity::numeric) {
      const auto real = static_cast<double>(in.integer);
      const ValueView back = stored_numeric(real);
      if (back.kind == ValueKind::integer && back.integer == in.integer) {
        out = ValueView::of_real(real);
      }
    }
    return std::nullopt;
  }
  if (column.form != Form::decimal || as_text) return std::nullopt;
  if (!column.to_loose) {
    if (in.kind == ValueKind::integer) {
      texts_.push_back(padded(std::to_string(in.integer), column.scale));
    } else if (in.kind == ValueKind::real && std::isfinite(in.real)) {
      texts_.push_back(padded(fixed(in.real), column.scale));
    } else {
      return std::nullopt;
    }
    out = ValueView::of_text(texts_.back());
    return std::nullopt;
  }
  if (in.kind != ValueKind::text || in.bytes == "NaN" || in.bytes.ends_with("Infinity")) {
    return std::nullopt;
  }
  double real = 0;
  std::from_chars(in.bytes.data(), in.bytes.data() + in.bytes.size(), real);
  out = column.affinity == Affinity::real ? ValueView::of_real(real) : stored_numeric(real);
  const std::string back = padded(
      out.kind == ValueKind::integer ? std::to_string(out.integer) : fixed(out.real), column.scale);
  if (back != in.bytes) return refused("is rounded in SQLite");
  return std::nullopt;
}

std::optional<std::string> RowConverter::convert_row(RowView in, std::vector<ValueView>& out) {
  texts_.clear();
  out.resize(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (auto reason = convert_value(columns_[i], in[i], out[i])) return reason;
  }
  return std::nullopt;
}

std::optional<std::string> RowConverter::convert_key(RowView in, std::vector<ValueView>& out) {
  texts_.clear();
  out.resize(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (auto reason = convert_value(columns_[key_[i]], in[i], out[i])) return reason;
  }
  return std::nullopt;
}

std::optional<std::string> RowConverter::convert(const ChangedRow& in, ChangedRow& out) {
  out = in;
  if (!in.present) {
    if (auto reason = convert_key(in.key, key_values_)) return reason;
    out.key = key_values_;
    return std::nullopt;
  }
  if (auto reason = convert_row(in.row, row_values_)) return reason;
  key_values_.clear();
  for (const std::size_t position : key_) key_values_.push_back(row_values_[position]);
  out.row = row_values_;
  out.key = key_values_;
  return std::nullopt;
}

}  // namespace tidemark
