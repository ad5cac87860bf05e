// Values and rows. A Value owns one column's content in its engine's native type; a ValueView looks
// at one that somebody else owns (a driver's buffer, a spool's chunk) and is valid as long as that
// owner says. Text is bytes with a length: NUL and invalid UTF-8 are kept as they are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidemark {

enum class ValueKind : std::uint8_t { null, integer, real, text, blob };

/// The word that messages and JSON use for a kind.
std::string_view to_string(ValueKind kind);

struct ValueView {
  ValueKind kind = ValueKind::null;
  union {
    std::int64_t integer = 0;  // kind integer
    double real;               // kind real
  };
  std::string_view bytes;  // kinds text and blob

  static ValueView of_null() { return {}; }
  static ValueView of_integer(std::int64_t value) {
    ValueView view;
    view.kind = ValueKind::integer;
    view.integer = value;
    return view;
  }
  static ValueView of_real(double value) {
    ValueView view;
    view.kind = ValueKind::real;
    view.real = value;
    return view;
  }
  static ValueView of_text(std::string_view value) {
    ValueView view;
    view.kind = ValueKind::text;
    view.bytes = value;
    return view;
  }
  static ValueView of_blob(std::string_view value) {
    ValueView view;
    view.kind = ValueKind::blob;
    view.bytes = value;
    return view;
  }
};

/// Same kind and same bits: 1 and 1.0 differ, 0.0 and -0.0 differ. This is what "equal rows" means.
bool identical(const ValueView& a, const ValueView& b);

class Value {
 public:
  Value() = default;
  explicit Value(const ValueView& view);

  static Value null() { return {}; }
  static Value integer(std::int64_t value) { return Value(ValueView::of_integer(value)); }
  static Value real(double value) { return Value(ValueView::of_real(value)); }
  static Value text(std::string_view value) { return Value(ValueView::of_text(value)); }
  static Value blob(std::string_view value) { return Value(ValueView::of_blob(value)); }

  ValueKind kind() const { return kind_; }
  /// Valid until this Value is changed, moved or destroyed.
  ValueView view() const;

  friend bool operator==(const Value& a, const Value& b) { return identical(a.view(), b.view()); }

 private:
  ValueKind kind_ = ValueKind::null;
  union {
    std::int64_t integer_ = 0;
    double real_;
  };
  std::string bytes_;
};

using Row = std::vector<Value>;
using RowView = std::span<const ValueView>;

Row to_row(RowView view);
/// Views into `row`, valid until it changes.
std::vector<ValueView> to_views(const Row& row);
bool identical(RowView a, RowView b);

/// Appends the canonical encoding of a row: a kind byte and the content of every value. Equal
/// encodings mean identical rows; used for digests and conflict ids, on every engine alike.
void append_encoding(RowView row, std::string& out);

}  // namespace tidemark
