// Statement is one prepared statement of a Connection, which must outlive it. Values go in as
// ValueView and are bound without a copy: what they look at must stay until the next reset().
// Values that come out are views into SQLite's own row, valid until the next step() or reset().
// Every failure is an Error, but for refused rows where step_or_refuse() is asked.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engines/engine.h"
#include "model/value.h"
#include "model/version.h"

namespace tidemark::sqlite {

class Connection;

class Statement {
 public:
  Statement() = default;
  Statement(Connection& connection, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept
      : connection_(other.connection_), handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(connection_, other.connection_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  explicit operator bool() const { return handle_ != nullptr; }

  // Positions count from 1, as in the text of the statement (?1, ?2 ...).
  Statement& bind(int position, const ValueView& value);
  Statement& bind(int position, std::int64_t value);
  /// The bytes must outlive the execution.
  Statement& bind_text(int position, std::string_view text);
  Statement& bind_blob(int position, std::string_view bytes);
  Statement& bind(int position, const Uuid& uuid) { return bind_blob(position, uuid.as_bytes()); }
  /// Binds `values` to position, position + 1 ...
  Statement& bind_row(int position, RowView values);
  /// Hands an object of ours to one of our functions; `type` is a string literal that names it.
  Statement& bind_pointer(int position, void* object, const char* type);

  /// True when there is a row. At the end the statement is reset by itself.
  bool step();
  /// Runs a statement that returns no rows.
  void run();
  /// The same, but a row that a constraint refuses is a value and not an Error.
  std::optional<Refusal> run_or_refuse();
  void reset() noexcept;

  // Columns count from 0.
  ValueView value(int column) const;
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  bool is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::string text(int column) const;
  Uuid uuid(int column) const;
  int column_count() const { return sqlite3_column_count(handle_); }

 private:
  void check(int result);

  Connection* connection_ = nullptr;
  sqlite3_stmt* handle_ = nullptr;
};

/// Resets a cached statement on every way out of a block, so that it holds no lock and no borrowed
/// bytes.
class ResetGuard {
 public:
  explicit ResetGuard(Statement& statement) : statement_(statement) {}
  ~ResetGuard() { statement_.reset(); }
  ResetGuard(const ResetGuard&) = delete;
  ResetGuard& operator=(const ResetGuard&) = delete;

 private:
  Statement& statement_;
};

}  // namespace tidemark::sqlite
