#include "model/row_json.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace tidemark {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string real_to_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[40];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value);  // shortest that is exact
  return {buffer, result.ptr};
}

double real_from_text(const std::string& text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    throw std::invalid_argument("not a real number: " + text);
  }
  return value;
}

}  // namespace

bool is_clean_utf8(std::string_view bytes) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    // Eight bytes of ASCII at a time: none has its highest bit set, and none is zero.
    std::uint64_t eight;
    if (bytes.size() - i >= sizeof eight) {
      std::memcpy(&eight, bytes.data() + i, sizeof eight);
      constexpr std::uint64_t kLowest = 0x0101010101010101, kHighest = 0x8080808080808080;
      if (((eight | (eight - kLowest)) & kHighest) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const auto lead = static_cast<unsigned char>(bytes[i]);
    std::size_t length;
    std::uint32_t code;
    if (lead == 0) return false;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
      code = lead & 0x1Fu;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      code = lead & 0x0Fu;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      code = lead & 0x07u;
    } else {
      return false;
    }
    if (bytes.size() - i < length) return false;
    for (std::size_t j = 1; j < length; ++j) {
      const auto next = static_cast<unsigned char>(bytes[i + j]);
      if ((next & 0xC0) != 0x80) return false;
      code = (code << 6) | (next & 0x3Fu);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (overlong || surrogate || code > 0x10FFFF) return false;
    i += length;
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = (group << 8) | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? kBase64[(group >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return text;
}

std::string from_base64(std::string_view text) {
  if (text.size() % 4 != 0) throw std::invalid_argument("not base64: its length is wrong");
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    std::size_t count = 3;
    for (std::size_t j = 0; j < 4; ++j) {
      const char c = text[i + j];
      const bool last = i + 4 == text.size();
      if (c == '=' && last && (j == 3 || (j == 2 && text[i + 3] == '='))) {
        count = std::min<std::size_t>(count, j - 1);
        group <<= 6;
        continue;
      }
      const std::size_t digit = kBase64.find(c);
      if (digit == std::string_view::npos) throw std::invalid_argument("not base64");
      group = (group << 6) | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t j = 0; j < count; ++j)
      bytes += static_cast<char>((group >> (16 - 8 * j)) & 255);
  }
  return bytes;
}

nlohmann::ordered_json value_to_json(const ValueView& value) {
  nlohmann::ordered_json json;
  json["type"] = std::string(to_string(value.kind));
  switch (value.kind) {
    case ValueKind::null:
      break;
    case ValueKind::integer:
      json["value"] = std::to_string(value.integer);
      break;
    case ValueKind::real:
      json["value"] = real_to_text(value.real);
      break;
    case ValueKind::text:
      if (is_clean_utf8(value.bytes)) {
        json["value"] = std::string(value.bytes);
      } else {
        json["encoding"] = "base64";
        json["value"] = to_base64(value.bytes);
      }
      break;
    case ValueKind::blob:
      json["value"] = to_base64(value.bytes);
      break;
  }
  return json;
}

Value value_from_json(const nlohmann::ordered_json& json) {
  try {
    const auto type = json.at("type").get<std::string>();
    if (type == "null") return Value::null();
    const auto text = json.at("value").get<std::string>();
    if (type == "integer") {
      std::int64_t value = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
      if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
        throw std::invalid_argument("not an integer: " + text);
      }
      return Value::integer(value);
    }
    if (type == "real") return Value::real(real_from_text(text));
    if (type == "blob") return Value::blob(from_base64(text));
    if (type == "text") {
      return json.contains("encoding") ? Value::text(from_base64(text)) : Value::text(text);
    }
    throw std::invalid_argument("unknown type of value: " + type);
  } catch (const nlohmann::json::exception& error) {
    throw std::invalid_argument(error.what());
  }
}

nlohmann::ordered_json row_to_json(const std::vector<std::string>& columns, const Row& row) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < columns.size() && i < row.size(); ++i) {
    json[columns[i]] = value_to_json(row[i].view());
  }
  return json;
}

void row_from_json(const nlohmann::ordered_json& json, std::vector<std::string>& columns,
                   Row& row) {
  columns.clear();
  row.clear();
  for (const auto& [name, value] : json.items()) {
    columns.push_back(name);
    row.push_back(value_from_json(value));
  }
}

}  // namespace tidemark
