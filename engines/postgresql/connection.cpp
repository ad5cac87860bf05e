#include "engines/postgresql/connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <pqxx/pqxx>

#include "engines/postgresql/identifiers.h"

namespace tidemark::postgresql {
namespace {

constexpr int kOldestServer = 150000;
constexpr char kLockNotAvailable[] = "55P03";
/// A transaction of somebody else's that keeps more rows than this from us, without being seen, is
/// not worth it to wait for each of them.
constexpr int kMostWaits = 50;

/// Written since the snapshot, or a deadlock.
bool is_collision(std::string_view sqlstate) { return sqlstate == "40001" || sqlstate == "40P01"; }

constexpr char kSettings[] =
    "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET search_path = '';"
    "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';"
    "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET xmloption = 'content';"
    "SET lc_monetary = 'C'; SET row_security = off; SET statement_timeout = 0;"
    "SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;"
    "SET client_min_messages = 'warning';"
    // NULL inside of an array is no text, and names look alike in what the server prints.
    "SET array_nulls = on; SET quote_all_identifiers = off;"
    // What is read outside of a transaction must not make an application's fail.
    "SET default_transaction_isolation = 'read committed';"
    // Plans of ours are short, and compiling them is not.
    "SET jit = off;"
    // What a session looks at was just written and is in memory: a few rows of a large table are
    // better found by its index than by reading all of it.
    "SET random_page_cost = 1.1;"
    // Ours are few statements about many rows each: sorted and joined in memory where the server
    // was not set up to allow more.
    "SELECT pg_catalog.set_config(s.name, '64MB', false) FROM (VALUES ('work_mem'), "
    "('temp_buffers')) AS s(name) WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting("
    "s.name)) < 64 * 1024 * 1024;";

/// The first line of a message, without "ERROR: " and the like.
std::string first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  for (const std::string_view word : {"FATAL:", "ERROR:"}) {
    if (const auto found = text.find(word); found != std::string_view::npos) {
      text.remove_prefix(found + word.size());
    }
  }
  while (text.starts_with(' ')) text.remove_prefix(1);
  return std::string(text);
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text != nullptr ? text : "";
}

constexpr char kWhere[] =
    "Check host, port and database in the url; pg_isready and psql with the same url help to find "
    "out.";

std::string login_hint(std::string_view message) {
  const auto says = [message](std::string_view words) {
    return message.find(words) != std::string_view::npos;
  };
  if (says("password authentication failed") || says("no password supplied")) {
    return "Put the password into libpq's password file (~/.pgpass, mode 0600) or a service file; "
           "never into the url.";
  }
  if (says("does not exist")) return "Create it, or correct the url.";
  if (says("permission denied for database")) {
    return "The owner of the database can grant it: GRANT CONNECT ON DATABASE ... TO ...";
  }
  if (says("pg_hba.conf")) {
    return "The server's pg_hba.conf has no line that lets this user in from here.";
  }
  return kWhere;
}

}  // namespace

/// A connection of libpqxx that tells what it holds, so that rows can move through libpq.
class Connection::Driver final : public pqxx::connection_base {
 public:
  explicit Driver(const std::string& options) : connection_base(policy_), policy_(options) {
    init();
  }
  ~Driver() { close(); }
  PGconn* handle() const { return policy_.kept; }

 private:
  struct Policy final : pqxx::connectionpolicy {
    using connectionpolicy::connectionpolicy;
    handle do_startconnect(handle original) override {
      if (original != nullptr) return original;
      handle made = normalconnect(original);
      if (PQstatus(made) != CONNECTION_OK) {
        const std::string message = PQerrorMessage(made);
        PQfinish(made);
        throw pqxx::broken_connection(message);
      }
      return kept = made;
    }
    handle kept = nullptr;
  };
  Policy policy_;
};

namespace {

/// What the network's order of bytes says, in one instruction.
template <typename T>
T big_endian(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  if constexpr (sizeof value == 2) return __builtin_bswap16(value);
  if constexpr (sizeof value == 4) return __builtin_bswap32(value);
  if constexpr (sizeof value == 8) return __builtin_bswap64(value);
}

}  // namespace

