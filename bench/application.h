// What an application does to its database, without Tidemark: a thin layer over SQLite's own
// interface. It makes the workloads that capture is measured with and the raw limits that sessions
// are compared with. Every row has an integer key and about 100 bytes in six columns, and its
// values are made anew each time.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace tidemark::bench {

inline constexpr const char* kTable = "item";

/// A connection with an application's settings: WAL, synchronous NORMAL, all else as SQLite has it.
/// Every failure ends the program with SQLite's words.
class Database {
 public:
  explicit Database(const std::filesystem::path& file);

  sqlite3* handle() const { return handle_.get(); }
  void run(const std::string& sql) const;
  double number(const std::string& sql) const;  // first column of the first row

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

class Statement {
 public:
  Statement(const Database& database, const std::string& sql);

  sqlite3_stmt* handle() const { return handle_.get(); }
  bool row() const;  // steps; false at the end
  void run() const;  // steps to the end and resets

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// A small generator, the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::int64_t below(std::int64_t limit);

 private:
  std::uint64_t state_;
};

struct Item {
  std::int64_t id = 0;
  std::int64_t customer = 0;
  std::int64_t amount = 0;
  double price = 0;
  std::array<char, 16> name{};
  std::array<char, 64> note{};
};

/// New content for the row `id`.
Item make_item(std::int64_t id, Random& random);

/// Binds id, customer, name, price, amount, note as 1 to 6.
void bind(const Statement& statement, const Item& item);

extern const char* const kCreate;
extern const char* const kInsert;
extern const char* const kUpdate;
extern const char* const kUpsert;
extern const char* const kDelete;

/// Makes the table with rows 1 to `rows`, everything written back from the WAL.
void make_database(const std::filesystem::path& file, std::int64_t rows);

/// Copies a database that nobody has open, and removes what another one left at `to`.
void copy_database(const std::filesystem::path& from, const std::filesystem::path& to);

/// One change of a row: new content, or its end.
struct Change {
  Item item;
  bool is_delete = false;
};

/// `count` changes of distinct rows of a table with the keys 1 to `rows`: half of them inserts
/// behind the last key, 40 % updates and 10 % deletes all over the table; in key order.
std::vector<Change> make_changes(std::int64_t rows, std::int64_t count);

/// Writes the changes in an order that has nothing to do with the keys, as applications do, in one
/// transaction.
void write_changes(const Database& database, const std::vector<Change>& changes);

}  // namespace tidemark::bench
