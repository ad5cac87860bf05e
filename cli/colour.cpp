#include "cli/colour.h"

#include <unistd.h>

#include <cstdlib>

namespace tidemark::cli {
namespace {

bool ask(int descriptor) {
  const char* const refused = std::getenv("NO_COLOR");
  if (refused != nullptr && *refused != '\0') return false;
  const char* const terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return ::isatty(descriptor) == 1;
}

std::string_view sequence(Colour colour) {
  switch (colour) {
    case Colour::none:
      break;
    case Colour::bold:
      return "\033[1m";
    case Colour::red:
      return "\033[1;31m";
    case Colour::green:
      return "\033[32m";
    case Colour::yellow:
      return "\033[33m";
  }
  return {};
}

}  // namespace

bool has_colours(int descriptor) {
  static const bool kOutput = ask(STDOUT_FILENO);
  static const bool kErrors = ask(STDERR_FILENO);
  return descriptor == STDOUT_FILENO ? kOutput : descriptor == STDERR_FILENO && kErrors;
}

std::string coloured(std::string_view text, Colour colour) {
  if (colour == Colour::none) return std::string(text);
  return std::string(sequence(colour)) + std::string(text) + "\033[0m";
}

std::string coloured_on(int descriptor, std::string_view text, Colour colour) {
  return has_colours(descriptor) ? coloured(text, colour) : std::string(text);
}

}  // namespace tidemark::cli
