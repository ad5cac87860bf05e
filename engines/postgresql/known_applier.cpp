#include "engines/postgresql/known_applier.h"

#include "engines/postgresql/streams.h"

namespace tidemark::postgresql {
namespace {

constexpr std::int64_t kBatch = 250000;
/// After a list of positions of one batch, of which it cuts nothing off: without it the server,
/// which may expect millions of a join, might go through the whole list for each staged row.
const std::string kHashed = " LIMIT " + std::to_string(kBatch);
constexpr std::int64_t kOneByOne = 8;
constexpr int kHandedOver = 1000;
constexpr std::size_t kSent = 64u << 10;
constexpr std::size_t kCopied = 8u << 20;

}  // namespace

KnownApplier::KnownApplier(PostgresqlNode& node, const ActiveTable& table,
                           std::shared_ptr<TableSql> sql, StagingTable& stage,
                           const Knowledge& source_knowledge, ApplySink& sink)
    : node_(node),
      connection_(node.connection_),
      table_(table),
      sql_(std::move(sql)),
      stage_(stage),
      sink_(sink),
      covered_(node.origins_.covered(source_knowledge, "v.")) {}

PullCounts KnownApplier::apply() {
  // What is locked without being seen, a key or unique value that somebody is about to insert, a
  // row that is referred to, is found by running into it.
  if (passes_over(node_.locked_rows_)) node_.wait_for_rows_shortly(*sql_);
  if (!stage_.is_loaded() && !stage_.checks_text() && !table_.fire_triggers &&
      node_.is_empty(table_)) {
    fill_empty_table();
    counts_.received = stage_.count();
    return counts_;
  }
  stage_.load();
  counts_.received = stage_.count();
  node_.mark_withdrawals(table_, stage_.name());
  hand_over_refused();
  if (stage_.count() > kBatch) stage_.index_positions();
  if (passes_over(node_.locked_rows_)) {
    for_each_batch(
        [this](std::int64_t first, std::int64_t last) { hand_over_locked(first, last); });
  }
  weigh();
  skips_recent_ = node_.recent_.is_too_many(*sql_, stage_.count());
  if (undecided_ > 0) hand_over_undecided();
  if (passed_over_ > 0 || undecided_ > 0) drop_what_came_by_another_way();
  for_each_batch(
      [this](std::int64_t first, std::int64_t last) { write(first, last, Expecting::no_refusal); });
  if (skips_recent_) skip_recent();
  return counts_;
}

void KnownApplier::for_each_batch(
    const std::function<void(std::int64_t first, std::int64_t last)>& act) const {
  for (std::int64_t at = 0; at < stage_.count(); at += kBatch) {
    act(at, std::min(at + kBatch, stage_.count()));
  }
}

/// One look at everything spares most sessions the other looks.
void KnownApplier::weigh() {
  const bool one_batch = stage_.count() <= kBatch;
  const std::string batch = one_batch ? "0" : "(s.pos - 1) / " + std::to_string(kBatch);
  const std::string group = one_batch ? "" : " GROUP BY " + batch;
  const Rows batches = connection_.query(
      "SELECT count(v.sequence), count(*) FILTER (WHERE " + undecided() +
      "), count(*) FILTER (WHERE " + came_by_another_way() +
      "), count(v.sequence) FILTER (WHERE s.inserted), count(*) FILTER (WHERE s.present AND NOT "
      "s.inserted), count(*) FILTER (WHERE s.present), count(*) FILTER (WHERE NOT s.present), " +
      batch + " FROM " + stage_.name() + " AS s LEFT JOIN " + sql_->version() + " AS v ON " +
      sql_->control_is_staged("v.", "s.") + group);
  std::int64_t have_version = 0, inserts_with_version = 0;
  for (int i = 0; i < batches.size(); ++i) {
    have_version += batches.integer(i, 0);
    undecided_ += batches.integer(i, 1);
    passed_over_ += batches.integer(i, 2);
    inserts_with_version += batches.integer(i, 3);
    weighed_[batches.integer(i, 7) * kBatch] = {.updates = batches.integer(i, 4),
                                                .present = batches.integer(i, 5),
                                                .deletes = batches.integer(i, 6)};
  }
  // Whoever decides may write versions and rows of any key.
  none_has_version_ = have_version == 0 && undecided_ == 0;
  // A key that is checked at the end of the transaction would not refuse a row that is there after
  // all, and where triggers are off nothing would.
  inserts_are_new_ = inserts_with_version == 0 && undecided_ == 0 && passed_over_ == 0 &&
                     !sql_->has_deferrable_key();
}

std::string KnownApplier::came_by_another_way() {
  return "v.origin = " + staged_origin() + " AND v.sequence = s.sequence";
}

std::string KnownApplier::undecided() {
  return "s.revert OR (v.sequence IS NOT NULL AND (s.sequence IS NULL OR NOT ((" +
         came_by_another_way() + ") OR " + covered_ + ")))";
}

void KnownApplier::hand_over_refused() {
  for (const StagingTable::Refused& refused : stage_.refused()) {
    const auto key = to_views(refused.key);
    const auto row = to_views(refused.row);
    sink_.refused({.key = key,
                   .row = row,
                   .present = !row.empty(),
                   .version = refused.version,
                   .revert = refused.revert},
                  refused.refusal);
  }
}

/// The number in this database of the origin of a staged version `s`.
std::string KnownApplier::staged_origin() {
  if (stage_.origins().empty()) return "NULL::integer";
  std::string text = "CASE s.origin";
  for (std::size_t i = 0; i < stage_.origins().size(); ++i) {
    text += " WHEN " + std::to_string(i) + " THEN " +
            std::to_string(node_.origins_.number(stage_.origins()[i]));
  }
  return text + " END";
}

// Whoever decides may write, which may make another row undecided: so it is asked again until there
// is none.
void KnownApplier::hand_over_undecided() {
  const std::string query = staged_rows(
      " LEFT JOIN " + sql_->version() + " AS v ON " + sql_->control_is_staged("v.", "s.") +
      " WHERE " + undecided() + " ORDER BY s.pos LIMIT " + std::to_string(kHandedOver));
  for (;;) {
    const Rows rows = connection_.query(query);
    if (rows.empty()) return;
    for_each(rows,
             [this](const ChangedRow& row) { sink_.compare(row, node_.find(table_, row.key)); });
    drop(rows);
  }
}

/// Staged rows `s`, for for_each().
std::string KnownApplier::staged_rows(const std::string& rest) {
  std::string columns;
  for (std::size_t i = 0; i < table_.spec.columns.size(); ++i) {
    columns += ", " + output_term(sql_->column(i), "s.c" + std::to_string(i + 1));
  }
  return "SELECT s.pos, s.present, s.revert, s.changed_at_us, s.origin, s.sequence, s.inserted" +
         columns + " FROM " + stage_.name() + " AS s" + rest;
}

void KnownApplier::for_each(const Rows& rows, const std::function<void(const ChangedRow&)>& act) {
  constexpr int kFirstColumn = 7;
  std::vector<ValueView> row(table_.spec.columns.size());
  for (int i = 0; i < rows.size(); ++i) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      const int at = kFirstColumn + static_cast<int>(column);
      row[column] =
          rows.is_null(i, at) ? ValueView::of_null() : sql_->decode(column, rows.bytes(i, at));
    }
    const auto key = key_of(table_.spec, row);
    ChangedRow incoming{.key = key, .present = rows.boolean(i, 1), .revert = rows.boolean(i, 2)};
    if (incoming.present) incoming.row = row;
    if (!rows.is_null(i, 5)) {
      incoming.version =
          Version{.changed_at_us = rows.integer(i, 3),
                  .origin = stage_.origins()[static_cast<std::size_t>(rows.integer(i, 4))],
                  .sequence = rows.integer(i, 5),
                  .inserted = rows.boolean(i, 6)};
    }
    act(incoming);
  }
}

