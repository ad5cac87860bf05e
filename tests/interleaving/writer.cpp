#include "tests/interleaving/writer.h"

#include <poll.h>

#include <stdexcept>

namespace tidemark::interleaving {
namespace {

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

std::unique_ptr<PGconn, decltype(&PQfinish)> connect(const std::string& url) {
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(url.c_str()), &PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    throw std::runtime_error(PQerrorMessage(connection.get()));
  }
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  return connection;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

/// Long enough for an answer, short enough to look often whether a lock is waited for.
constexpr int kMoment_ms = 3;
constexpr int kMoments = 5000;

}  // namespace

Monitor::Monitor(const std::string& url) : connection_(connect(url)) {}

std::vector<std::vector<std::string>> Monitor::rows(const std::string& sql) {
  const Result result(PQexec(connection_.get(), sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(PQerrorMessage(connection_.get()) + sql);
  }
  std::vector<std::vector<std::string>> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      rows.back().emplace_back(PQgetvalue(result.get(), row, column));
    }
  }
  return rows;
}

bool Monitor::is_blocked(int backend, const std::vector<int>& others) {
  std::string list = "0";  // a prepared transaction has no backend
  for (const int other : others) list += "," + std::to_string(other);
  return rows("SELECT pg_blocking_pids(" + std::to_string(backend) + ") && ARRAY[" + list +
              "]")[0][0] == "t";
}

int Monitor::backend_of(const std::string& application) {
  const auto found = rows("SELECT pid FROM pg_stat_activity WHERE application_name = '" +
                          application + "' AND datname = current_database()");
  if (found.size() != 1) throw std::runtime_error("not one connection of " + application);
  return std::stoi(found[0][0]);
}

// PREPARE TRANSACTION changes neither what anybody sees nor which locks are held, so it stands in
// one step with the write before it; so do savepoints, which are a transaction's own business.
const std::vector<Script>& scripts() {
#define LOOK "SELECT id, name FROM item WHERE id IN ({key}, {own}) FOR UPDATE;"
#define WRITE                                            \
  "UPDATE item SET name = '{name}' WHERE id IN ({key});" \
  "UPDATE item SET name = '{name}' WHERE id = {own};"
  static const std::vector<Script> all{
      {"update", {LOOK WRITE, "COMMIT"}},
      {"twice",
       {"SELECT id, name FROM item WHERE id = {key} FOR UPDATE;"
        "UPDATE item SET name = '{name}' WHERE id = {key}",
        "SELECT id, name FROM item WHERE id = {own} FOR UPDATE;"
        "UPDATE item SET name = '{name}' WHERE id = {own}",
        "COMMIT"}},
      {"rollback", {LOOK WRITE, "ROLLBACK"}, false},
      {"delete",
       {LOOK "DELETE FROM item WHERE id = {key}; UPDATE item SET name = '{name}' WHERE id = {own}",
        "COMMIT"}},
      {"insert",
       {LOOK "INSERT INTO item VALUES ({key} + 4, '{name}');"
             "UPDATE item SET name = '{name}' WHERE id = {own}",
        "COMMIT"}},
      {"savepoint",
       {LOOK "SAVEPOINT s; UPDATE item SET name = 'undone' WHERE id IN ({key}, {own});"
             "ROLLBACK TO s;" WRITE "SAVEPOINT s;"
             "INSERT INTO item VALUES ({own} + 4, 'undone'); ROLLBACK TO s",
        "COMMIT"}},
      {"prepared", {LOOK WRITE "PREPARE TRANSACTION '{name}'", "COMMIT PREPARED '{name}'"}},
      {"undone", {LOOK WRITE "PREPARE TRANSACTION '{name}'", "ROLLBACK PREPARED '{name}'"}, false},
      {"moved",
       {LOOK "UPDATE item SET id = {key} + 6, name = '{name}' WHERE id = {key};"
             "UPDATE item SET name = '{name}' WHERE id = {own}",
        "COMMIT"}},
  };
#undef WRITE
#undef LOOK
  return all;
}

Writer::Writer(const std::string& url, Monitor& monitor)
    : connection_(connect(url)), monitor_(monitor) {}

void Writer::begin(const Role& role) {
  role_ = role;
  next_ = 0;
  waiting_ = false;
  failed_ = false;
  seen_.clear();
}

std::string Writer::next_step() const {
  std::string sql = role_.script->steps[next_];
  replace_all(sql, "{key}", std::to_string(role_.key));
  replace_all(sql, "{own}", std::to_string(role_.own));
  replace_all(sql, "{name}", role_.name);
  return sql;
}

void Writer::step() {
  // BEGIN takes neither a snapshot nor a lock, so it stands in one step with the first write.
  std::string sql = (next_ == 0 ? "BEGIN;" : "") + next_step();
  if (failed_) sql = "ROLLBACK";
  ++next_;
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1) {
    throw std::runtime_error(PQerrorMessage(connection_.get()));
  }
  waiting_ = true;
  settle();
}

bool Writer::settle() {
  if (!waiting_) return true;
  for (int moment = 0; moment < kMoments; ++moment) {
    pollfd answer{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
    // The answer comes in pieces, one for each statement.
    if (::poll(&answer, 1, kMoment_ms) == 1) PQconsumeInput(connection_.get());
    if (PQisBusy(connection_.get()) == 0) {
      take_results();
      waiting_ = false;
      return true;
    }
    if (monitor_.is_blocked(backend(), others_)) return false;
  }
  throw std::runtime_error("a writer neither gets an answer nor waits for a lock");
}

void Writer::take_results() {
  while (PGresult* each = PQgetResult(connection_.get())) {
    const Result result(each, &PQclear);
    const ExecStatusType status = PQresultStatus(each);
    if (status == PGRES_TUPLES_OK) {
      for (int row = 0; row < PQntuples(each); ++row) {
        seen_[std::stoi(PQgetvalue(each, row, 0))] = PQgetvalue(each, row, 1);
      }
    } else if (status != PGRES_COMMAND_OK) {
      const char* state = PQresultErrorField(each, PG_DIAG_SQLSTATE);
      if (state == nullptr || std::string(state) != "23505") {
        throw std::runtime_error("a writer failed: " + std::string(PQresultErrorMessage(each)));
      }
      failed_ = true;
    }
  }
}

}  // namespace tidemark::interleaving
