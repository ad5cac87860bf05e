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
      direct_(!use.whole && !use.concurrent),
      checked_(use.translated ? sql_->particular_columns() : std::vector<std::size_t>()),
      spool_(sql_->spec().key, {.concurrent = use.concurrent}) {}

StagingTable::~StagingTable() {
  // In a transaction that failed nothing can be dropped; the session's end does it then.
  if (!created_ || connection_.is_broken() ||
      PQtransactionStatus(connection_.handle()) == PQTRANS_INERROR) {
    return;
  }
  PQclear(PQexec(connection_.handle(), ("DROP TABLE IF EXISTS " + name_).c_str()));
}

bool StagingTable::add(const ChangedRow& row) {
  ++count_;
  if (!direct_) return spool_.add(row);
  copy(row);
  return true;
}

void StagingTable::finish() {
  spool_.finish();
  if (direct_) load();
}

void StagingTable::load() {
  if (loaded_) return;
  loaded_ = true;
  ChangedRow row;
  while (spool_.next(row)) copy(row);
  if (!created_) create();
  send();
  // The stages of all tables live until the session has written them.
  batch_rows_.reset();
  batch_ = {};
  lines_ = {};
  if (checks_text()) refuse_altered();
}

void StagingTable::copy(const ChangedRow& row) {
  if (!created_) create();
  append(row);
  if (batch_.size() >= kBatchBytes) send();
}

void StagingTable::create() {
  const TableSpec& spec = sql_->spec();
  std::string columns;
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    columns += ", c" + std::to_string(i + 1) + " " + sql_->column(i).type;
  }
  for (std::size_t i = 1; i <= checked_.size(); ++i) columns += ", o" + std::to_string(i) + " text";
  connection_.execute("CREATE TEMP TABLE " + name_.substr(name_.find('.') + 1) +
                      "(pos bigint, present boolean, revert boolean, changed_at_us bigint, origin "
                      "integer, sequence bigint, inserted boolean" +
                      columns + ")");
  created_ = true;
  batch_rows_.emplace(spec.key, Spool::Options{});
}

void StagingTable::index_positions() {
  const std::string table = name_.substr(name_.find('.') + 1);
  connection_.execute("CREATE INDEX " + table + "_pos ON " + name_ + "(pos); ANALYZE " + name_ +
                      "(pos)");
}

std::size_t StagingTable::origin_number(const OriginId& origin) {
  // Neighbours mostly come from one origin, and there are few.
  const auto found = std::find(origins_.rbegin(), origins_.rend(), origin);
  if (found != origins_.rend()) return static_cast<std::size_t>(origins_.rend() - found - 1);
  origins_.push_back(origin);
  last_sequences_.push_back(0);
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
  append_number(++position_, batch_);
  batch_ += row.present ? "\tt" : "\tf";
  batch_ += row.revert ? "\tt" : "\tf";
  if (row.version) {
    batch_ += '\t';
    append_number(row.version->changed_at_us, batch_);
    const std::size_t origin = origin_number(row.version->origin);
    last_sequences_[origin] = std::max(last_sequences_[origin], row.version->sequence);
    batch_ += '\t';
    append_number(static_cast<std::int64_t>(origin), batch_);
    batch_ += '\t';
    append_number(row.version->sequence, batch_);
    batch_ += row.version->inserted ? "\tt" : "\tf";
  } else {
    batch_ += "\t\\N\t\\N\t\\N\tf";
  }
  if (row.present) {
    for (std::size_t i = 0; i < row.row.size(); ++i) {
      batch_ += '\t';
      if (const auto refusal = sql_->append_field(i, row.row[i], batch_)) return refuse(*refusal);
    }
    // None of these is refused: each was encoded above.
    for (const std::size_t position : checked_) {
      batch_ += '\t';
      sql_->append_field(position, row.row[position], batch_);
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
    for (const std::size_t position : checked_) {
      batch_ += '\t';
      append_copy_field(values[position], batch_);
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
  batch_rows_->clear();
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

// 2024-1-5 is a date to the server and prints as 2024-01-05: stored, it would come back as another
// text than it went. Such a row waits for its owner to write it in the one way.
void StagingTable::refuse_altered() {
  const TableSpec& spec = sql_->spec();
  std::string altered, output;
  for (std::size_t i = 0; i < checked_.size(); ++i) {
    const std::string column = "c" + std::to_string(checked_[i] + 1);
    const std::string original = "o" + std::to_string(i + 1);
    altered += (i > 0 ? " OR " : "") + column + "::text IS DISTINCT FROM " + original;
  }
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    output += ", " + output_term(sql_->column(i), "c" + std::to_string(i + 1));
  }
  for (std::size_t i = 1; i <= checked_.size(); ++i) output += ", o" + std::to_string(i);
  const Rows rows = connection_.query(
      "DELETE FROM " + name_ + " WHERE " + altered +
      " RETURNING present, revert, changed_at_us, origin, sequence, inserted" + output);
  const int first = 6;
  const int originals = first + static_cast<int>(spec.columns.size());
  for (int i = 0; i < rows.size(); ++i) {
    Refused refused{.revert = rows.boolean(i, 1)};
    for (std::size_t column = 0; column < spec.columns.size(); ++column) {
      const int at = first + static_cast<int>(column);
      refused.row.emplace_back(rows.is_null(i, at) ? ValueView::of_null()
                                                   : sql_->decode(column, rows.bytes(i, at)));
    }
    std::string reason;
    for (std::size_t k = 0; k < checked_.size(); ++k) {
      const int at = originals + static_cast<int>(k);
      if (rows.is_null(i, at)) continue;
      const std::string original = rows.text(i, at);
      Value& value = refused.row[checked_[k]];
      if (value.view().bytes == original) continue;
      reason = "column " + spec.columns[checked_[k]].name + " (" + sql_->column(checked_[k]).type +
               ") would turn '" + original + "' into '" + std::string(value.view().bytes) + "'";
      value = Value::text(original);
    }
    const auto views = to_views(refused.row);
    refused.key = to_row(key_of(spec, views));
    if (!rows.is_null(i, 4)) {
      refused.version = Version{.changed_at_us = rows.integer(i, 2),
                                .origin = origins_[static_cast<std::size_t>(rows.integer(i, 3))],
                                .sequence = rows.integer(i, 4),
                                .inserted = rows.boolean(i, 5)};
    }
    if (!rows.boolean(i, 0)) refused.row.clear();
    refused.refusal = {Refusal::Kind::type, reason};
    refused_.push_back(std::move(refused));
  }
}

}  // namespace tidemark::postgresql
