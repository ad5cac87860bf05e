// The version of the program, as the build states it.
#pragma once

namespace tidemark::cli {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace tidemark::cli
