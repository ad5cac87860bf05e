// Connection is one session with a PostgreSQL server, set up the way Tidemark works: values printed
// in one form whatever the server's configuration says, nothing found through search_path, and row
// level security an error instead of a filter. libpqxx makes the connection and runs what defines
// and controls; rows move through libpq itself, in binary form, which libpqxx 6.4 does not offer.
// Used by one thread at a time. A connection that broke stays broken: libpqxx would open another
// one without our settings, snapshot and locks. Failures are Errors that name the node.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "model/error.h"
#include "model/version.h"

namespace tidemark::postgresql {

/// What the server said about a statement that failed.
struct ServerError {
  std::string sqlstate;  // empty when the connection broke
  bool raised = false;   // the words are those of a function of the application
  std::string message;   // the server's first line
  std::string detail;
  std::string context;
  std::string constraint;
  std::string column;
};

/// A result in binary form. Movable; values are views into it.
class Rows {
 public:
  Rows() = default;
  explicit Rows(PGresult* result) : result_(result) {}

  int size() const { return PQntuples(result_.get()); }
  bool empty() const { return size() == 0; }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  /// The bytes of a value in the server's binary form: of text its characters, of bytea its bytes.
  std::string_view bytes(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  /// Of smallint, integer, bigint, oid and boolean.
  std::int64_t integer(int row, int column) const;
  double real(int row, int column) const;
  bool boolean(int row, int column) const { return integer(row, column) != 0; }
  std::string text(int row, int column) const { return std::string(bytes(row, column)); }
  /// Of uuid and of a bytea with 16 bytes.
  Uuid uuid(int row, int column) const { return Uuid::from_bytes(bytes(row, column)); }
  /// What the server says that it did: "COMMIT".
  std::string_view command() const { return PQcmdStatus(result_.get()); }
  /// Rows that INSERT, UPDATE, DELETE or COPY touched.
  std::int64_t affected() const;

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

/// Of one (unsigned: boolean), two, four or eight bytes.
std::int64_t read_integer(std::string_view bytes);
double read_real(std::string_view bytes);

/// A parameter in text form; nothing is NULL.
using Parameter = std::optional<std::string>;
using Parameters = std::vector<Parameter>;

/// A statement that runs often, with its parameters.
struct Statement {
  std::string sql;
  Parameters parameters = {};
};

class Connection {
 public:
  /// Throws Error unreachable (host, database, login), not_ready (server too old, encoding).
  Connection(std::string node_name, const std::string& url, std::chrono::milliseconds lock_timeout);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::string& node_name() const { return node_name_; }

  /// Runs one or more statements that return nothing of interest.
  void execute(const std::string& sql);
  /// One statement; parameters are $1, $2 ...
  Rows query(const std::string& sql, const Parameters& parameters = {});
  /// The same for a statement that runs often: prepared once and kept.
  Rows run_prepared(const std::string& sql, const Parameters& parameters);
  /// Several of them on one way to the server and back; their results in the same order. They run
  /// one after the other, and none after one that failed.
  std::vector<Rows> run_all(const std::vector<Statement>& statements);
  /// The same, but a row that a constraint or a type refuses is a value and not an Error. Only
  /// inside a transaction: a savepoint keeps it usable, also when RowLocked or Collision is thrown.
  std::optional<Refusal> run_or_refuse(const std::string& sql, const Parameters& parameters,
                                       std::int64_t& affected);

  /// One statement about many rows. False when it was refused for one of them; the transaction is
  /// then, and when RowLocked or Collision is thrown, good for nothing but a rollback to a
  /// savepoint.
  bool try_run(const std::string& sql, std::int64_t& affected);

  // COPY ... FROM STDIN, text form: begun, fed in pieces of any size while the server works, and
  // ended. In between the connection can be asked nothing else.
  void begin_copy(const std::string& sql);
  void put_copy(std::string_view data);
  /// Returns what the server said when it refused the rows; the transaction (if any) is then
  /// broken.
  std::optional<ServerError> end_copy();
  /// The three in one.
  std::optional<ServerError> copy_in(const std::string& sql, std::string_view data);

  /// Begins a transaction with the statements of `sql`; counts it.
  void begin(const std::string& sql);
  /// Another number for every transaction: what was made in one is gone with it.
  std::int64_t transaction() const { return transaction_; }
  bool in_transaction() const;
  /// True when the server can be asked no more.
  bool is_broken() const;
  PGconn* handle() const { return handle_; }
  /// Cuts the line, from any thread: whatever waits for the server fails at once.
  void cut() noexcept;
  /// The server runs on this machine.
  bool is_local() const;
  /// As the url calls the server, with its address.
  std::string host() const;
  /// How the connection was secured, as asked for.
  std::string ssl_mode() const;

  [[noreturn]] void fail(const ServerError& error, std::string_view action) const;

  /// As configured; 0: without end.
  std::chrono::milliseconds lock_timeout() const { return lock_timeout_; }

 private:
  class Driver;

  Rows checked(PGresult* result);
  void configure();
  void fail_if_locked(const ServerError& error);
  /// Empty for a Unix socket.
  std::string address() const;

  std::string node_name_;
  const std::chrono::milliseconds lock_timeout_;
  std::unique_ptr<Driver> driver_;
  PGconn* handle_ = nullptr;  // owned by driver_
  /// The socket of the connection once more: libpq may close its own at any time.
  struct Line {
    Line() = default;
    ~Line();
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    int descriptor = -1;
  };
  Line line_;
  std::map<std::string, std::string> prepared_;  // by the statement
  std::int64_t last_prepared_ = 0;
  std::int64_t transaction_ = 0;
  int waits_in_vain_ = 0;  // in the transaction: for locked rows
};

/// The refusal that an error of a written row is, if it is one.
std::optional<Refusal> refusal_of(const ServerError& error);
ServerError server_error(const PGresult* result, const PGconn* connection);

}  // namespace tidemark::postgresql
