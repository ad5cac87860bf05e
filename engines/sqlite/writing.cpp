// Writing rows and versions on a target.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "engines/merge_rows.h"
#include "engines/spool.h"
#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

RowStream& rows_of(Stage& stage) {
  auto* spool = dynamic_cast<Spool*>(&stage);
  assert(spool && "the stage was made by another engine");
  return *spool;
}

}  // namespace

/// Switches the triggers of a connection on for as long as a table is written whose own shall fire.
class FiringTriggers {
 public:
  FiringTriggers(Connection& connection, bool fire)
      : connection_(connection), fire_(fire && !connection.fires_triggers()) {
    if (fire_) connection_.set_triggers(true);
  }
  ~FiringTriggers() {
    if (fire_) connection_.set_triggers(false);
  }
  FiringTriggers(const FiringTriggers&) = delete;
  FiringTriggers& operator=(const FiringTriggers&) = delete;

 private:
  Connection& connection_;
  const bool fire_;
};

std::unique_ptr<Stage> SqliteNode::make_stage(const ActiveTable& table, StageUse use) {
  Spool::Options options;
  options.concurrent = use.concurrent;
  return std::make_unique<Spool>(table.spec.key, options);
}

/// Writes staged rows one after the other, version first: the version decides whether the row may
/// be written at all.
class KnownApplier {
 public:
  KnownApplier(SqliteNode& node, Connection& connection, Origins& origins, TableStatements& table,
               const ActiveTable& active, const KnownSequences& source_knowledge, ApplySink& sink)
      : node_(node),
        connection_(connection),
        origins_(origins),
        table_(table),
        active_(active),
        sink_(sink),
        key_size_(static_cast<int>(table.spec.key.size())),
        column_count_(static_cast<int>(table.spec.columns.size())),
        upsert_version_(connection, table.sql.upsert_version_if_known()) {
    overwrite_.source_knowledge = &source_knowledge;
    Statement any(connection_, "SELECT EXISTS (SELECT 1 FROM " + version_table(table.id) + ")");
    any.step();
    has_versions_ = any.integer(0) != 0;
  }

  PullCounts apply(RowStream& staged) {
    const bool referenced = node_.is_referenced(active_);
    const bool by_other_columns = referenced && node_.has_other_references(active_);
    Deletes deletes(active_.spec.key);
    ChangedRow incoming;
    while (staged.next(incoming)) {
      ++counts_.received;
      if (referenced && !incoming.present && !incoming.revert) {
        deletes.add(incoming);
      } else if (by_other_columns && is_referred_to(incoming)) {
        ask(incoming);
      } else {
        apply_one(incoming);
      }
    }
    if (deletes.count > 0) apply(deletes);
    return counts_;
  }

 private:
  /// Deletes of rows to which others may refer: looked at together.
  struct Deletes {
    explicit Deletes(const std::vector<std::size_t>& key)
        : keys(key, Spool::Options{}), rows(key, Spool::Options{}) {}
    void add(const ChangedRow& row) {
      keys.add(row);
      rows.add(row);
      ++count;
    }
    Spool keys;
    Spool rows;
    std::size_t count = 0;
  };

  void apply(Deletes& deletes) {
    deletes.keys.finish();
    deletes.rows.finish();
    const std::vector<bool> referred = node_.referred_to(active_, deletes.keys, deletes.count);
    ChangedRow incoming;
    for (std::size_t place = 0; deletes.rows.next(incoming); ++place) {
      if (referred[place]) {
        ask(incoming);
      } else {
        apply_one(incoming);
      }
    }
  }

  bool is_referred_to(const ChangedRow& incoming) {
    const LocalRow local = node_.find(active_, incoming.key);
    return local.present && !node_.referrers(active_, to_views(local.row), incoming.row).empty();
  }

  void apply_one(const ChangedRow& incoming) {
    if (incoming.revert) {
      ask(incoming);
    } else if (incoming.version) {
      apply_version(incoming);
    } else {
      apply_unversioned(incoming);
    }
  }

  void ask(const ChangedRow& incoming) {
    sink_.compare(incoming, node_.find(active_, incoming.key));
    has_versions_ = true;  // the sink may have written some
  }

  void apply_unversioned(const ChangedRow& incoming) {
    if (has_versions_ && node_.find(active_, incoming.key).version) {
      ask(incoming);
      return;
    }
    if (const auto refusal = write_row(incoming)) sink_.refused(incoming, *refusal);
  }

