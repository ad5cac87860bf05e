// Colours on a terminal. Nothing is coloured where the output is no terminal, where TERM says that
// it cannot, or where NO_COLOR is set to anything (https://no-color.org).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidemark::cli {

enum class Colour : std::uint8_t { none, bold, red, green, yellow };

/// Whether what is written to `descriptor` is coloured; asked once for each in a process.
bool has_colours(int descriptor);

/// `text` between the sequences that begin and end the colour.
std::string coloured(std::string_view text, Colour colour);

/// The same where `descriptor` has colours, else `text`.
std::string coloured_on(int descriptor, std::string_view text, Colour colour);

}  // namespace tidemark::cli
