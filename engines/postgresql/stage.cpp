#include "engines/postgresql/stage.h"

#include <algorithm>

namespace tidemark::postgresql {
namespace {

constexpr std::size_t kBatchBytes = 4u << 20;

}  // namespace

StagingTable::StagingTable(Connection& connection, std::shared_ptr<TableSql> sql, std::string name,
                           StageUse use)
    : connection_(connection),
      sql_(std::move(sql)),
      name_(std::move(name)),
      load_at_once_(!use.whole && !use.concurrent),
      spool_(sql_->spec().key, {.concurrent = use.concurrent}) {}

StagingTable::~StagingTable() {
  // In a transaction that failed nothing can be dropped; the session's end does it then.
  if (!created_ || connection_.is_broken() ||
      PQtransactionStatus(connection_.handle()) == PQTRANS_INERROR) {
    return;
  }
  PQclear(PQexec(connection_.handle(), ("DROP TABLE IF EXISTS " + name_).c_str()));
}

void StagingTable::finish() {
  spool_.finish();
  if (load_at_once_) load();
}

void StagingTable::load() {
  if (loaded_) return;
  loaded_ = true;
  create();
  batch_rows_ = std::make_unique<Spool>(sql_->spec().key, Spool::Options{});
  ChangedRow row;
  while (spool_.next(row)) {
    append(row);
    if (batch_.size() >= kBatchBytes) send();
  }
  send();
  batch_rows_.reset();
}

void StagingTable::create() {
  const TableSpec& spec = sql_->spec();
  std::string columns;
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    columns += ", c" + std::to_string(i + 1) + " " + sql_->column(i).type;
  }
  connection_.execute("CREATE TEMP TABLE " + name_.substr(name_.find('.') + 1) +
                      "(pos bigint, present boolean, revert boolean, changed_at_us bigint, origin "
                      "integer, sequence bigint, inserted boolean" +
                      columns + ")");
  created_ = true;
}

std::size_t StagingTable::origin_number(const OriginId& origin) {
  // Neighbours mostly come from one origin, and there are few.
  const auto found = std::find(origins_.rbegin(), origins_.rend(), origin);
  if (found != origins_.rend()) return static_cast<std::size_t>(origins_.rend() - found - 1);
  origins_.push_back(origin);
  return origins_.size() - 1;
}

void StagingTable::append(const ChangedRow& row) {
  const TableSpec& spec = sql_->spec();
  const std::size_t begin = batch_.size();
  const auto refuse = [&](const Refusal& refusal) {
    refused_.push_back({.key = to_row(row.key),
                        .row = to_row(row.row),
                        .version = row.version,
                        .revert = row.revert,
                        .refusal = refusal});
    batch_.resize(begin);
  };
  batch_ += std::to_string(++position_);
  batch_ += row.present ? "\tt" : "\tf";
  batch_ += row.revert ? "\tt" : "\tf";
  if (row.version) {
    batch_ += '\t' + std::to_string(row.version->changed_at_us);
    batch_ += '\t' + std::to_string(origin_number(row.version->origin));
    batch_ += '\t' + std::to_string(row.version->sequence);
    batch_ += row.version->inserted ? "\tt" : "\tf";
  } else {
    batch_ += "\t\\N\t\\N\t\\N\tf";
  }
  if (row.present) {
    for (std::size_t i = 0; i < row.row.size(); ++i) {
      const Encoded value = sql_->encode(i, row.row[i]);
      if (value.refusal) return refuse(*value.refusal);
      batch_ += '\t';
      append_copy_field(value.text, batch_);
    }
  } else {
    std::vector<Parameter> values(spec.columns.size());
    for (std::size_t i = 0; i < spec.key.size(); ++i) {
      Encoded value = sql_->encode_key_part(i, row.key[i]);
      // Nothing can be deleted here that cannot be here.
      if (value.refusal) return refuse(*value.refusal);
      values[spec.key[i]] = std::move(value.text);
    }
    for (const Parameter& value : values) {
      batch_ += '\t';
      append_copy_field(value, batch_);
    }
  }
  batch_ += '\n';
  lines_.push_back(begin);
  batch_rows_->add(row);
}

void StagingTable::send() {
  if (!lines_.empty()) send_lines(0, lines_.size());
  batch_.clear();
  lines_.clear();
  batch_rows_finished_ = false;
  batch_rows_ = std::make_unique<Spool>(sql_->spec().key, Spool::Options{});
}

// A row that the server refuses makes it refuse the whole COPY; halves are tried until the row is
// alone.
void StagingTable::send_lines(std::size_t first, std::size_t last) {
  const bool savepoint = connection_.in_transaction();
  if (savepoint) connection_.execute("SAVEPOINT tidemark_copy");
  const std::size_t begin = lines_[first];
  const std::size_t end = last == lines_.size() ? batch_.size() : lines_[last];
  const auto error = connection_.copy_in("COPY " + name_ + " FROM STDIN",
                                         std::string_view(batch_).substr(begin, end - begin));
  if (!error) {
    if (savepoint) connection_.execute("RELEASE SAVEPOINT tidemark_copy");
    return;
  }
  if (savepoint) {
    connection_.execute("ROLLBACK TO SAVEPOINT tidemark_copy; RELEASE SAVEPOINT tidemark_copy");
  }
  if (last - first > 1) {
    const std::size_t middle = first + (last - first) / 2;
    send_lines(first, middle);
    send_lines(middle, last);
    return;
  }
  // Batches are read again from their start: refusals are rare and come in order.
  const auto refusal = refusal_of(*error);
  if (!batch_rows_finished_) {
    batch_rows_->finish();
    batch_rows_finished_ = true;
    batch_rows_read_ = 0;
  }
  ChangedRow row;
  while (batch_rows_read_ <= first && batch_rows_->next(row)) ++batch_rows_read_;
  refused_.push_back({.key = to_row(row.key),
                      .row = to_row(row.row),
                      .version = row.version,
                      .revert = row.revert,
                      .refusal = *refusal});
}

}  // namespace tidemark::postgresql
