#include "engines/sqlite/streams.h"

#include <utility>

namespace tidemark::sqlite {
namespace {

Version version_of(const Statement& statement, Origins& origins) {
  return {.changed_at_us = statement.integer(0),
          .origin = origins.origin(statement.integer(1)),
          .sequence = statement.integer(2),
          .inserted = (statement.integer(3) & VersionRecord::kInserted) != 0};
}

class ScannedChanges final : public RowStream {
 public:
  ScannedChanges(Connection& connection, Origins& origins, const TableSpec& spec,
                 const TableSql& sql, KnownSequences known)
      : known_(std::move(known)),
        reader_(spec, origins),
        statement_(connection, sql.select_changes()) {
    statement_.bind_pointer(1, &known_, KnownSequences::kType);
  }

  bool next(ChangedRow& row) override {
    if (done_ || !statement_.step()) {
      done_ = true;  // another step would start anew
      return false;
    }
    reader_.read(statement_, row);
    return true;
  }

 private:
  KnownSequences known_;
  ChangeReader reader_;
  Statement statement_;
  bool done_ = false;
};

class RecentChanges final : public RowStream {
 public:
  RecentChanges(Connection& connection, Origins& origins, const TableSpec& spec,
                const TableSql& sql, KnownSequences known)
      : reader_(spec, origins), statement_(connection, sql.select_change()) {
    // The keys alone are sorted and kept: rows may be large.
    Statement keys(connection, sql.select_recent_keys());
    keys.bind_pointer(1, &known, KnownSequences::kType);
    while (keys.step()) {
      Row key;
      for (int i = 0; i < keys.column_count(); ++i) key.emplace_back(keys.value(i));
      keys_.push_back(std::move(key));
    }
  }

  bool next(ChangedRow& row) override {
    statement_.reset();
    if (at_ == keys_.size()) return false;
    int position = 1;
    for (const Value& value : keys_[at_]) statement_.bind(position++, value.view());
    ++at_;
    if (!statement_.step()) return false;
    reader_.read(statement_, row);
    return true;
  }

 private:
  ChangeReader reader_;
  Statement statement_;
  std::vector<Row> keys_;
  std::size_t at_ = 0;
};

class MergedRows final : public RowStream {
 public:
  MergedRows(Connection& connection, Origins& origins, const TableSpec& spec, const TableSql& sql)
      : key_(spec.key),
        integer_key_(spec.integer_key),
        order_(spec),
        origins_(origins),
        rows_(connection, sql.select_all()),
        versions_(connection, sql.select_versions()),
        row_(spec.columns.size()),
        row_key_(spec.key.size()),
        version_key_(spec.key.size()) {
    step_rows();
    step_versions();
  }

  bool next(ChangedRow& row) override {
    if (used_row_) step_rows();
    if (used_version_) step_versions();
    used_row_ = has_row_;
    used_version_ = has_version_;
    if (!has_row_ && !has_version_) return false;
    if (has_row_ && has_version_) {
      const std::weak_ordering order = compare();
      used_row_ = order <= 0;
      used_version_ = order >= 0;
    }
    row = {};
    row.present = used_row_;
    if (used_row_) {
      row.key = row_key_;
      row.row = row_;
    } else {
      row.key = version_key_;
    }
    if (used_version_) row.version = version_of(versions_, origins_);
    return true;
  }

 private:
  std::weak_ordering compare() const {
    if (integer_key_) return row_key_.front().integer <=> version_key_.front().integer;
    return order_.compare(row_key_, version_key_);
  }

  void step_rows() {
    if (rows_done_) return;
    has_row_ = rows_.step();
    rows_done_ = !has_row_;
    if (!has_row_) return;
    for (std::size_t i = 0; i < row_.size(); ++i) row_[i] = rows_.value(static_cast<int>(i));
    for (std::size_t i = 0; i < key_.size(); ++i) row_key_[i] = row_[key_[i]];
  }

  void step_versions() {
    if (versions_done_) return;
    has_version_ = versions_.step();
    versions_done_ = !has_version_;
    if (!has_version_) return;
    for (std::size_t i = 0; i < version_key_.size(); ++i) {
      version_key_[i] = versions_.value(static_cast<int>(i) + 4);
    }
  }

  const std::vector<std::size_t> key_;
  const bool integer_key_;
  const KeyOrder order_;
  Origins& origins_;
  Statement rows_;
  Statement versions_;
  std::vector<ValueView> row_;
  std::vector<ValueView> row_key_;
  std::vector<ValueView> version_key_;
  bool has_row_ = false;
  bool has_version_ = false;
  bool rows_done_ = false;
  bool versions_done_ = false;
  bool used_row_ = false;
  bool used_version_ = false;
};

}  // namespace

ChangeReader::ChangeReader(const TableSpec& spec, Origins& origins)
    : key_(spec.key),
      origins_(origins),
      key_values_(spec.key.size()),
      row_values_(spec.columns.size()) {}

void ChangeReader::read(const Statement& statement, ChangedRow& row) {
  const int first_column = 4 + static_cast<int>(key_.size());
  row = {};
  row.version = version_of(statement, origins_);
  for (std::size_t i = 0; i < row_values_.size(); ++i) {
    row_values_[i] = statement.value(first_column + static_cast<int>(i));
  }
  // A row that was found has a key without NULL.
  row.present = row_values_[key_.front()].kind != ValueKind::null;
  for (std::size_t i = 0; i < key_.size(); ++i) {
    key_values_[i] = row.present ? row_values_[key_[i]] : statement.value(4 + static_cast<int>(i));
  }
  row.key = key_values_;
  if (row.present) row.row = row_values_;
}

std::unique_ptr<RowStream> scan_changes(Connection& connection, Origins& origins,
                                        const TableSpec& spec, const TableSql& sql,
                                        KnownSequences known) {
  return std::make_unique<ScannedChanges>(connection, origins, spec, sql, std::move(known));
}

std::unique_ptr<RowStream> recent_changes(Connection& connection, Origins& origins,
                                          const TableSpec& spec, const TableSql& sql,
                                          KnownSequences known) {
  return std::make_unique<RecentChanges>(connection, origins, spec, sql, std::move(known));
}

std::unique_ptr<RowStream> merge_rows_and_versions(Connection& connection, Origins& origins,
                                                   const TableSpec& spec, const TableSql& sql) {
  return std::make_unique<MergedRows>(connection, origins, spec, sql);
}

}  // namespace tidemark::sqlite
