// Fills in the files of schemas/sqlite.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace tidemark::sqlite {

/// The statement in schemas/sqlite/NAME.sql without its header comment, with every {{placeholder}}
/// replaced. A placeholder without a value, a value without a placeholder and a missing file are
/// mistakes of the program: std::logic_error.
std::string render(std::string_view name, const std::map<std::string, std::string>& values);

/// The same for a text; for tests.
std::string render_text(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace tidemark::sqlite