std::int64_t read_integer(std::string_view bytes) {
  switch (bytes.size()) {
    case 1:
      return static_cast<unsigned char>(bytes[0]);
    case 2:
      return static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes));
    case 4:
      return static_cast<std::int32_t>(big_endian<std::uint32_t>(bytes));
    case 8:
      return static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes));
    default:
      throw std::logic_error("a number of " + std::to_string(bytes.size()) + " bytes");
  }
}

double read_real(std::string_view bytes) { return std::bit_cast<double>(read_integer(bytes)); }

std::int64_t Rows::integer(int row, int column) const { return read_integer(bytes(row, column)); }

double Rows::real(int row, int column) const { return read_real(bytes(row, column)); }

std::int64_t Rows::affected() const {
  const char* text = PQcmdTuples(result_.get());
  return *text == '\0' ? 0 : std::stoll(text);
}

ServerError server_error(const PGresult* result, const PGconn* connection) {
  ServerError error{.sqlstate = field(result, PG_DIAG_SQLSTATE),
                    .message = field(result, PG_DIAG_MESSAGE_PRIMARY),
                    .detail = field(result, PG_DIAG_MESSAGE_DETAIL),
                    .context = field(result, PG_DIAG_CONTEXT),
                    .constraint = field(result, PG_DIAG_CONSTRAINT_NAME),
                    .column = field(result, PG_DIAG_COLUMN_NAME)};
  if (error.message.empty()) error.message = first_line(PQerrorMessage(connection));
  // PL/pgSQL, PL/Python, PL/Perl, PL/Tcl: whatever SQLSTATE a function chose.
  const std::string source = field(result, PG_DIAG_SOURCE_FILE);
  for (const char* language : {"pl_", "plpy", "plperl", "pltcl"}) {
    error.raised = error.raised || source.starts_with(language);
  }
  return error;
}

namespace {

/// What a log may hold of the server's words: the detail of a broken constraint shows the row, the
/// message of a wrong value the value, and what a function of the application raises may show
/// anything.
std::string logged_words(const ServerError& error) {
  const std::string_view state_class = std::string_view(error.sqlstate).substr(0, 2);
  if (state_class == "22") return "a value is refused (SQLSTATE " + error.sqlstate + ")";
  if (state_class == "P0" || error.raised) {
    return "a function in the database raised an error (SQLSTATE " + error.sqlstate + ")";
  }
  if (state_class == "23" || error.detail.empty()) return error.message;
  return error.message + " (" + error.detail + ")";
}

}  // namespace

std::optional<Refusal> refusal_of(const ServerError& error) {
  const std::string reason =
      error.message + (error.detail.empty() ? "" : " (" + error.detail + ")");
  const std::string logged = logged_words(error);
  if (error.sqlstate == "23505") return Refusal{Refusal::Kind::unique, reason, logged};
  if (error.sqlstate == "23502") return Refusal{Refusal::Kind::not_null, reason, logged};
  // Of two rows that exclude each other without being equal neither has to go: the one that came
  // waits, as a row does that a check refuses.
  if (error.sqlstate == "23514" || error.sqlstate == "23P01") {
    return Refusal{Refusal::Kind::check, reason, logged};
  }
  if (error.sqlstate == "23503" || error.sqlstate == "23001") {
    return Refusal{Refusal::Kind::foreign_key, reason, logged};
  }
  if (error.sqlstate.starts_with("22")) return Refusal{Refusal::Kind::type, reason};
  // RAISE in a trigger of the application is a check of its own.
  if (error.sqlstate.starts_with("P0")) return Refusal{Refusal::Kind::check, reason, logged};
  return std::nullopt;
}