/// Takes rows that staged_rows() read out of the stage.
void KnownApplier::drop(const Rows& rows) {
  std::string positions;
  for (int i = 0; i < rows.size(); ++i) {
    positions += (i > 0 ? "," : "") + std::to_string(rows.integer(i, 0));
  }
  connection_.query("DELETE FROM " + stage_.name() + " WHERE pos IN (" + positions + ")");
}

/// SQL that is true for the staged rows `s` after `first` up to `last`. Of all of them nothing is
/// asked: the server, which has no statistics of the stage, would take it for a few.
std::string KnownApplier::positions(std::int64_t first, std::int64_t last) const {
  if (first == 0 && last == stage_.count()) return "true";
  return "s.pos > " + std::to_string(first) + " AND s.pos <= " + std::to_string(last);
}

/// Of the rows after `first` up to `last`. Those that others wrote since the snapshot are found by
/// halving; whatever we have locked by then stays as it is.
void KnownApplier::hand_over_locked(std::int64_t first, std::int64_t last) {
  if (first >= last) return;
  const std::string range = positions(first, last);
  const auto hand_over = [this](const Rows& rows) {
    if (rows.empty()) return;
    for_each(rows, [this](const ChangedRow& row) { sink_.refused(row, locked()); });
    drop(rows);
  };
  if (node_.locked_rows_ != LockedRows::pass_over_changed) {
    for (const Rows& rows : find_locked(range)) hand_over(rows);
    return;
  }
  connection_.execute("SAVEPOINT tidemark_batch");
  std::vector<Rows> found;
  try {
    found = find_locked(range);
  } catch (const Collision&) {
    connection_.execute("ROLLBACK TO SAVEPOINT tidemark_batch; RELEASE SAVEPOINT tidemark_batch");
    if (last - first == 1) {
      hand_over(connection_.query(staged_rows(" WHERE " + range)));
      return;
    }
    const std::int64_t middle = first + (last - first) / 2;
    hand_over_locked(first, middle);
    hand_over_locked(middle, last);
    return;
  }
  connection_.execute("RELEASE SAVEPOINT tidemark_batch");
  for (const Rows& rows : found) hand_over(rows);
}

