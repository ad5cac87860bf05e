#include "engines/postgresql/streams.h"

#include <atomic>

namespace tidemark::postgresql {
namespace {

constexpr int kFetched = 5000;

/// changed_at_us, origin, sequence, flags from `first` on.
Version version_of(const Tuples& tuples, int first, const Origins& origins) {
  return {.changed_at_us = tuples.integer(first),
          .origin = origins.listed(tuples.integer(first + 1)),
          .sequence = tuples.integer(first + 2),
          .inserted = (tuples.integer(first + 3) & kInsertedFlag) != 0};
}

class ChangedRows final : public RowStream {
 public:
  ChangedRows(Connection& connection, Origins& origins, std::shared_ptr<const TableSql> sql,
              const std::string& versions_and_rows)
      : origins_(origins),
        sql_(std::move(sql)),
        tuples_(connection, "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " +
                                sql_->control_key_output("v.") + ", " + sql_->output("t.") +
                                " FROM " + versions_and_rows + " ORDER BY " +
                                sql_->control_key_order("v.")),
        key_(sql_->spec().key.size()),
        row_(sql_->spec().columns.size()) {}

  bool next(ChangedRow& row) override {
    if (!tuples_.next()) return false;
    row = {};
    row.version = version_of(tuples_, 0, origins_);
    for (std::size_t i = 0; i < key_.size(); ++i) {
      key_[i] = sql_->decode_key_part(i, tuples_.bytes(4 + static_cast<int>(i)));
    }
    const int first = 4 + static_cast<int>(key_.size());
    // A row that was found has a key.
    row.present = !tuples_.is_null(first + static_cast<int>(sql_->spec().key.front()));
    row.key = key_;
    if (!row.present) return true;
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const int column = first + static_cast<int>(i);
      row_[i] =
          tuples_.is_null(column) ? ValueView::of_null() : sql_->decode(i, tuples_.bytes(column));
    }
    row.row = row_;
    return true;
  }

 private:
  const Origins& origins_;
  const std::shared_ptr<const TableSql> sql_;
  CopyOut tuples_;
  std::vector<ValueView> key_;
  std::vector<ValueView> row_;
};

class AllRows final : public RowStream {
 public:
  AllRows(Origins& origins, std::shared_ptr<const TableSql> sql, std::unique_ptr<Tuples> rows,
          std::unique_ptr<Tuples> versions)
      : origins_(origins),
        sql_(std::move(sql)),
        order_(sql_->spec()),
        rows_(std::move(rows)),
        versions_(std::move(versions)),
        row_(sql_->spec().columns.size()),
        row_key_(sql_->spec().key.size()),
        version_key_(sql_->spec().key.size()) {}

  bool next(ChangedRow& row) override {
    if (used_row_) step_rows();
    if (used_version_) step_versions();
    if (!has_row_ && !has_version_) return false;
    std::weak_ordering side = std::weak_ordering::less;
    if (!has_row_) {
      side = std::weak_ordering::greater;
    } else if (has_version_) {
      side = order_.compare(row_key_, version_key_);
    }
    used_row_ = side <= 0;
    used_version_ = side >= 0;
    row = {};
    row.present = used_row_;
    row.key = used_row_ ? row_key_ : version_key_;
    if (used_row_) row.row = row_;
    if (used_version_) {
      row.version = version_of(*versions_, 0, origins_);
    }
    return true;
  }

 private:
  void step_rows() {
    has_row_ = rows_->next();
    if (!has_row_) return;
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const int column = static_cast<int>(i);
      row_[i] =
          rows_->is_null(column) ? ValueView::of_null() : sql_->decode(i, rows_->bytes(column));
    }
    for (std::size_t i = 0; i < row_key_.size(); ++i) row_key_[i] = row_[sql_->spec().key[i]];
  }

  void step_versions() {
    has_version_ = versions_ != nullptr && versions_->next();
    if (!has_version_) return;
    for (std::size_t i = 0; i < version_key_.size(); ++i) {
      version_key_[i] = sql_->decode_key_part(i, versions_->bytes(4 + static_cast<int>(i)));
    }
  }

  const Origins& origins_;
  const std::shared_ptr<const TableSql> sql_;
  const KeyOrder order_;
  const std::unique_ptr<Tuples> rows_;
  const std::unique_ptr<Tuples> versions_;  // null: there are none
  std::vector<ValueView> row_;
  std::vector<ValueView> row_key_;
  std::vector<ValueView> version_key_;
  bool has_row_ = false;
  bool has_version_ = false;
  bool used_row_ = true;  // both streams start with a step
  bool used_version_ = true;
};

}  // namespace

Cursor::Cursor(Connection& connection, const std::string& sql)
    : connection_(connection), transaction_(connection.transaction()) {
  static std::atomic<std::uint64_t> number{0};
  name_ = "tidemark_" + std::to_string(++number);
  connection_.query("DECLARE " + name_ + " NO SCROLL CURSOR FOR " + sql);
}

Cursor::~Cursor() {
  // Without a transaction there is no cursor any more, and a failed one takes no statement.
  if (connection_.is_broken() || transaction_ != connection_.transaction() ||
      PQtransactionStatus(connection_.handle()) != PQTRANS_INTRANS) {
    return;
  }
  PQclear(PQexec(connection_.handle(), ("CLOSE " + name_).c_str()));
}