Connection::Connection(std::string node_name, const std::string& url,
                       std::chrono::milliseconds lock_timeout)
    : node_name_(std::move(node_name)), lock_timeout_(lock_timeout) {
  try {
    driver_ = std::make_unique<Driver>(url);
    handle_ = driver_->handle();
  } catch (const pqxx::failure& error) {
    const std::string words = first_line(error.what());
    throw Error(ExitCode::unreachable, "node " + node_name_ + ": cannot connect: " + words,
                login_hint(words), true);
  }
  line_.descriptor = ::fcntl(PQsocket(handle_), F_DUPFD_CLOEXEC, 0);
  PQsetNoticeProcessor(
      handle_, [](void*, const char*) {}, nullptr);
  configure();
}

Connection::~Connection() = default;

Connection::Line::~Line() {
  if (descriptor >= 0) ::close(descriptor);
}

void Connection::cut() noexcept {
  if (line_.descriptor >= 0) ::shutdown(line_.descriptor, SHUT_RDWR);
}

void Connection::configure() {
  const int version = PQserverVersion(handle_);
  if (version < kOldestServer) {
    throw Error(ExitCode::not_ready,
                "node " + node_name_ + ": the server is PostgreSQL " +
                    std::to_string(version / 10000) + ", too old",
                "Tidemark needs PostgreSQL 15 or later.");
  }
  execute(std::string(kSettings) + "SET lock_timeout = " + std::to_string(lock_timeout_.count()) +
          ";SET application_name = 'tidemark'");
  const char* encoding = PQparameterStatus(handle_, "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    throw Error(ExitCode::not_ready,
                "node " + node_name_ + ": the database is encoded in " +
                    (encoding != nullptr ? encoding : "something unknown"),
                "Only databases in UTF8 can take part: dump it and restore it into one made with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.");
  }
}

void Connection::begin(const std::string& sql) {
  ++transaction_;
  waits_in_vain_ = 0;
  execute(sql);
}

bool Connection::in_transaction() const {
  const PGTransactionStatusType status = PQtransactionStatus(handle_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR || status == PQTRANS_ACTIVE;
}

std::string Connection::ssl_mode() const {
  PQconninfoOption* options = PQconninfo(handle_);
  std::string mode;
  for (const PQconninfoOption* option = options; option && option->keyword; ++option) {
    if (std::string_view(option->keyword) == "sslmode" && option->val != nullptr)
      mode = option->val;
  }
  PQconninfoFree(options);
  return mode;
}

std::string Connection::host() const {
  const char* host = PQhost(handle_);
  const std::string name = host != nullptr ? host : "";
  const std::string at = address();
  return at.empty() || at == name ? name : name + " (" + at + ")";
}

std::string Connection::address() const {
  const char* address = PQhostaddr(handle_);
  return address != nullptr ? address : "";
}

// By the address and not by the name, which may stand for any (hostaddr, /etc/hosts).
bool Connection::is_local() const {
  const std::string at = address();
  return at.empty() || at == "::1" || at.starts_with("127.") || at.starts_with("::ffff:127.");
}

bool Connection::is_broken() const { return PQstatus(handle_) != CONNECTION_OK; }

Rows Connection::checked(PGresult* result) {
  Rows rows(result);
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      return rows;
    default:
      fail(server_error(result, handle_), "a statement failed");
  }
}

void Connection::execute(const std::string& sql) { checked(PQexec(handle_, sql.c_str())); }

namespace {

std::vector<const char*> pointers(const Parameters& parameters) {
  std::vector<const char*> result;
  result.reserve(parameters.size());
  for (const Parameter& parameter : parameters) {
    result.push_back(parameter ? parameter->c_str() : nullptr);
  }
  return result;
}

}  // namespace

Rows Connection::query(const std::string& sql, const Parameters& parameters) {
  const auto values = pointers(parameters);
  return checked(PQexecParams(handle_, sql.c_str(), static_cast<int>(values.size()), nullptr,
                              values.data(), nullptr, nullptr, 1));
}

Rows Connection::run_prepared(const std::string& sql, const Parameters& parameters) {
  const auto prepared = prepared_.find(sql);
  if (prepared == prepared_.end()) return std::move(run_all({{sql, parameters}}).front());
  const auto values = pointers(parameters);
  return checked(PQexecPrepared(handle_, prepared->second.c_str(), static_cast<int>(values.size()),
                                values.data(), nullptr, nullptr, 1));
}

