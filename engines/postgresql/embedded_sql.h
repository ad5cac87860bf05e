// The files of schemas/postgresql, compiled in.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "engines/templates.h"

namespace tidemark::postgresql {

/// The text of schemas/postgresql/NAME.sql; empty when there is none.
std::string_view embedded_sql(std::string_view name);

/// The statement in schemas/postgresql/NAME.sql with its placeholders filled in.
inline std::string render(std::string_view name, const std::map<std::string, std::string>& values) {
  return render_file(name, embedded_sql(name), values);
}

}  // namespace tidemark::postgresql