  void apply_version(const ChangedRow& incoming) {
    const VersionRecord record = record_of(incoming);
    overwrite_.incoming = record;
    overwrite_.replaced.reset();
    upsert_version_.bind_row(1, incoming.key)
        .bind(key_size_ + 1, record.changed_at_us)
        .bind(key_size_ + 2, record.origin)
        .bind(key_size_ + 3, record.sequence)
        .bind(key_size_ + 4, record.flags)
        .bind_pointer(key_size_ + 5, &overwrite_, Overwrite::kType)
        .run();
    if (sqlite3_changes(connection_.handle()) == 0) {
      if (overwrite_.replaced->same_change(record)) return;  // it came by another way
      ask(incoming);
      return;
    }
    if (const auto refusal = write_row(incoming)) {
      restore_version(incoming.key);
      sink_.refused(incoming, *refusal);
      has_versions_ = true;
      return;
    }
    has_versions_ = true;
    table_.recent.add(incoming.key, record.origin, record.sequence);
  }

  VersionRecord record_of(const ChangedRow& incoming) {
    const Version& version = *incoming.version;
    // Neighbours in a stream mostly come from one origin.
    if (version.origin != last_origin_ || last_number_ == 0) {
      last_origin_ = version.origin;
      last_number_ = origins_.number(version.origin);
    }
    return {.changed_at_us = version.changed_at_us,
            .origin = last_number_,
            .sequence = version.sequence,
            .flags = (incoming.present ? 0 : VersionRecord::kDeleted) |
                     (version.inserted ? VersionRecord::kInserted : 0)};
  }

  void restore_version(RowView key) {
    if (!overwrite_.replaced) {
      table_.delete_version().bind_row(1, key).run();
      return;
    }
    table_.put_version()
        .bind_row(1, key)
        .bind(key_size_ + 1, overwrite_.replaced->changed_at_us)
        .bind(key_size_ + 2, overwrite_.replaced->origin)
        .bind(key_size_ + 3, overwrite_.replaced->sequence)
        .bind(key_size_ + 4, overwrite_.replaced->flags)
        .run();
  }

  std::optional<Refusal> write_row(const ChangedRow& incoming) {
    if (active_.fire_triggers) {
      return node_.write_firing(table_, incoming.key, incoming.row, counts_);
    }
    if (!incoming.present) {
      table_.delete_row().bind_row(1, incoming.key).run();
      counts_.deleted += sqlite3_changes(connection_.handle());
      return std::nullopt;
    }
    std::optional<Refusal> refusal;
    if (update_off_indexes(incoming, refusal)) return refusal;
    Counter updates;
    refusal = table_.upsert_row()
                  .bind_row(1, incoming.row)
                  .bind_pointer(column_count_ + 1, &updates, Counter::kType)
                  .run_or_refuse();
    if (!refusal) ++(updates.count > 0 ? counts_.updated : counts_.inserted);
    return refusal;
  }

  /// SQLite takes a row out of an index and puts it back whenever a statement names the column.
  /// Most updates leave what is indexed alone: so they are tried first without it. True when that
  /// was all, or was refused.
  bool update_off_indexes(const ChangedRow& incoming, std::optional<Refusal>& refusal) {
    if (!incoming.version || incoming.version->inserted) return false;
    if (off_indexes_missed_ > kMisses && off_indexes_missed_ > off_indexes_done_) return false;
    Statement* statement = table_.update_row_off_indexes();
    if (statement == nullptr) return false;
    // To SQLite 0.0 is -0.0, but it keeps them apart.
    const bool has_zero = std::any_of(
        incoming.row.begin(), incoming.row.end(),
        [](const ValueView& value) { return value.kind == ValueKind::real && value.real == 0; });
    if (has_zero) return false;
    refusal = statement->bind_row(1, incoming.row)
                  .bind_row(column_count_ + 1, incoming.key)
                  .run_or_refuse();
    if (refusal) return true;
    if (sqlite3_changes(connection_.handle()) == 0) {
      ++off_indexes_missed_;
      return false;
    }
    ++off_indexes_done_;
    ++counts_.updated;
    return true;
  }

  static constexpr std::int64_t kMisses = 100;

  SqliteNode& node_;
  Connection& connection_;
  Origins& origins_;
  TableStatements& table_;
  const ActiveTable& active_;
  ApplySink& sink_;
  const int key_size_;
  const int column_count_;
  Statement upsert_version_;
  Overwrite overwrite_;
  OriginId last_origin_;
  std::int64_t last_number_ = 0;
  bool has_versions_ = false;
  std::int64_t off_indexes_done_ = 0;
  std::int64_t off_indexes_missed_ = 0;
  PullCounts counts_;
};