std::vector<Rows> Connection::run_all(const std::vector<Statement>& statements) {
  // What the server will answer, in this order; nullptr where a statement only becomes prepared.
  struct Expected {
    const Statement* prepared = nullptr;
    std::string name;
  };
  std::vector<Expected> expected;
  std::map<std::string_view, std::string> made;
  std::vector<Rows> results;
  std::optional<ServerError> error;

  bool sent = PQenterPipelineMode(handle_) == 1;
  for (const Statement& statement : statements) {
    const auto values = pointers(statement.parameters);
    const int count = static_cast<int>(values.size());
    std::string name;
    if (const auto found = prepared_.find(statement.sql); found != prepared_.end()) {
      name = found->second;
    } else if (const auto again = made.find(statement.sql); again != made.end()) {
      name = again->second;
    } else {
      name = "t" + std::to_string(++last_prepared_);
      sent = sent && PQsendPrepare(handle_, name.c_str(), statement.sql.c_str(), count, nullptr);
      expected.push_back({.prepared = &statement, .name = name});
      made.emplace(statement.sql, name);
    }
    sent = sent && PQsendQueryPrepared(handle_, name.c_str(), count, values.data(), nullptr,
                                       nullptr, 1) == 1;
    expected.push_back({});
  }
  sent = sent && PQpipelineSync(handle_) == 1;
  for (std::size_t i = 0; sent && i < expected.size(); ++i) {
    PGresult* result = PQgetResult(handle_);
    Rows rows(result);
    switch (PQresultStatus(result)) {
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
        if (expected[i].prepared != nullptr) {
          prepared_.emplace(expected[i].prepared->sql, expected[i].name);
        } else {
          results.push_back(std::move(rows));
        }
        break;
      case PGRES_PIPELINE_ABORTED:
        break;
      default:
        if (!error) error = server_error(result, handle_);
    }
    // A nullptr ends the results of each statement.
    if (result != nullptr && PQgetResult(handle_) != nullptr) sent = false;
  }
  if (sent) PQclear(PQgetResult(handle_));  // the answer to the sync
  if (!error &&
      (!sent || results.size() != statements.size() || PQexitPipelineMode(handle_) != 1)) {
    error = server_error(nullptr, handle_);
  }
  if (error) {
    PQexitPipelineMode(handle_);
    fail(*error, "a statement failed");
  }
  return results;
}

std::optional<Refusal> Connection::run_or_refuse(const std::string& sql,
                                                 const Parameters& parameters,
                                                 std::int64_t& affected) {
  execute("SAVEPOINT tidemark_row");
  const auto values = pointers(parameters);
  PGresult* result = PQexecParams(handle_, sql.c_str(), static_cast<int>(values.size()), nullptr,
                                  values.data(), nullptr, nullptr, 1);
  const Rows rows(result);
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
    affected = rows.affected();
    execute("RELEASE SAVEPOINT tidemark_row");
    return std::nullopt;
  }
  const ServerError error = server_error(result, handle_);
  std::optional<Refusal> refusal = refusal_of(error);
  const bool can_go_on =
      refusal || error.sqlstate == kLockNotAvailable || is_collision(error.sqlstate);
  if (!can_go_on) fail(error, "a row could not be written");
  execute("ROLLBACK TO SAVEPOINT tidemark_row; RELEASE SAVEPOINT tidemark_row");
  fail_if_locked(error);
  if (!refusal) fail(error, "a row could not be written");
  return refusal;
}

bool Connection::try_run(const std::string& sql, std::int64_t& affected) {
  PGresult* result = PQexec(handle_, sql.c_str());
  const Rows rows(result);
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
    affected = rows.affected();
    return true;
  }
  const ServerError error = server_error(result, handle_);
  fail_if_locked(error);
  if (!refusal_of(error)) fail(error, "rows could not be written");
  return false;
}

