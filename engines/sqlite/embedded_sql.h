// The files of schemas/sqlite, compiled in.
#pragma once

#include <string_view>

namespace tidemark::sqlite {

/// The text of schemas/sqlite/NAME.sql; empty when there is none.
std::string_view embedded_sql(std::string_view name);

}  // namespace tidemark::sqlite
