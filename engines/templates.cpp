#include "engines/templates.h"

#include <set>
#include <stdexcept>

namespace tidemark {
namespace {

std::string_view without_header(std::string_view text) {
  while (text.substr(0, 2) == "--" || text.substr(0, 1) == "\n") {
    const std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return text;
}

// What a database keeps of a statement ends with its last word.
std::string_view without_end(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \n;");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

std::string render_text(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string result;
  std::set<std::string> used;
  std::size_t at = 0;
  for (;;) {
    const std::size_t open = text.find("{{", at);
    result.append(text.substr(at, open == std::string_view::npos ? open : open - at));
    if (open == std::string_view::npos) break;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) throw std::logic_error("placeholder without an end");
    const std::string name(text.substr(open + 2, close - open - 2));
    const auto found = values.find(name);
    if (found == values.end()) throw std::logic_error("unknown placeholder: " + name);
    result += found->second;
    used.insert(name);
    at = close + 2;
  }
  for (const auto& entry : values) {
    if (!used.contains(entry.first)) throw std::logic_error("unused value: " + entry.first);
  }
  return result;
}

std::string render_file(std::string_view name, std::string_view text,
                        const std::map<std::string, std::string>& values) {
  if (text.empty()) throw std::logic_error("no such file: " + std::string(name) + ".sql");
  return render_text(without_end(without_header(text)), values);
}

}  // namespace tidemark
