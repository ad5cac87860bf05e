// What every contract test starts from: one database of the engine under test, a node on it, and
// short ways to say what is done and what is seen. TEST_CASE_TEMPLATE runs each test over all
// engines.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "tests/fixtures/test_database.h"

namespace tidemark::testing {

struct Memory {
  static std::unique_ptr<TestDatabase> make() { return make_memory_database(); }
};
struct Sqlite {
  static std::unique_ptr<TestDatabase> make() { return make_sqlite_database(); }
};
struct Postgresql {
  static std::unique_ptr<TestDatabase> make() { return make_postgresql_database(); }
};
struct SilencedPostgresql {
  static std::unique_ptr<TestDatabase> make() { return make_silenced_postgresql_database(); }
};
#define TIDEMARK_ENGINES                                                               \
  tidemark::testing::Memory, tidemark::testing::Sqlite, tidemark::testing::Postgresql, \
      tidemark::testing::SilencedPostgresql
/// Those whose tables say how text is compared and hold any value in any column.
#define TIDEMARK_LOOSE_ENGINES tidemark::testing::Memory, tidemark::testing::Sqlite

inline Uuid uuid(std::uint8_t number) {
  Uuid result;
  result.bytes.fill(number);
  return result;
}

inline constexpr std::uint8_t kOwnOrigin = 0xA1;
inline constexpr std::uint8_t kOtherOrigin = 0xB2;
inline constexpr std::int64_t kFarFutureUs = 4'000'000'000'000'000;  // the year 2096

/// A version by another node.
inline Version foreign(std::int64_t changed_at_us, std::int64_t sequence) {
  return {.changed_at_us = changed_at_us, .origin = uuid(kOtherOrigin), .sequence = sequence};
}

inline Knowledge knowledge(std::uint8_t origin, std::int64_t sequence) {
  Knowledge result;
  result.raise(uuid(origin), sequence);
  return result;
}

/// id INTEGER PRIMARY KEY, name TEXT, price REAL
TableSpec item_table();
/// code TEXT COLLATE NOCASE PRIMARY KEY, note TEXT
TableSpec tag_table();
/// site TEXT, shelf INTEGER, amount INTEGER; key (shelf, site), which is not the order of the
/// columns
TableSpec stock_table();
/// id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL
TableSpec account_table();
/// a column without a type that holds everything, key id
TableSpec thing_table();

/// A streamed row that is kept.
struct Seen {
  Row key;
  bool present = false;
  Row row;
  std::optional<Version> version;

  friend bool operator==(const Seen&, const Seen&) = default;
};
Seen seen(const ChangedRow& row);
std::vector<Seen> drain(RowStream& rows);

/// A row on its way into a target; lends views of itself.
class Incoming {
 public:
  Incoming(const TableSpec& table, Row row, std::optional<Version> version, bool revert = false);
  /// A tombstone, or a key to be set back to nothing.
  static Incoming tombstone(Row key, std::optional<Version> version, bool revert = false);

  void add_to(Stage& stage) const;

 private:
  Incoming(Row key, Row row, bool present, std::optional<Version> version, bool revert);

  Row key_;
  Row row_;
  bool present_;
  std::optional<Version> version_;
  bool revert_;
};

class Contract {
 public:
  explicit Contract(std::unique_ptr<TestDatabase> test_database)
      : database(std::move(test_database)), node(database->open("site")) {}

  template <typename Work>
  auto write(const Work& work) {
    node->begin_write();
    return finish(work, [this] { node->commit(); });
  }
  template <typename Work>
  auto read(const Work& work) {
    node->begin_read();
    return finish(work, [this] { node->rollback(); });
  }

  void create_control_tables();
  /// Makes the table unless it is there, installs capture, and returns it as the node sees it.
  ActiveTable activate(const TableSpec& spec);
  ActiveTable active(const std::string& table);
  HarvestCounts harvest(const ActiveTable& table);
  TableState state(const ActiveTable& table);
  std::vector<Seen> all(const ActiveTable& table);
  /// Like all(), but only what `known` does not cover.
  std::vector<Seen> since(const ActiveTable& table, const Knowledge& known);
  Seen find(const ActiveTable& table, const Row& key);
  void put(const ActiveTable& table, const Row& row, const std::optional<Version>& version);
  std::optional<Refusal> put_row(const ActiveTable& table, const Row& key, const Row& row);
  /// `whole`: for compare_all().
  std::unique_ptr<Stage> stage(const ActiveTable& table, const std::vector<Incoming>& rows,
                               bool whole = false);

  const std::unique_ptr<TestDatabase> database;
  std::unique_ptr<Node> node;

 private:
  template <typename Work, typename End>
  auto finish(const Work& work, const End& end) {
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        end();
      } else {
        auto result = work();
        end();
        return result;
      }
    } catch (...) {
      node->rollback();
      throw;
    }
  }
};

}  // namespace tidemark::testing
