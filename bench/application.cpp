#include "bench/application.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>

namespace tidemark::bench {

const char* const kCreate =
    "CREATE TABLE item(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, name TEXT NOT NULL, "
    "price REAL, amount INTEGER, note TEXT)";
const char* const kInsert = "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const char* const kUpdate =
    "UPDATE item SET customer = ?2, name = ?3, price = ?4, amount = ?5, note = ?6 WHERE id = ?1";
const char* const kUpsert =
    "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE SET "
    "customer = excluded.customer, name = excluded.name, price = excluded.price, "
    "amount = excluded.amount, note = excluded.note";
const char* const kDelete = "DELETE FROM item WHERE id = ?1";

namespace {

[[noreturn]] void fail(sqlite3* handle, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), sqlite3_errmsg(handle));
  std::exit(1);
}

}  // namespace

Database::Database(const std::filesystem::path& file) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open(file.c_str(), &handle);
  handle_.reset(handle);
  if (code != SQLITE_OK) fail(handle, file.string());
  run("PRAGMA journal_mode = wal; PRAGMA synchronous = normal");
}

void Database::run(const std::string& sql) const {
  if (sqlite3_exec(handle(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(handle(), sql);
  }
}

double Database::number(const std::string& sql) const {
  const Statement statement(*this, sql);
  return statement.row() ? sqlite3_column_double(statement.handle(), 0) : 0;
}

Statement::Statement(const Database& database, const std::string& sql) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v3(database.handle(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &handle,
                         nullptr) != SQLITE_OK) {
    fail(database.handle(), sql);
  }
  handle_.reset(handle);
}

bool Statement::row() const {
  const int code = sqlite3_step(handle());
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    fail(sqlite3_db_handle(handle()), sqlite3_sql(handle()));
  }
  return code == SQLITE_ROW;
}

void Statement::run() const {
  while (row()) {
  }
  sqlite3_reset(handle());
}

std::uint64_t Random::next() {
  // splitmix64, by Sebastiano Vigna, in the public domain.
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

std::int64_t Random::below(std::int64_t limit) {
  return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(limit));
}

Item make_item(std::int64_t id, Random& random) {
  Item item{.id = id,
            .customer = random.below(10'000),
            .amount = random.below(1'000),
            .price = static_cast<double>(random.below(100'000)) / 100};
  std::snprintf(item.name.data(), item.name.size(), "item %06d",
                static_cast<int>(random.below(1'000'000)));
  for (std::size_t i = 0; i < item.note.size(); i += 16) {
    std::uint64_t bits = random.next();
    for (std::size_t j = i; j < i + 16; ++j, bits >>= 4) {
      item.note[j] = static_cast<char>('a' + static_cast<int>(bits & 15U));
    }
  }
  return item;
}

void bind(const Statement& statement, const Item& item) {
  sqlite3_stmt* handle = statement.handle();
  sqlite3_bind_int64(handle, 1, item.id);
  sqlite3_bind_int64(handle, 2, item.customer);
  sqlite3_bind_text(handle, 3, item.name.data(), 11, SQLITE_STATIC);
  sqlite3_bind_double(handle, 4, item.price);
  sqlite3_bind_int64(handle, 5, item.amount);
  sqlite3_bind_text(handle, 6, item.note.data(), static_cast<int>(item.note.size()), SQLITE_STATIC);
}

void make_database(const std::filesystem::path& file, std::int64_t rows) {
  const Database database(file);
  database.run(kCreate);
  const Statement insert(database, kInsert);
  Random random(1);
  database.run("BEGIN");
  for (std::int64_t id = 1; id <= rows; ++id) {
    const Item item = make_item(id, random);
    bind(insert, item);
    insert.run();
  }
  database.run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

void copy_database(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* suffix : {"", "-wal", "-shm", ".tidemark-lock"}) {
    std::filesystem::remove(to.string() + suffix);
  }
  std::filesystem::copy_file(from, to);
}

std::vector<Change> make_changes(std::int64_t rows, std::int64_t count) {
  Random random(2);
  const std::int64_t inserts = count / 2;
  std::set<std::int64_t> touched;
  while (static_cast<std::int64_t>(touched.size()) < count - inserts) {
    touched.insert(1 + random.below(rows));
  }
  std::vector<Change> changes;
  changes.reserve(static_cast<std::size_t>(count));
  for (const std::int64_t id : touched) {
    changes.push_back({.item = make_item(id, random), .is_delete = random.below(5) == 0});
  }
  for (std::int64_t id = rows + 1; id <= rows + inserts; ++id) {
    changes.push_back({.item = make_item(id, random)});
  }
  return changes;
}

void write_changes(const Database& database, const std::vector<Change>& changes) {
  const Statement upsert(database, kUpsert);
  const Statement remove(database, kDelete);
  std::vector<std::size_t> order(changes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(3);
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1],
              order[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
  }
  database.run("BEGIN");
  for (const std::size_t position : order) {
    const Change& change = changes[position];
    if (change.is_delete) {
      sqlite3_bind_int64(remove.handle(), 1, change.item.id);
      remove.run();
    } else {
      bind(upsert, change.item);
      upsert.run();
    }
  }
  database.run("COMMIT");
}

}  // namespace tidemark::bench
