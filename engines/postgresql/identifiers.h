// How names and texts are written into SQL: the one place where that happens.
#pragma once

#include <string>
#include <string_view>

namespace tidemark::postgresql {

/// A name in double quotes; quotes inside are doubled, so that any name stays one name.
std::string quoted_name(std::string_view identifier);

/// A text in single quotes, whatever it holds. (standard_conforming_strings is on in our sessions.)
std::string quoted_text(std::string_view text);

/// A table of a database with several schemas, under the one name that the rest of the program
/// uses: the bare name in schema public, "schema.table" elsewhere. A part that holds a dot or a
/// double quote is written in double quotes, so that no two tables share a name.
std::string table_name(std::string_view schema, std::string_view table);

/// `"schema"."table"` of such a name.
std::string quoted_table(std::string_view name);

}  // namespace tidemark::postgresql