// Our own lock is of the kind that the write itself takes, so that no row is passed over that could
// be written.
std::vector<Rows> KnownApplier::find_locked(const std::string& range) {
  std::vector<Rows> found;
  const std::string here =
      sql_->table() + " AS t ON " + sql_->key_is_staged("t.", "s.") + " WHERE " + range + " AND ";
  for (const auto& [which, lock] :
       {std::pair("s.present", "NO KEY UPDATE"), std::pair("NOT s.present", "UPDATE")}) {
    const std::string chosen = here + which;
    found.push_back(connection_.query(
        "WITH free AS MATERIALIZED (SELECT s.pos FROM " + stage_.name() + " AS s JOIN " + chosen +
        " FOR " + lock + " OF t SKIP LOCKED) " +
        staged_rows(" JOIN " + chosen + " AND s.pos NOT IN (SELECT pos FROM free" + kHashed +
                    ") ORDER BY s.pos")));
  }
  return found;
}

Refusal KnownApplier::locked() {
  return {.kind = Refusal::Kind::locked, .reason = "another transaction holds a lock on the row"};
}

/// As Connection::try_run(); a set with a row that is locked, or was written since the snapshot,
/// counts as refused where such rows are passed over.
bool KnownApplier::run(const std::string& sql, std::int64_t& affected) {
  try {
    return connection_.try_run(sql, affected);
  } catch (const Error& error) {
    if (is_passed_over(error, node_.locked_rows_)) return false;
    throw;
  }
}

void KnownApplier::drop_what_came_by_another_way() {
  connection_.query("DELETE FROM " + stage_.name() + " AS s USING " + sql_->version() +
                    " AS v WHERE " + sql_->control_is_staged("v.", "s.") + " AND " +
                    came_by_another_way());
}

/// Rows after `first` up to `last`.
void KnownApplier::write(std::int64_t first, std::int64_t last, Expecting expecting) {
  if (first >= last) return;
  if (write_set(first, last, expecting)) return;
  if (last - first <= kOneByOne) {
    write_one_by_one(first, last);
    return;
  }
  const std::int64_t middle = first + (last - first) / 2;
  write(first, middle, Expecting::refusals);
  write(middle, last, Expecting::refusals);
}

bool KnownApplier::write_set(std::int64_t first, std::int64_t last, Expecting expecting) {
  const std::string range = positions(first, last);
  connection_.execute("SAVEPOINT tidemark_batch");
  PullCounts counts;
  if (differs_in_fixed(range) || !write_rows(first, range, expecting, counts) ||
      !write_versions(range) || (table_.fire_triggers && !log_what_triggers_changed(range))) {
    connection_.execute("ROLLBACK TO SAVEPOINT tidemark_batch; RELEASE SAVEPOINT tidemark_batch");
    return false;
  }
  connection_.execute("RELEASE SAVEPOINT tidemark_batch");
  if (counts.inserted > 0) node_.note_insert(*sql_);
  counts_ += counts;
  return true;
}