bool Cursor::next() {
  if (++position_ < rows_.size()) return true;
  if (done_) return false;
  rows_ = connection_.query("FETCH " + std::to_string(kFetched) + " FROM " + name_);
  done_ = rows_.size() < kFetched;
  position_ = 0;
  return !rows_.empty();
}

CopyOut::CopyOut(Connection& connection, const std::string& sql) : connection_(connection) {
  PGresult* result =
      PQexec(connection.handle(), ("COPY (" + sql + ") TO STDOUT (FORMAT binary)").c_str());
  const Rows started(result);
  if (PQresultStatus(result) != PGRES_COPY_OUT) {
    connection.fail(server_error(result, connection.handle()), "a table could not be read");
  }
}

CopyOut::~CopyOut() {
  free_line();
  if (done_ || connection_.is_broken()) return;
  // Whoever does not want the rest does not want to wait for it either.
  if (PGcancel* cancel = PQgetCancel(connection_.handle())) {
    char message[256];
    PQcancel(cancel, message, sizeof message);
    PQfreeCancel(cancel);
  }
  while (PQgetCopyData(connection_.handle(), &line_, 0) > 0) free_line();
  while (PGresult* result = PQgetResult(connection_.handle())) PQclear(result);
}

void CopyOut::free_line() {
  PQfreemem(line_);
  line_ = nullptr;
}

bool CopyOut::next() {
  if (done_) return false;
  free_line();
  const int size = PQgetCopyData(connection_.handle(), &line_, 0);
  if (size < 0) {
    // The end of the rows comes as a tuple; without it the rows are not all.
    done_ = true;
    PGresult* result = PQgetResult(connection_.handle());
    const Rows answer(result);
    connection_.fail(server_error(result, connection_.handle()), "a table could not be read");
  }
  // The first piece begins with a signature of eleven bytes, flags, and the length of an extension.
  constexpr int kHeader = 19;
  const char* at = line_;
  const char* const end = line_ + size;
  if (!started_) at += kHeader;
  started_ = true;
  if (at == end) return next();
  const std::int64_t columns = read_integer({at, 2});
  at += 2;
  if (columns < 0) {
    done_ = true;
    free_line();
    char* rest = nullptr;
    PQgetCopyData(connection_.handle(), &rest, 0);
    while (PGresult* result = PQgetResult(connection_.handle())) {
      const Rows answer(result);
      if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        connection_.fail(server_error(result, connection_.handle()), "a table could not be read");
      }
    }
    return false;
  }
  fields_.resize(static_cast<std::size_t>(columns));
  for (auto& [data, length] : fields_) {
    length = static_cast<int>(read_integer({at, 4}));
    at += 4;
    data = at;
    if (length > 0) at += length;
  }
  return true;
}

std::unique_ptr<RowStream> changed_rows(Connection& connection, Origins& origins,
                                        std::shared_ptr<const TableSql> sql,
                                        const std::string& condition) {
  origins.load();
  const std::string from = sql->version() + " AS v LEFT JOIN " + sql->table() + " AS t ON " +
                           sql->key_is_control("t.", "v.") + " WHERE " + condition;
  return std::make_unique<ChangedRows>(connection, origins, std::move(sql), from);
}

// Entry by entry, each by its key: the server, which knows little of the list, may take it for long
// and read whole tables. An entry whose key was changed since meets no version.
std::unique_ptr<RowStream> recent_rows(Connection& connection, Origins& origins,
                                       std::shared_ptr<const TableSql> sql,
                                       const std::string& condition) {
  origins.load();
  const std::string from =
      "(SELECT DISTINCT " + sql->control_key("r.") + ", r.origin, r.sequence FROM " +
      recent_table(sql->id()) + " AS r WHERE " + condition +
      ") AS r CROSS JOIN LATERAL (SELECT * FROM " + sql->version() + " AS v WHERE " +
      sql->control_is_control("v.", "r.") +
      " AND v.origin = r.origin AND v.sequence = r.sequence LIMIT 1) AS v LEFT JOIN LATERAL "
      "(SELECT * FROM " +
      sql->table() + " AS t WHERE " + sql->key_is_control("t.", "v.") + " LIMIT 1) AS t ON true";
  return std::make_unique<ChangedRows>(connection, origins, std::move(sql), from);
}

std::unique_ptr<RowStream> all_rows(Connection& connection, Origins& origins,
                                    const std::shared_ptr<const TableSql>& sql,
                                    bool interruptible) {
  origins.load();
  const std::string rows = "SELECT " + sql->output("t.") + " FROM " + sql->table() +
                           " AS t ORDER BY " + sql->key_order("t.");
  const std::string versions = "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " +
                               sql->control_key_output("v.") + " FROM " + sql->version() +
                               " AS v ORDER BY " + sql->control_key_order("v.");
  const bool has_versions =
      connection.query("SELECT EXISTS (SELECT FROM " + sql->version() + ")").boolean(0, 0);
  if (!has_versions && !interruptible) {
    return std::make_unique<AllRows>(origins, sql, std::make_unique<CopyOut>(connection, rows),
                                     nullptr);
  }
  return std::make_unique<AllRows>(origins, sql, std::make_unique<Cursor>(connection, rows),
                                   std::make_unique<Cursor>(connection, versions));
}

}  // namespace tidemark::postgresql
