#include "engines/postgresql/streams.h"

#include <atomic>

namespace tidemark::postgresql {
namespace {

constexpr int kFetched = 5000;

/// changed_at_us, origin, sequence, flags from `first` on.
Version version_of(const Rows& rows, int row, int first, Origins& origins) {
  return {.changed_at_us = rows.integer(row, first),
          .origin = origins.origin(rows.integer(row, first + 1)),
          .sequence = rows.integer(row, first + 2),
          .inserted = (rows.integer(row, first + 3) & kInsertedFlag) != 0};
}

class ChangedRows final : public RowStream {
 public:
  ChangedRows(Connection& connection, Origins& origins, std::shared_ptr<const TableSql> sql,
              const std::string& condition)
      : origins_(origins),
        sql_(std::move(sql)),
        cursor_(connection, "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " +
                                sql_->control_key_output("v.") + ", " + sql_->output("t.") +
                                " FROM " + sql_->version() + " AS v LEFT JOIN " + sql_->table() +
                                " AS t ON " + sql_->key_is_control("t.", "v.") + " WHERE " +
                                condition + " ORDER BY " + sql_->control_key_order("v.")),
        key_(sql_->spec().key.size()),
        row_(sql_->spec().columns.size()) {}

  bool next(ChangedRow& row) override {
    if (!cursor_.next()) return false;
    const Rows& rows = cursor_.rows();
    const int at = cursor_.position();
    row = {};
    row.version = version_of(rows, at, 0, origins_);
    for (std::size_t i = 0; i < key_.size(); ++i) {
      key_[i] = sql_->decode_key_part(i, rows.bytes(at, 4 + static_cast<int>(i)));
    }
    const int first = 4 + static_cast<int>(key_.size());
    // A row that was found has a key.
    row.present = !rows.is_null(at, first + static_cast<int>(sql_->spec().key.front()));
    row.key = key_;
    if (!row.present) return true;
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const int column = first + static_cast<int>(i);
      row_[i] =
          rows.is_null(at, column) ? ValueView::of_null() : sql_->decode(i, rows.bytes(at, column));
    }
    row.row = row_;
    return true;
  }

 private:
  Origins& origins_;
  const std::shared_ptr<const TableSql> sql_;
  Cursor cursor_;
  std::vector<ValueView> key_;
  std::vector<ValueView> row_;
};

class AllRows final : public RowStream {
 public:
  AllRows(Connection& connection, Origins& origins, std::shared_ptr<const TableSql> sql)
      : origins_(origins),
        sql_(std::move(sql)),
        order_(sql_->spec()),
        rows_(connection, "SELECT " + sql_->output("t.") + " FROM " + sql_->table() +
                              " AS t ORDER BY " + sql_->key_order("t.")),
        versions_(connection, "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " +
                                  sql_->control_key_output("v.") + " FROM " + sql_->version() +
                                  " AS v ORDER BY " + sql_->control_key_order("v.")),
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
      row.version = version_of(versions_.rows(), versions_.position(), 0, origins_);
    }
    return true;
  }

 private:
  void step_rows() {
    has_row_ = rows_.next();
    if (!has_row_) return;
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const int column = static_cast<int>(i);
      row_[i] = rows_.rows().is_null(rows_.position(), column)
                    ? ValueView::of_null()
                    : sql_->decode(i, rows_.rows().bytes(rows_.position(), column));
    }
    for (std::size_t i = 0; i < row_key_.size(); ++i) row_key_[i] = row_[sql_->spec().key[i]];
  }

  void step_versions() {
    has_version_ = versions_.next();
    if (!has_version_) return;
    for (std::size_t i = 0; i < version_key_.size(); ++i) {
      version_key_[i] = sql_->decode_key_part(
          i, versions_.rows().bytes(versions_.position(), 4 + static_cast<int>(i)));
    }
  }

  Origins& origins_;
  const std::shared_ptr<const TableSql> sql_;
  const KeyOrder order_;
  Cursor rows_;
  Cursor versions_;
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

std::unique_ptr<RowStream> changed_rows(Connection& connection, Origins& origins,
                                        std::shared_ptr<const TableSql> sql,
                                        const std::string& condition) {
  return std::make_unique<ChangedRows>(connection, origins, std::move(sql), condition);
}

std::unique_ptr<RowStream> all_rows(Connection& connection, Origins& origins,
                                    std::shared_ptr<const TableSql> sql) {
  return std::make_unique<AllRows>(connection, origins, std::move(sql));
}

}  // namespace tidemark::postgresql
