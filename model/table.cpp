#include "model/table.h"

#include "model/exchange.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace tidemark {
namespace {

char folded(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view to_string(Collation collation) {
  switch (collation) {
    case Collation::binary:
      return "BINARY";
    case Collation::nocase:
      return "NOCASE";
    case Collation::rtrim:
      return "RTRIM";
  }
  return "";
}

std::string key_names(const TableSpec& spec) {
  std::string names;
  for (const std::size_t index : spec.key) {
    if (!names.empty()) names += ", ";
    names += spec.columns[index].name;
  }
  return names;
}

const ColumnSpec* find_column(const TableSpec& spec, const std::string& name) {
  const auto found = std::find_if(spec.columns.begin(), spec.columns.end(),
                                  [&](const ColumnSpec& column) { return column.name == name; });
  return found == spec.columns.end() ? nullptr : &*found;
}

std::string printed_type(const ColumnSpec& column) {
  return column.declared_type.empty() ? "no type" : column.declared_type;
}

int rank(ValueKind kind) {
  switch (kind) {
    case ValueKind::null:
      return 0;
    case ValueKind::integer:
    case ValueKind::real:
      return 1;
    case ValueKind::text:
      return 2;
    case ValueKind::blob:
      return 3;
  }
  return 4;
}

/// Exact, although not every integer is a double.
std::weak_ordering compare_numbers(std::int64_t a, double b) {
  if (std::isnan(b)) return std::weak_ordering::greater;  // NaN sorts like NULL
  if (b < -9223372036854775808.0) return std::weak_ordering::greater;
  if (b >= 9223372036854775808.0) return std::weak_ordering::less;
  const auto whole = static_cast<std::int64_t>(b);
  if (a != whole) return a < whole ? std::weak_ordering::less : std::weak_ordering::greater;
  const double fraction = b - static_cast<double>(whole);
  if (fraction == 0) return std::weak_ordering::equivalent;
  return fraction > 0 ? std::weak_ordering::less : std::weak_ordering::greater;
}

std::weak_ordering reversed(std::weak_ordering order) {
  if (order < 0) return std::weak_ordering::greater;
  if (order > 0) return std::weak_ordering::less;
  return order;
}

std::weak_ordering compare_reals(double a, double b) {
  if (a < b) return std::weak_ordering::less;
  if (a > b) return std::weak_ordering::greater;
  return std::weak_ordering::equivalent;
}

std::weak_ordering compare_bytes(std::string_view a, std::string_view b) {
  const int order = a.compare(b);
  return order <=> 0;
}

/// SQLite's NOCASE: ASCII letters alike, bytes after a NUL do not count, but the lengths do.
std::weak_ordering compare_nocase(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto x = static_cast<unsigned char>(folded(a[i]));
    const auto y = static_cast<unsigned char>(folded(b[i]));
    if (x != y) return x <=> y;
    if (x == 0) break;
  }
  return a.size() <=> b.size();
}

std::string_view without_trailing_spaces(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::weak_ordering compare_values(const ValueView& a, const ValueView& b, Collation collation) {
  if (const int x = rank(a.kind), y = rank(b.kind); x != y) return x <=> y;
  switch (a.kind) {
    case ValueKind::null:
      return std::weak_ordering::equivalent;
    case ValueKind::integer:
      return b.kind == ValueKind::integer ? std::weak_ordering(a.integer <=> b.integer)
                                          : compare_numbers(a.integer, b.real);
    case ValueKind::real:
      return b.kind == ValueKind::real ? compare_reals(a.real, b.real)
                                       : reversed(compare_numbers(b.integer, a.real));
    case ValueKind::text:
      switch (collation) {
        case Collation::binary:
          return compare_bytes(a.bytes, b.bytes);
        case Collation::nocase:
          return compare_nocase(a.bytes, b.bytes);
        case Collation::rtrim:
          return compare_bytes(without_trailing_spaces(a.bytes), without_trailing_spaces(b.bytes));
      }
      break;
    case ValueKind::blob:
      return compare_bytes(a.bytes, b.bytes);
  }
  return std::weak_ordering::equivalent;
}

/// The text of TableSpec::shape(), taken apart again for a message.
struct Shape {
  std::map<std::string, std::string> columns;  // name -> type and collation
  std::string rest;                            // key, generated columns, STRICT
};

Shape parse_shape(const std::string& text) {
  Shape shape;
  const std::size_t key = text.rfind("; key ");
  if (key != std::string::npos) shape.rest = text.substr(key + 2);
  const std::string columns = text.substr(0, key);
  std::size_t begin = 0;
  while (begin < columns.size()) {
    const std::size_t end = std::min(columns.find(", ", begin), columns.size());
    const std::string column = columns.substr(begin, end - begin);
    const std::size_t space = column.find(' ');
    shape.columns[column.substr(0, space)] =
        space == std::string::npos ? "" : column.substr(space + 1);
    begin = end + 2;
  }
  return shape;
}

bool in_key(const TableSpec& spec, const std::string& column) {
  return std::any_of(spec.key.begin(), spec.key.end(),
                     [&](std::size_t position) { return spec.columns[position].name == column; });
}

/// Widths may differ: a value that does not fit is refused when it comes.
std::string_view family(const ColumnSpec& column) {
  switch (column.form) {
    case Form::integer:
      return "integer";
    case Form::text:
    case Form::bounded_text:
      return column.declared_type.starts_with("character(") ? std::string_view(column.declared_type)
                                                            : "text";
    default:
      return column.declared_type;
  }
}

/// " (what to do)" or a space when values cannot pass; empty when they can.
std::string types_differ(const ColumnSpec& column, const TableSpec& here, const ColumnSpec& other,
                         const TableSpec& there) {
  const bool loose_here = column.form == Form::loose;
  const bool loose_there = other.form == Form::loose;
  std::string reason;
  if (loose_here && loose_there) {
    return affinity_of(column.declared_type, here.strict) ==
                   affinity_of(other.declared_type, there.strict)
               ? ""
               : " ";
  }
  if (!loose_here && !loose_there) return family(column) == family(other) ? "" : " ";
  const TableSpec& loose_table = loose_here ? here : there;
  reason = exchange_obstacle(loose_here ? other : column, loose_here ? column : other,
                             loose_table.strict, in_key(loose_table, column.name));
  return reason.empty() ? "" : " (" + reason + ")";
}

}  // namespace

bool TableSpec::is_in_key(std::size_t position) const {
  return std::find(key.begin(), key.end(), position) != key.end();
}

std::string TableSpec::shape() const {
  std::string text;
  for (const ColumnSpec& column : columns) {
    if (!text.empty()) text += ", ";
    text += column.name;
    if (!column.declared_type.empty()) text += " " + column.declared_type;
    if (column.collation != Collation::binary) {
      text += " COLLATE ";
      text += to_string(column.collation);
    }
  }
  text += "; key " + key_names(*this);
  for (std::size_t i = 0; i < generated.size(); ++i) {
    text += (i == 0 ? "; generated " : ", ") + generated[i];
  }
  if (strict) text += "; STRICT";
  return text;
}

std::string shape_changes(const std::string& then, const std::string& now) {
  const Shape before = parse_shape(then);
  const Shape after = parse_shape(now);
  std::string changes;
  const auto tell = [&changes](const std::string& change) {
    changes += (changes.empty() ? "" : "; ") + change;
  };
  const auto told = [](const std::string& type) { return type.empty() ? "no type" : type; };
  for (const auto& [name, type] : before.columns) {
    const auto found = after.columns.find(name);
    if (found == after.columns.end()) {
      tell("column " + name + " is gone");
    } else if (found->second != type) {
      tell("column " + name + ": " + told(type) + " then, " + told(found->second) + " now");
    }
  }
  for (const auto& [name, type] : after.columns) {
    if (!before.columns.contains(name)) tell("column " + name + " is new");
  }
  if (before.rest != after.rest) tell(before.rest + " then, " + after.rest + " now");
  if (changes.empty() && then != now) tell("its columns stand in another order");
  return changes;
}

std::vector<std::string> shape_differences(const TableSpec& here, const TableSpec& there) {
  std::vector<std::string> differences;
  for (const ColumnSpec& column : here.columns) {
    const ColumnSpec* other = find_column(there, column.name);
    if (other == nullptr) {
      differences.push_back("column " + column.name + ": here, missing there");
      continue;
    }
    const std::string types = types_differ(column, here, *other, there);
    if (!types.empty()) {
      differences.push_back("column " + column.name + ": " + printed_type(column) + " here, " +
                            printed_type(*other) + " there" + (types == " " ? "" : types));
    }
    const bool one_product = here.product == there.product;
    if (column.collation != other->collation && (one_product || in_key(here, column.name))) {
      differences.push_back("column " + column.name + ": COLLATE " +
                            std::string(to_string(column.collation)) + " here, COLLATE " +
                            std::string(to_string(other->collation)) + " there");
    }
  }
  for (const ColumnSpec& column : there.columns) {
    if (find_column(here, column.name) == nullptr) {
      differences.push_back("column " + column.name + ": missing here, there");
    }
  }
  if (key_names(here) != key_names(there)) {
    differences.push_back("key: (" + key_names(here) + ") here, (" + key_names(there) + ") there");
  }
  if (here.strict != there.strict && here.product == there.product) {
    differences.emplace_back(here.strict ? "STRICT here, not there" : "STRICT there, not here");
  }
  return differences;
}

TableSpec aligned(const TableSpec& spec, const TableSpec& model) {
  TableSpec result = spec;
  std::vector<std::size_t> new_position(spec.columns.size());
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    for (std::size_t j = 0; j < model.columns.size(); ++j) {
      if (model.columns[j].name != spec.columns[i].name) continue;
      new_position[i] = j;
      result.columns[j] = spec.columns[i];
    }
  }
  const auto move_all = [&](std::vector<std::size_t>& positions) {
    for (std::size_t& position : positions) position = new_position[position];
  };
  move_all(result.key);
  for (UniqueSpec& unique : result.uniques) move_all(unique.columns);
  return result;
}

