// How names and texts are written into SQL: the one place where that happens.
#pragma once

#include <string>
#include <string_view>

namespace tidemark::sqlite {

/// A name in double quotes; quotes inside are doubled, so that any name stays one name.
std::string quoted_name(std::string_view identifier);

/// Whether two names mean one object: SQLite folds ASCII letters and nothing else.
bool same_name(std::string_view a, std::string_view b);

}  // namespace tidemark::sqlite
