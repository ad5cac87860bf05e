#include "model/value.h"

#include <bit>

namespace tidemark {

std::string_view to_string(ValueKind kind) {
  switch (kind) {
    case ValueKind::null:
      return "null";
    case ValueKind::integer:
      return "integer";
    case ValueKind::real:
      return "real";
    case ValueKind::text:
      return "text";
    case ValueKind::blob:
      return "blob";
  }
  return "";
}

bool identical(const ValueView& a, const ValueView& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case ValueKind::null:
      return true;
    case ValueKind::integer:
      return a.integer == b.integer;
    case ValueKind::real:
      return std::bit_cast<std::uint64_t>(a.real) == std::bit_cast<std::uint64_t>(b.real);
    case ValueKind::text:
    case ValueKind::blob:
      return a.bytes == b.bytes;
  }
  return false;
}

Value::Value(const ValueView& view) : kind_(view.kind), bytes_(view.bytes) {
  if (kind_ == ValueKind::real) {
    real_ = view.real;
  } else if (kind_ == ValueKind::integer) {
    integer_ = view.integer;
  }
}

ValueView Value::view() const {
  switch (kind_) {
    case ValueKind::null:
      break;
    case ValueKind::integer:
      return ValueView::of_integer(integer_);
    case ValueKind::real:
      return ValueView::of_real(real_);
    case ValueKind::text:
      return ValueView::of_text(bytes_);
    case ValueKind::blob:
      return ValueView::of_blob(bytes_);
  }
  return ValueView::of_null();
}

Row to_row(RowView view) {
  Row row;
  row.reserve(view.size());
  for (const ValueView& value : view) row.emplace_back(value);
  return row;
}

std::vector<ValueView> to_views(const Row& row) {
  std::vector<ValueView> views;
  views.reserve(row.size());
  for (const Value& value : row) views.push_back(value.view());
  return views;
}

bool identical(RowView a, RowView b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!identical(a[i], b[i])) return false;
  }
  return true;
}

void append_encoding(RowView row, std::string& out) {
  const auto append_raw = [&out](const void* data, std::size_t size) {
    out.append(static_cast<const char*>(data), size);
  };
  for (const ValueView& value : row) {
    out.push_back(static_cast<char>(value.kind));
    switch (value.kind) {
      case ValueKind::null:
        break;
      case ValueKind::integer:
        append_raw(&value.integer, sizeof value.integer);
        break;
      case ValueKind::real:
        append_raw(&value.real, sizeof value.real);
        break;
      case ValueKind::text:
      case ValueKind::blob: {
        const std::uint64_t size = value.bytes.size();
        append_raw(&size, sizeof size);
        out.append(value.bytes);
        break;
      }
    }
  }
}

}  // namespace tidemark