// Rows lie in the stage in the order of their keys, and a scan keeps it: sorting them once more
// would cost a tenth. One MERGE takes as long, because it does not tell what it did to how many
// rows.
bool KnownApplier::write_rows(std::int64_t first, const std::string& range, Expecting expecting,
                              PullCounts& counts) {
  const bool as_weighed =
      expecting == Expecting::no_refusal && undecided_ == 0 && passed_over_ == 0;
  const bool any_deletes = !as_weighed || weighed_[first].deletes > 0;
  if (any_deletes && !delete_rows(range, counts)) return false;
  if (as_weighed && inserts_are_new_) {
    return write_rows_as_told(range, weighed_[first].updates, counts);
  }
  if (as_weighed && !table_.fire_triggers) {
    return write_present_rows(range, weighed_[first].present, counts);
  }
  return update_rows(range + " AND s.present", counts) &&
         insert_rows(range + " AND s.present AND " + is_not_there() +
                         (expecting == Expecting::refusals ? sql_->unless_unseen() : ""),
                     counts);
}

// Nothing is looked for that its origin inserted and that was never here: that would be two fifths
// of what an insert costs.
bool KnownApplier::write_rows_as_told(const std::string& range, std::int64_t updates,
                                      PullCounts& counts) {
  const std::string changed = range + " AND s.present AND NOT s.inserted";
  if (!update_rows(changed, counts)) return false;
  if (counts.updated < updates && !insert_rows(changed + " AND " + is_not_there(), counts)) {
    return false;
  }
  return insert_rows(range + " AND s.present AND s.inserted", counts);
}

// No trigger keeps an update from happening: what was not updated is not there, and nobody need
// look for it a second time.
bool KnownApplier::write_present_rows(const std::string& range, std::int64_t present,
                                      PullCounts& counts) {
  const std::string rows = range + " AND s.present";
  if (!run("WITH updated AS (" + update(rows, " RETURNING s.pos") + ") " +
               insert(rows + " AND s.pos NOT IN (SELECT pos FROM updated" + kHashed + ")"),
           counts.inserted)) {
    return false;
  }
  counts.updated = present - counts.inserted;
  return true;
}

bool KnownApplier::delete_rows(const std::string& range, PullCounts& counts) {
  return run("DELETE FROM " + sql_->table() + " AS t USING " + stage_.name() + " AS s WHERE " +
                 range + " AND NOT s.present AND " + sql_->key_is_staged("t.", "s."),
             counts.deleted);
}

bool KnownApplier::update_rows(const std::string& which, PullCounts& counts) {
  return run(update(which), counts.updated);
}

bool KnownApplier::insert_rows(const std::string& which, PullCounts& counts) {
  std::int64_t inserted = 0;
  const bool done = run(insert(which), inserted);
  counts.inserted += inserted;
  return done;
}

/// SQL that updates the rows of which `which` is true of the staged row `s`. Where no column can be
/// updated it only finds them, and holds them as an update would.
std::string KnownApplier::update(const std::string& which, const std::string& returning) {
  const std::string assignments = sql_->assignments("s.", true);
  const std::string where = which + " AND " + sql_->key_is_staged("t.", "s.");
  if (assignments.empty()) {
    return "SELECT s.pos FROM " + sql_->table() + " AS t CROSS JOIN " + stage_.name() +
           " AS s WHERE " + where + " FOR NO KEY UPDATE OF t";
  }
  return "UPDATE " + sql_->table() + " AS t SET " + assignments + " FROM " + stage_.name() +
         " AS s WHERE " + where + returning;
}

/// Whether rows are here with another value in a column that no update may set.
bool KnownApplier::differs_in_fixed(const std::string& range) {
  if (sql_->fixed_columns().empty()) return false;
  return connection_
      .query("SELECT EXISTS (SELECT FROM " + stage_.name() + " AS s JOIN " + sql_->table() +
             " AS t ON " + sql_->key_is_staged("t.", "s.") + " WHERE " + range +
             " AND s.present AND (" + sql_->differs_in_fixed("s.", true) + "))")
      .boolean(0, 0);
}