PullCounts SqliteNode::apply_known(const ActiveTable& table, Stage& stage,
                                   const Knowledge& source_knowledge, ApplySink& sink) {
  hold_key_counter(table);
  const FiringTriggers firing(connection_, table.fire_triggers);
  const KnownSequences known = origins_.numbered(source_knowledge);
  KnownApplier applier(*this, connection_, origins_, statements(table), table, known, sink);
  return applier.apply(rows_of(stage));
}

void SqliteNode::compare_all(const ActiveTable& table, Stage& stage, PairSink& sink) {
  merge_pairs(table.spec, rows_of(stage), *all_rows(table), sink);
}

// Our own triggers fire with the application's, which is how what those do is captured. One entry
// is about the applied row itself and no change of this node: it is taken out again, whichever of
// the triggers came first. No upsert, because that would fire the triggers of an insert that is
// none.
std::optional<Refusal> SqliteNode::write_firing(TableStatements& table, RowView key, RowView row,
                                                PullCounts& counts) {
  std::int64_t mark = 0;
  {
    Statement last(connection_, "SELECT coalesce(max(rowid), 0) FROM " + log_table(table.id));
    if (last.step()) mark = last.integer(0);
  }
  const bool exists = row_exists(table, key);
  const int columns = static_cast<int>(row.size());
  std::optional<Refusal> refusal;
  if (row.empty()) {
    refusal = table.delete_row().bind_row(1, key).run_or_refuse();
    if (!refusal && exists) ++counts.deleted;
  } else if (exists) {
    refusal = table.update_row().bind_row(1, row).bind_row(columns + 1, key).run_or_refuse();
    if (!refusal) ++counts.updated;
  } else {
    refusal = table.insert_row().bind_row(1, row).run_or_refuse();
    if (!refusal) ++counts.inserted;
  }
  if (refusal) return refusal;
  table.unlog_one().bind_row(1, key).bind(static_cast<int>(key.size()) + 1, mark).run();
  return std::nullopt;
}

std::optional<Refusal> SqliteNode::put_row(const ActiveTable& table, RowView key, RowView row) {
  hold_key_counter(table);
  TableStatements& kept = statements(table);
  const FiringTriggers firing(connection_, table.fire_triggers);
  if (row.empty() && !table.fire_triggers) {
    kept.delete_row().bind_row(1, key).run();
    return std::nullopt;
  }
  for (const ValueView& value : row) {
    if (value.kind == ValueKind::real && std::isnan(value.real)) {
      return Refusal{Refusal::Kind::type,
                     "SQLite would store NULL for a value that is not a number"};
    }
  }
  if (table.fire_triggers) {
    PullCounts counts;
    return write_firing(kept, key, row, counts);
  }
  Counter updates;
  return kept.upsert_row()
      .bind_row(1, row)
      .bind_pointer(static_cast<int>(row.size()) + 1, &updates, Counter::kType)
      .run_or_refuse();
}

void SqliteNode::put_version(const ActiveTable& table, RowView key, bool present,
                             const std::optional<Version>& version) {
  TableStatements& kept = statements(table);
  if (!version) {
    kept.delete_version().bind_row(1, key).run();
    return;
  }
  const VersionRecord record = to_record(*version, present);
  const int next = static_cast<int>(key.size()) + 1;
  kept.put_version()
      .bind_row(1, key)
      .bind(next, record.changed_at_us)
      .bind(next + 1, record.origin)
      .bind(next + 2, record.sequence)
      .bind(next + 3, record.flags)
      .run();
  kept.recent.add(key, record.origin, record.sequence);
}

std::optional<Refusal> SqliteNode::write_as_local_change(const ActiveTable& table, RowView key,
                                                         RowView row) {
  TableStatements& kept = statements(table);
  std::int64_t operation = Stamp::kDelete;
  if (row.empty()) {
    kept.delete_row().bind_row(1, key).run();
  } else {
    Counter updates;
    auto refusal = kept.upsert_row()
                       .bind_row(1, row)
                       .bind_pointer(static_cast<int>(row.size()) + 1, &updates, Counter::kType)
                       .run_or_refuse();
    if (refusal) return refusal;
    operation = updates.count > 0 ? Stamp::kUpdate : Stamp::kInsert;
  }
  // Triggers are off here, so the change is logged by hand.
  kept.append_log().bind_row(1, key).bind(static_cast<int>(key.size()) + 1, operation).run();
  return std::nullopt;
}

}  // namespace tidemark::sqlite
