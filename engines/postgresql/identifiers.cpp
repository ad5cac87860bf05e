#include "engines/postgresql/identifiers.h"

namespace tidemark::postgresql {
namespace {

std::string enclosed(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    if (c == quote) result += quote;
    result += c;
  }
  return result += quote;
}

std::string name_part(std::string_view name) {
  return name.find_first_of(".\"") == std::string_view::npos ? std::string(name)
                                                             : quoted_name(name);
}

}  // namespace

std::string quoted_name(std::string_view identifier) { return enclosed(identifier, '"'); }

std::string quoted_text(std::string_view text) { return enclosed(text, '\''); }

std::string table_name(std::string_view schema, std::string_view table) {
  return schema == "public" ? name_part(table) : name_part(schema) + "." + name_part(table);
}

std::string quoted_table(std::string_view name) {
  std::string parts[2] = {"public", ""};
  std::size_t part = 1;
  bool quoted = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '"') {
      if (quoted && i + 1 < name.size() && name[i + 1] == '"') {
        parts[part] += '"';
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (c == '.' && !quoted) {
      parts[0] = std::move(parts[1]);
      parts[1].clear();
    } else {
      parts[part] += c;
    }
  }
  return quoted_name(parts[0]) + "." + quoted_name(parts[1]);
}

}  // namespace tidemark::postgresql
