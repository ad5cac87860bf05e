// The spool gives back what was put in, whether it stayed in memory, went to a file, or was read by
// another thread at the same time.
#include "engines/spool.h"

#include <malloc.h>

#include <stdexcept>
#include <string>
#include <thread>

#include <doctest/doctest.h>

using namespace tidemark;  // NOLINT(google-build-using-namespace)

namespace {

constexpr int kRows = 20000;

void add_rows(Spool& spool, int count = kRows) {
  for (int i = 0; i < count; ++i) {
    const std::string text =
        "row " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 90), 'x');
    const ValueView row[] = {ValueView::of_integer(i), ValueView::of_text(text),
                             ValueView::of_real(i / 3.0), ValueView::of_null()};
    ChangedRow change;
    if (i % 10 == 9) {
      change.key = RowView(row, 1);
      change.version = Version{.changed_at_us = i, .sequence = i + 1, .inserted = i % 20 == 9};
    } else {
      change.row = row;
      change.present = true;
      change.revert = i % 7 == 0;
    }
    spool.add(change);
  }
}

void check_rows(Spool& spool) {
  ChangedRow change;
  for (int i = 0; i < kRows; ++i) {
    REQUIRE(spool.next(change));
    REQUIRE(change.key.size() == 1);
    REQUIRE(change.key[0].integer == i);
    REQUIRE(change.present == (i % 10 != 9));
    if (change.present) {
      REQUIRE(change.row.size() == 4);
      REQUIRE(change.row[1].bytes.starts_with("row " + std::to_string(i)));
      REQUIRE(change.row[2].real == i / 3.0);
      REQUIRE(change.row[3].kind == ValueKind::null);
      REQUIRE_FALSE(change.version);
      REQUIRE(change.revert == (i % 7 == 0));
    } else {
      REQUIRE(change.version->changed_at_us == i);
      REQUIRE(change.version->sequence == i + 1);
      REQUIRE(change.version->inserted == (i % 20 == 9));
    }
  }
  REQUIRE_FALSE(spool.next(change));
  REQUIRE_FALSE(spool.next(change));
}

}  // namespace

TEST_CASE("a spool keeps rows in memory") {
  Spool spool({0}, {});
  add_rows(spool);
  spool.finish();
  check_rows(spool);
}

TEST_CASE("a spool goes on in a file when its memory is used up") {
  Spool spool({0}, {.memory_limit = 64 << 10, .chunk_size = 16 << 10});
  add_rows(spool);
  spool.finish();
  check_rows(spool);
}

TEST_CASE("a spool is read while it is filled") {
  Spool spool({0}, {.concurrent = true, .memory_limit = 32 << 10, .chunk_size = 8 << 10});
  std::thread writer([&] {
    add_rows(spool);
    spool.finish();
  });
  check_rows(spool);
  writer.join();
}

TEST_CASE("a writer whose reader gave up does not wait for ever") {
  Spool spool({0}, {.concurrent = true, .memory_limit = 8 << 10, .chunk_size = 4 << 10});
  std::thread writer([&] {
    add_rows(spool);
    spool.finish();
  });
  ChangedRow change;
  CHECK(spool.next(change));
  spool.abandon();
  writer.join();
}

TEST_CASE("the failure of the source reaches the reader") {
  Spool spool({0}, {.concurrent = true});
  spool.fail(std::make_exception_ptr(std::runtime_error("source is gone")));
  ChangedRow change;
  CHECK_THROWS_WITH(spool.next(change), "source is gone");
}

TEST_CASE("a spool that was cleared is as new, wherever its rows were") {
  Spool spool({0}, {.memory_limit = 64 << 10, .chunk_size = 16 << 10});
  add_rows(spool);  // into memory and on into a file
  spool.clear();
  ChangedRow change;
  SUBCASE("before it was read") {}
  SUBCASE("after it was read") {
    add_rows(spool);
    spool.finish();
    check_rows(spool);
    spool.clear();
  }
  SUBCASE("in the middle of reading") {
    add_rows(spool);
    spool.finish();
    for (int i = 0; i < kRows / 2; ++i) REQUIRE(spool.next(change));
    spool.clear();
  }
  SUBCASE("after it failed") {
    spool.fail(std::make_exception_ptr(std::runtime_error("source is gone")));
    CHECK_THROWS(spool.next(change));
    spool.clear();
  }
  add_rows(spool);
  spool.finish();
  check_rows(spool);
}

TEST_CASE("what a large row needed is given back") {
  const auto allocated = [] {
    const struct mallinfo2 info = mallinfo2();  // under sanitizers it says nothing
    return info.uordblks + info.hblkhd;
  };
  const auto before = allocated();
  Spool spool({0}, {.concurrent = true, .memory_limit = 1 << 20, .chunk_size = 16 << 10});
  std::thread writer([&] {
    const std::string large(1 << 20, 'x');
    for (int i = 0; i < 200; ++i) {
      add_rows(spool, 400);  // some chunks
      const ValueView row[] = {ValueView::of_integer(i), ValueView::of_text(large)};
      ChangedRow change;
      change.row = row;
      change.present = true;
      spool.add(change);
    }
    spool.finish();
  });
  ChangedRow change;
  int count = 0;
  while (spool.next(change)) ++count;
  writer.join();
  CHECK(count == 200 * 401);
  CHECK(allocated() - before < 12 << 20);
}
