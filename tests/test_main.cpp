#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

int main(int argc, char** argv) {
  // Text is compared as files get it, also when somebody runs a test on a terminal.
  ::setenv("NO_COLOR", "1", 1);
  return doctest::Context(argc, argv).run();
}
