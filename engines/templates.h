// Fills in the files of schemas/.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace tidemark {

/// `text`, the content of schemas/.../NAME.sql, without its header comment and its last semicolon,
/// with every {{placeholder}} replaced. A placeholder without a value, a value without a
/// placeholder and a missing file (an empty text) are mistakes of the program: std::logic_error.
std::string render_file(std::string_view name, std::string_view text,
                        const std::map<std::string, std::string>& values);

/// The same for a text as it is; for tests.
std::string render_text(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace tidemark