void Connection::begin_copy(const std::string& sql) {
  PGresult* result = PQexec(handle_, sql.c_str());
  const Rows started(result);
  if (PQresultStatus(result) != PGRES_COPY_IN) fail(server_error(result, handle_), "COPY failed");
}

void Connection::put_copy(std::string_view data) {
  constexpr std::size_t kPiece = 1u << 20;
  for (std::size_t at = 0; at < data.size(); at += kPiece) {
    const std::size_t size = std::min(kPiece, data.size() - at);
    // What went wrong is told at the end.
    if (PQputCopyData(handle_, data.data() + at, static_cast<int>(size)) != 1) return;
  }
}

std::optional<ServerError> Connection::end_copy() {
  PQputCopyEnd(handle_, nullptr);
  std::optional<ServerError> refused;
  while (PGresult* result = PQgetResult(handle_)) {
    const Rows answer(result);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) continue;
    ServerError error = server_error(result, handle_);
    if (!refusal_of(error)) fail(error, "COPY failed");
    refused = std::move(error);
  }
  return refused;
}

std::optional<ServerError> Connection::copy_in(const std::string& sql, std::string_view data) {
  begin_copy(sql);
  put_copy(data);
  return end_copy();
}

void Connection::fail_if_locked(const ServerError& error) {
  if (error.sqlstate != kLockNotAvailable) return;
  if (++waits_in_vain_ > kMostWaits) fail(error, "a row could not be written");
  throw RowLocked(
      "node " + node_name_ + ": a row is locked by another transaction (" + error.message + ")",
      "End that transaction: pg_stat_activity and pg_prepared_xacts tell which are "
      "open, and for how long. Then try again.");
}

void Connection::fail(const ServerError& error, std::string_view action) const {
  const std::string where = "node " + node_name_ + ": ";
  const std::string words = error.message + (error.detail.empty() ? "" : " (" + error.detail + ")");
  const std::string& state = error.sqlstate;
  const std::string_view state_class = std::string_view(state).substr(0, 2);
  if (is_collision(state)) {
    throw Collision(where + "another transaction wrote the same rows (" + words + ")",
                    "Nothing was written; run the session again.");
  }
  if (state == kLockNotAvailable) {
    throw Error(ExitCode::locked, where + "something is locked by another program (" + words + ")",
                "Try again when the other program is done, or raise lock_timeout.", true);
  }
  if (state == "42501" && words.find("row-level security") != std::string::npos) {
    throw Error(
        ExitCode::not_ready, where + "row-level security hides rows from our role (" + words + ")",
        "Rows that are hidden must not be taken for deleted: let a role with BYPASSRLS, or the "
        "owner of the table, run the sessions.");
  }
  if (state == "42501" && words.find("must be owner") != std::string::npos) {
    throw Error(ExitCode::not_ready, where + words,
                "Run 'tidemark activate', which works as the owner: set owner for the node.");
  }
  if (state == "42501") {
    throw Error(
        ExitCode::not_ready, where + words,
        "'tidemark activate --dry-run' prints the grants that the role of the sessions needs.");
  }
  if (state == "25006") {
    throw Error(ExitCode::not_ready, where + "the database is read-only (" + words + ")",
                "A standby cannot take part, and default_transaction_read_only must be off for our "
                "role: ALTER ROLE ... SET default_transaction_read_only = off.");
  }
  if (state.empty() || state_class == "08" || state_class == "57") {
    throw Error(ExitCode::unreachable, where + "the connection broke: " + words,
                "Nothing is half done: run the session again when the server is there.", true);
  }
  if (state_class == "53") {
    throw Error(ExitCode::failed, where + words,
                "Free resources on the server and run the session again; nothing was half done.",
                true);
  }
  if (state == "0A000" && words.find("cached plan") != std::string::npos) {
    throw Error(ExitCode::failed, where + "the schema changed during the session",
                "Run the session again.", true);
  }
  throw Error(ExitCode::failed, where + std::string(action) + ": " + words,
              "Run 'tidemark check' to see what is wrong with this node.")
      .logged_as(where + std::string(action) + ": " + logged_words(error));
}

}  // namespace tidemark::postgresql
