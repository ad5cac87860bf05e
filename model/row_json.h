// Row images as JSON text, for the conflict log and for machine-readable output. Every value says
// its type and none is altered: integers and reals are strings, text that is not clean UTF-8 and
// blobs are base64.
//   {"id":{"type":"integer","value":"7"},"note":{"type":"null"},"raw":{"type":"blob","value":"AAE="}}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/value.h"

namespace tidemark {

nlohmann::ordered_json value_to_json(const ValueView& value);
/// Throws std::invalid_argument when `json` is not what value_to_json() makes.
Value value_from_json(const nlohmann::ordered_json& json);

/// `row` has one value for each of `columns`.
nlohmann::ordered_json row_to_json(const std::vector<std::string>& columns, const Row& row);
/// Columns in the order in which the JSON has them.
void row_from_json(const nlohmann::ordered_json& json, std::vector<std::string>& columns, Row& row);

std::string to_base64(std::string_view bytes);
/// Throws std::invalid_argument.
std::string from_base64(std::string_view text);

/// Well-formed UTF-8 without NUL: what every engine and JSON can hold as text.
bool is_clean_utf8(std::string_view bytes);

}  // namespace tidemark
