#include "bench/product.h"

#include <cstdio>
#include <cstdlib>

#include "bench/application.h"
#include "capture/activate.h"
#include "engines/registry.h"
#include "scheduler/verify.h"

namespace tidemark::bench {
namespace {

std::unique_ptr<Node> open(const std::filesystem::path& file, const std::string& name) {
  return open_node({.node_name = name, .url = "sqlite:" + file.string(), .directory = "/"});
}

scheduler::JobConfig job() {
  scheduler::JobConfig made;
  made.name = "bench";
  made.nodes = {"first", "second"};
  made.max_deletes.share.reset();
  return made;
}

}  // namespace

void activate(const std::filesystem::path& file, const std::filesystem::path& like) {
  capture::ActivationRequest request;
  request.tables = {kTable};
  if (!like.empty()) {
    create_database("sqlite:" + file.string(), "/");
    const std::unique_ptr<Node> model = open(like, "model");
    model->begin_read();
    for (const TableSpec& spec : model->catalog()) {
      if (spec.name == kTable) request.create_first.push_back(spec);
    }
    model->rollback();
  }
  if (!like.empty()) Database(file).run("PRAGMA journal_mode = wal");
  capture::activate(*open(file, "node"), request, false);
}

scheduler::SessionReport run_session(const std::filesystem::path& first,
                                     const std::filesystem::path& second) {
  const std::unique_ptr<Node> first_node = open(first, "first");
  const std::unique_ptr<Node> second_node = open(second, "second");
  scheduler::SessionReport report =
      scheduler::run_session(job(), *first_node, *second_node, std::chrono::days(30), {});
  if (!report.problems.empty()) {
    std::fprintf(stderr, "a session left a table out: %s\n", report.problems.front().c_str());
    std::exit(1);
  }
  return report;
}

void verify(const std::filesystem::path& first, const std::filesystem::path& second) {
  const std::unique_ptr<Node> first_node = open(first, "first");
  const std::unique_ptr<Node> second_node = open(second, "second");
  const scheduler::VerifyReport report =
      scheduler::verify(job(), *first_node, *second_node, {.progress = nullptr});
  if (report.different() != 0 || report.pending() != 0 || report.tables.empty()) {
    std::fprintf(stderr, "%s and %s are not equal\n", first.c_str(), second.c_str());
    std::exit(1);
  }
}

}  // namespace tidemark::bench
