// Peak memory of a session: measured in a process of its own that does nothing else.
#include <string>

#include "bench/application.h"
#include "bench/measure.h"
#include "bench/product.h"
#include "bench/rows.h"

namespace tidemark::bench {
namespace {

Row measure(const std::string& what, const std::filesystem::path& first,
            const std::filesystem::path& second) {
  const ChildResult result = run_child({"--child-session", first.string(), second.string()});
  return {.what = what,
          .measured = static_cast<double>(result.peak_bytes) / (1024.0 * 1024.0),
          .unit = "MiB",
          .must = 200,
          .detail = milliseconds(result.seconds) + " with the start of the process"};
}

}  // namespace

std::vector<Row> memory_rows(const Settings& settings) {
  const std::filesystem::path first = settings.folder / "first.db";
  const std::filesystem::path second = settings.folder / "second.db";
  make_database(first, settings.scaled(1'000'000));
  activate(first);
  std::filesystem::remove(second);
  activate(second, first);
  std::vector<Row> rows{measure("peak memory, first copy of 1M rows", first, second)};
  write_changes(Database(first),
                make_changes(settings.scaled(1'000'000), settings.scaled(1'000'000)));
  rows.push_back(measure("peak memory, session of 1M changes", first, second));
  return rows;
}

}  // namespace tidemark::bench