std::string KnownApplier::insert(const std::string& which) {
  return "INSERT INTO " + sql_->table() + " (" + sql_->columns() +
         ") OVERRIDING SYSTEM VALUE SELECT " + sql_->staged_columns("s.") + " FROM " +
         stage_.name() + " AS s WHERE " + which;
}

std::string KnownApplier::is_not_there() {
  return "NOT EXISTS (SELECT FROM " + sql_->table() + " AS t WHERE " +
         sql_->key_is_staged("t.", "s.") + ")";
}

/// A trigger before a row may store something else than what came, or nothing: a change of this
/// node's own.
bool KnownApplier::log_what_triggers_changed(const std::string& range) {
  std::string differs = "t." + sql_->name(table_.spec.key.front()) + " IS NULL";
  for (std::size_t i = 0; i < table_.spec.columns.size(); ++i) {
    differs +=
        " OR t." + sql_->name(i) + "::text IS DISTINCT FROM s.c" + std::to_string(i + 1) + "::text";
  }
  std::int64_t rows = 0;
  return run("INSERT INTO " + log_table(table_.id) + " SELECT " + sql_->staged_key("s.") +
                 " FROM " + stage_.name() + " AS s LEFT JOIN " + sql_->table() + " AS t ON " +
                 sql_->key_is_staged("t.", "s.") + " WHERE " + range +
                 " AND CASE WHEN s.present THEN " + differs + " ELSE t." +
                 sql_->name(table_.spec.key.front()) + " IS NOT NULL END",
             rows);
}

bool KnownApplier::write_versions(const std::string& range) {
  const std::string versioned = range + " AND s.sequence IS NOT NULL";
  const std::string from_stage = stage_.name() + " AS s WHERE " + versioned;
  const std::string key = sql_->staged_key("s.");
  const std::string rest =
      "s.changed_at_us, " + staged_origin() +
      ", s.sequence, CASE WHEN s.present THEN 0 ELSE 1 END + CASE WHEN s.inserted THEN 2 ELSE 0 "
      "END";
  std::int64_t rows = 0;
  if (!add_recent(from_stage)) return false;
  if (none_has_version_) {
    return run(
        "INSERT INTO " + sql_->version() + " SELECT " + key + ", " + rest + " FROM " + from_stage,
        rows);
  }
  // Not ON CONFLICT DO UPDATE, which costs half as much again.
  return run("MERGE INTO " + sql_->version() + " AS v USING (SELECT * FROM " + from_stage +
                 ") AS s ON " + sql_->control_is_staged("v.", "s.") +
                 " WHEN MATCHED THEN UPDATE SET (changed_at_us, origin, sequence, flags) = ROW(" +
                 rest + ") WHEN NOT MATCHED THEN INSERT VALUES (" + key + ", " + rest + ")",
             rows);
}

bool KnownApplier::add_recent(const std::string& from_stage) {
  if (skips_recent_) return true;
  std::int64_t rows = 0;
  const std::string values = sql_->staged_key("s.") + ", " + staged_origin() + ", s.sequence";
  if (!run(node_.recent_.insert_selected(*sql_, values) + " FROM " + from_stage, rows)) {
    return false;
  }
  node_.recent_.note_added(*sql_, rows);
  return true;
}

void KnownApplier::skip_recent() {
  for (std::size_t i = 0; i < stage_.origins().size(); ++i) {
    node_.recent_.skip(*sql_, node_.origins_.number(stage_.origins()[i]),
                       stage_.last_sequences()[i]);
  }
}

void KnownApplier::write_one_by_one(std::int64_t first, std::int64_t last) {
  for_each(connection_.query(staged_rows(" WHERE " + positions(first, last) + " ORDER BY s.pos")),
           [this](const ChangedRow& row) { write_row(row); });
}

