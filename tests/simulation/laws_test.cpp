// Random worlds in memory, through the code that sessions run: nothing is lost, every node
// converges.
#include <doctest/doctest.h>

#include "tests/simulation/runner.h"

using namespace tidemark::simulation;

namespace {

void check_laws(const RunRequest& request) {
  const RunReport report = run(request);
  CHECK_MESSAGE(report.violations == 0, request.name, ": ", report.summary());
}

}  // namespace

TEST_CASE("random worlds keep the laws") {
  check_laws({.name = "random worlds", .histories = 100'000, .options = {}});
}

TEST_CASE("worlds without faults keep the laws") {
  check_laws({.name = "worlds without faults",
              .histories = 10'000,
              .options = {.faults = false, .tables = true}});
}
