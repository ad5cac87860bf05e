#include <cctype>

#include "engines/sqlite/catalog.h"
#include "engines/sqlite/identifiers.h"

namespace tidemark::sqlite {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Cuts SQL into tokens; comments and space vanish.
class Tokens {
 public:
  explicit Tokens(std::string_view sql) : sql_(sql) {}

  /// Empty at the end.
  std::string_view next() {
    skip_space();
    if (at_ == sql_.size()) return {};
    const std::size_t start = at_;
    const char c = sql_[at_];
    if (c == '\'' || c == '"' || c == '`') {
      skip_quoted(c);
    } else if (c == '[') {
      skip_to("]");
    } else if (is_word(c)) {
      while (at_ < sql_.size() && is_word(sql_[at_])) ++at_;
    } else {
      ++at_;
    }
    return sql_.substr(start, at_ - start);
  }

 private:
  void skip_space() {
    while (at_ < sql_.size()) {
      if (std::isspace(static_cast<unsigned char>(sql_[at_])) != 0) {
        ++at_;
      } else if (sql_.substr(at_, 2) == "--") {
        skip_to("\n");
      } else if (sql_.substr(at_, 2) == "/*") {
        at_ += 2;
        skip_to("*/");
      } else {
        return;
      }
    }
  }
  void skip_to(std::string_view end) {
    const std::size_t found = sql_.find(end, at_);
    at_ = found == std::string_view::npos ? sql_.size() : found + end.size();
  }
  void skip_quoted(char quote) {
    ++at_;
    while (at_ < sql_.size()) {
      if (sql_[at_++] != quote) continue;
      if (at_ < sql_.size() && sql_[at_] == quote) {
        ++at_;  // a doubled quote is part of the text
      } else {
        return;
      }
    }
  }

  std::string_view sql_;
  std::size_t at_ = 0;
};

// Operators of two characters are cut in two by Tokens, so tokens are joined without a space unless
// the space is needed; what stood together stays together.
void append_token(std::string& text, std::string_view token, bool glued) {
  if (!text.empty() && !glued) text.push_back(' ');
  text.append(token);
}

}  // namespace

IndexText parse_index(std::string_view sql) {
  IndexText result;
  Tokens tokens(sql);
  std::string_view token;
  // CREATE UNIQUE INDEX name ON table: the first bare parenthesis opens the list.
  do {
    token = tokens.next();
  } while (!token.empty() && token != "(");
  int depth = 1;
  std::string term;
  std::string_view previous;
  const auto finish_term = [&result, &term] {
    result.terms.push_back(term);
    term.clear();
  };
  while (depth > 0 && !(token = tokens.next()).empty()) {
    const bool glued =
        previous.data() != nullptr && previous.data() + previous.size() == token.data();
    previous = token;
    if (token == "(") ++depth;
    if (token == ")" && --depth == 0) break;
    if (depth == 1 && token == ",") {
      finish_term();
      continue;
    }
    if (depth == 1 && (same_name(token, "asc") || same_name(token, "desc"))) continue;
    append_token(term, token, glued);
  }
  finish_term();
  if (!same_name(tokens.next(), "where")) return result;
  previous = {};
  while (!(token = tokens.next()).empty()) {
    const bool glued =
        previous.data() != nullptr && previous.data() + previous.size() == token.data();
    previous = token;
    append_token(result.predicate, token, glued);
  }
  return result;
}

}  // namespace tidemark::sqlite
