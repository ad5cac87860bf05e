#include "cli/text.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tidemark::cli {
namespace {

constexpr char kHex[] = "0123456789abcdef";

/// Length of the well-formed UTF-8 sequence that `text` begins with; 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  std::size_t length = 0;
  std::uint32_t code = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
    code = lead & 0x1fu;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    code = lead & 0x0fu;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    code = lead & 0x07u;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  // C1 controls, marks that change the direction of writing, line and paragraph separators.
  const bool control = (code >= 0x80 && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
                       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return control ? 0 : length;
}

void append_escape(std::string& out, unsigned char byte) {
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15u];
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    std::size_t length = sequence_length(text);
    if (length == 0 || lead < 0x20 || lead == 0x7f) {
      append_escape(out, lead);
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string of_node(const std::string& node, const std::string& what) {
  const std::string named = "node " + node + ": ";
  return what.starts_with(named) ? what : named + what;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
  }));
}

std::string shortened(std::string_view text, std::size_t width) {
  if (width_of(text) <= width || width == 0) return std::string(text);
  std::size_t columns = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0u) != 0x80u;
    if (begins && ++columns == width) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string value_text(const ValueView& value) {
  switch (value.kind) {
    case ValueKind::null:
      return "NULL";
    case ValueKind::integer:
      return std::to_string(value.integer);
    case ValueKind::real: {
      if (std::isinf(value.real)) return value.real > 0 ? "Infinity" : "-Infinity";
      char digits[64];
      const auto end = std::to_chars(digits, digits + sizeof digits, value.real);
      std::string text(digits, end.ptr);
      // What was stored as a real is not to look like an integer.
      if (text.find_first_of(".en") == std::string::npos) text += ".0";
      return text;
    }
    case ValueKind::text:
      return printable(value.bytes);
    case ValueKind::blob:
      break;
  }
  constexpr std::size_t kShownBytes = 64;
  std::string text = "x'";
  for (const char c : value.bytes.substr(0, kShownBytes)) {
    text += kHex[static_cast<unsigned char>(c) >> 4];
    text += kHex[static_cast<unsigned char>(c) & 15u];
  }
  text += value.bytes.size() > kShownBytes ? "…'" : "'";
  if (value.bytes.size() > kShownBytes)
    text += " (" + std::to_string(value.bytes.size()) + " bytes)";
  return text;
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t place = text.size(); place > first + 3;) {
    place -= 3;
    text.insert(place, " ");
  }
  return text;
}

std::string counted(std::int64_t count, std::string_view noun) {
  return grouped(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::string line;
  const auto end_line = [&] {
    if (!line.empty()) out += std::string(indent, ' ') + line;
    out += '\n';
    line.clear();
  };
  while (true) {
    const std::size_t paragraph_end = text.find('\n');
    std::string_view paragraph = text.substr(0, paragraph_end);
    while (!paragraph.empty()) {
      const std::size_t word_end = paragraph.find(' ');
      const std::string_view word = paragraph.substr(0, word_end);
      if (!line.empty() && indent + width_of(line) + 1 + width_of(word) > width) end_line();
      if (!line.empty() && !word.empty()) line += ' ';
      line += word;
      paragraph.remove_prefix(word_end == std::string_view::npos ? paragraph.size() : word_end + 1);
    }
    end_line();
    if (paragraph_end == std::string_view::npos) return out;
    text.remove_prefix(paragraph_end + 1);
  }
}

Colour colour_of_count(std::string_view cell) {
  return cell.empty() || cell == "0" ? Colour::none : Colour::yellow;
}

Colour colour_of_state(std::string_view cell) {
  if (cell == "ok") return Colour::green;
  return cell == "not activated" ? Colour::yellow : Colour::red;
}

void TextTable::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::render(std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = width_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[i]));
    widths.push_back(width);
  }
  std::string out;
  const auto add_line = [&](const auto& cell_at, const auto& colour_at) {
    std::string line(indent, ' ');
    std::string gap;  // nothing follows the last cell
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_at(i);
      const std::string padding(widths[i] - width_of(cell), ' ');
      const bool right = columns_[i].align == Align::right;
      if (right) gap += padding;
      if (!cell.empty()) line += gap + coloured_on(STDOUT_FILENO, cell, colour_at(i));
      if (!cell.empty()) gap.clear();
      gap += right ? "  " : padding + "  ";
    }
    out += line + '\n';
  };
  add_line([&](std::size_t i) -> const std::string& { return columns_[i].title; },
           [](std::size_t) { return Colour::bold; });
  for (const auto& row : rows_) {
    add_line([&](std::size_t i) -> const std::string& { return row[i]; },
             [&](std::size_t i) {
               const auto colour_of = columns_[i].colour_of;
               return colour_of == nullptr ? Colour::none : colour_of(row[i]);
             });
  }
  return out;
}

std::string short_id(const std::vector<std::string>& sorted, const std::string& id) {
  std::size_t length = 8;
  const auto pass = [&](const std::string& other) {
    while (length < id.size() && id.compare(0, length, other, 0, length) == 0) ++length;
  };
  // Only its neighbours in order can share as much of it.
  const auto place = std::lower_bound(sorted.begin(), sorted.end(), id);
  if (place != sorted.begin()) pass(*std::prev(place));
  if (place != sorted.end() && std::next(place) != sorted.end()) pass(*std::next(place));
  return id.substr(0, length);
}

}  // namespace tidemark::cli