KeyOrder::KeyOrder(const TableSpec& spec) {
  for (const std::size_t index : spec.key) collations_.push_back(spec.columns[index].collation);
}

std::weak_ordering KeyOrder::compare(RowView a, RowView b) const {
  for (std::size_t i = 0; i < collations_.size(); ++i) {
    const std::weak_ordering order = compare_values(a[i], b[i], collations_[i]);
    if (order != 0) return order;
  }
  return std::weak_ordering::equivalent;
}

bool KeyOrder::operator()(const Row& a, const Row& b) const {
  for (std::size_t i = 0; i < collations_.size(); ++i) {
    const std::weak_ordering order = compare_values(a[i].view(), b[i].view(), collations_[i]);
    if (order != 0) return order < 0;
  }
  return false;
}

std::vector<ValueView> key_of(const TableSpec& spec, RowView row) {
  std::vector<ValueView> key;
  key.reserve(spec.key.size());
  for (const std::size_t index : spec.key) key.push_back(row[index]);
  return key;
}

std::string to_string(RowView key) {
  std::string text;
  for (const ValueView& value : key) {
    if (!text.empty()) text += ", ";
    switch (value.kind) {
      case ValueKind::null:
        text += "NULL";
        break;
      case ValueKind::integer:
        text += std::to_string(value.integer);
        break;
      case ValueKind::real: {
        char buffer[32];
        std::snprintf(buffer, sizeof buffer, "%.17g", value.real);
        text += buffer;
        break;
      }
      case ValueKind::text:
        text += "'";
        text += value.bytes;
        text += "'";
        break;
      case ValueKind::blob: {
        static constexpr char kDigits[] = "0123456789abcdef";
        text += "x'";
        for (const char c : value.bytes) {
          const auto byte = static_cast<unsigned char>(c);
          text += kDigits[byte >> 4];
          text += kDigits[byte & 15];
        }
        text += "'";
        break;
      }
    }
  }
  return text;
}

bool glob_matches(std::string_view glob, std::string_view name) {
  // Remembers the last star and lets it take one more character after each mismatch: no recursion.
  std::size_t g = 0, n = 0, star = std::string_view::npos, retry = 0;
  while (n < name.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      retry = n;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == name[n])) {
      ++g;
      ++n;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

std::string on_delete_clause(ReferenceAction action) {
  switch (action) {
    case ReferenceAction::none:
      break;
    case ReferenceAction::restrict:
      return " ON DELETE RESTRICT";
    case ReferenceAction::cascade:
      return " ON DELETE CASCADE";
    case ReferenceAction::set_null:
      return " ON DELETE SET NULL";
    case ReferenceAction::set_default:
      return " ON DELETE SET DEFAULT";
  }
  return {};
}

}  // namespace tidemark
