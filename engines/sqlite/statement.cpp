#include "engines/sqlite/statement.h"

#include <cassert>

#include "engines/sqlite/connection.h"

namespace tidemark::sqlite {
namespace {

std::optional<Refusal::Kind> refusal_kind(int extended_code) {
  switch (extended_code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return Refusal::Kind::unique;
    case SQLITE_CONSTRAINT_NOTNULL:
      return Refusal::Kind::not_null;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return Refusal::Kind::foreign_key;
    case SQLITE_CONSTRAINT_DATATYPE:
      return Refusal::Kind::type;
    default:
      break;
  }
  if ((extended_code & 0xff) == SQLITE_MISMATCH) return Refusal::Kind::type;
  if ((extended_code & 0xff) == SQLITE_CONSTRAINT) return Refusal::Kind::check;
  return std::nullopt;
}

// An empty view may have no address, which SQLite would take for NULL.
const char* address_of(std::string_view bytes) { return bytes.data() ? bytes.data() : ""; }

}  // namespace

Statement::Statement(Connection& connection, std::string_view sql) : connection_(&connection) {
  const char* tail = nullptr;
  const int result =
      sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &handle_, &tail);
  if (result != SQLITE_OK) connection.fail("cannot prepare a statement");
}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::check(int result) {
  if (result != SQLITE_OK) connection_->fail("cannot bind a value");
}

Statement& Statement::bind(int position, const ValueView& value) {
  switch (value.kind) {
    case ValueKind::null:
      check(sqlite3_bind_null(handle_, position));
      break;
    case ValueKind::integer:
      check(sqlite3_bind_int64(handle_, position, value.integer));
      break;
    case ValueKind::real:
      check(sqlite3_bind_double(handle_, position, value.real));
      break;
    case ValueKind::text:
      bind_text(position, value.bytes);
      break;
    case ValueKind::blob:
      bind_blob(position, value.bytes);
      break;
  }
  return *this;
}

Statement& Statement::bind(int position, std::int64_t value) {
  check(sqlite3_bind_int64(handle_, position, value));
  return *this;
}

Statement& Statement::bind_text(int position, std::string_view text) {
  check(sqlite3_bind_text64(handle_, position, address_of(text), text.size(), SQLITE_STATIC,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int position, std::string_view bytes) {
  check(sqlite3_bind_blob64(handle_, position, address_of(bytes), bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind_row(int position, RowView values) {
  for (const ValueView& value : values) bind(position++, value);
  return *this;
}

Statement& Statement::bind_pointer(int position, void* object, const char* type) {
  check(sqlite3_bind_pointer(handle_, position, object, type, nullptr));
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return false;
  }
  sqlite3_reset(handle_);
  connection_->fail("cannot run a statement");
}

void Statement::run() {
  while (step()) {
  }
}

std::optional<Refusal> Statement::run_or_refuse() {
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return std::nullopt;
  }
  assert(result != SQLITE_ROW);
  const auto kind = refusal_kind(sqlite3_extended_errcode(connection_->handle()));
  if (!kind) {
    sqlite3_reset(handle_);
    connection_->fail("cannot write a row");
  }
  Refusal refusal{.kind = *kind, .reason = sqlite3_errmsg(connection_->handle())};
  sqlite3_reset(handle_);
  return refusal;
}

void Statement::reset() noexcept { sqlite3_reset(handle_); }

ValueView Statement::value(int column) const {
  switch (sqlite3_column_type(handle_, column)) {
    case SQLITE_INTEGER:
      return ValueView::of_integer(sqlite3_column_int64(handle_, column));
    case SQLITE_FLOAT:
      return ValueView::of_real(sqlite3_column_double(handle_, column));
    case SQLITE_TEXT: {
      const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
      return ValueView::of_text(
          {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))});
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
      return ValueView::of_blob(
          {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))});
    }
    default:
      return ValueView::of_null();
  }
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (!bytes) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

Uuid Statement::uuid(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
  if (size != Uuid().bytes.size()) {
    throw Error(
        ExitCode::failed,
        "node " + connection_->node_name() + ": a control table holds a damaged identifier",
        "Restore the database, or run 'tidemark deactivate' and 'tidemark activate' on it.");
  }
  return Uuid::from_bytes({bytes, size});
}

}  // namespace tidemark::sqlite