void KnownApplier::write_row(const ChangedRow& row) {
  const bool was_present = !row.present && node_.find(table_, row.key).present;
  bool inserted = false;
  std::optional<Refusal> refusal;
  try {
    refusal = node_.write_row(*sql_, row.key, row.row, inserted);
  } catch (const Error& error) {
    if (!is_passed_over(error, node_.locked_rows_)) throw;
    refusal = locked();
  }
  if (refusal) {
    sink_.refused(row, *refusal);
    return;
  }
  if (row.version) node_.put_version(table_, row.key, row.present, row.version);
  if (table_.fire_triggers) node_.log_if_altered(table_, *sql_, row.key, row.row);
  if (row.present) {
    ++(inserted ? counts_.inserted : counts_.updated);
  } else if (was_present) {
    ++counts_.deleted;
  }
}

// Nothing is there that rows could meet: they go straight into the table. While a COPY is open,
// the connection can be asked nothing else: it is ended before anybody looks or writes.
void KnownApplier::fill_empty_table() {
  filled_.emplace(table_.spec.key, Spool::Options{});
  ChangedRow row;
  while (stage_.rows().next(row)) {
    if (row.revert) {
      end_filling();
      sink_.compare(row, node_.find(table_, row.key));
      continue;
    }
    if (row.present || sql_->can_hold_key(row.key)) {
      fill_row(row);
    } else {
      end_filling();
      sink_.refused(row, {.kind = Refusal::Kind::type, .reason = "the key cannot be here"});
    }
  }
  end_filling();
  for (const auto& entry : filled_origins_) {
    node_.recent_.skip(*sql_, entry.second.number, entry.second.last);
  }
  node_.note_insert(*sql_);
}

void KnownApplier::fill_row(const ChangedRow& row) {
  if (row.version && !filled_origins_.contains(row.version->origin)) {
    end_filling();
    filled_origins_[row.version->origin].number = node_.origins_.number(row.version->origin);
  }
  const std::size_t begin = lines_.size();
  for (std::size_t i = 0; i < row.row.size(); ++i) {
    if (i > 0) lines_ += '\t';
    if (const auto refusal = sql_->append_field(i, row.row[i], lines_)) {
      lines_.resize(begin);
      end_filling();
      sink_.refused(row, *refusal);
      return;
    }
  }
  if (row.present) {
    lines_ += '\n';
    ++counts_.inserted;
  }
  if (row.version) {
    FilledOrigin& origin = filled_origins_[row.version->origin];
    origin.last = std::max(origin.last, row.version->sequence);
    for (const Parameter& part : sql_->encode_key(row.key)) {
      append_copy_field(part, versions_);
      versions_ += '\t';
    }
    append_number(row.version->changed_at_us, versions_);
    versions_ += '\t';
    append_number(origin.number, versions_);
    versions_ += '\t';
    append_number(row.version->sequence, versions_);
    versions_ += '\t';
    append_number((row.present ? 0 : 1) | (row.version->inserted ? 2 : 0), versions_);
    versions_ += '\n';
  }
  filled_->add(row);
  is_filled_ = true;
  if (lines_.size() >= kSent) send_filled();
  if (copied_ + versions_.size() >= kCopied) end_filling();
}

/// Begins the batch's COPY, if need be, and gives it the lines.
void KnownApplier::send_filled() {
  if (!is_copying_) {
    connection_.execute("SAVEPOINT tidemark_batch");
    connection_.begin_copy("COPY " + sql_->table() + " (" + sql_->columns() + ") FROM STDIN");
    is_copying_ = true;
  }
  connection_.put_copy(lines_);
  copied_ += lines_.size();
  lines_.clear();
}

/// Ends a batch; one with a row that the server refuses is written again, row by row.
void KnownApplier::end_filling() {
  if (!is_filled_) return;
  is_filled_ = false;
  send_filled();
  bool copied = !connection_.end_copy();
  if (copied && !versions_.empty()) {
    copied = !connection_.copy_in("COPY " + sql_->version() + " FROM STDIN", versions_);
  }
  versions_.clear();
  copied_ = 0;
  is_copying_ = false;
  if (copied) {
    connection_.execute("RELEASE SAVEPOINT tidemark_batch");
    filled_->clear();
    return;
  }
  connection_.execute("ROLLBACK TO SAVEPOINT tidemark_batch; RELEASE SAVEPOINT tidemark_batch");
  filled_->finish();
  ChangedRow row;
  while (filled_->next(row)) {
    if (row.present) --counts_.inserted;  // counted when it was collected
    write_row(row);
  }
  filled_->clear();
}

}  // namespace tidemark::postgresql
