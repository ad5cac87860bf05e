#include "engines/translating_node.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace tidemark {
namespace {

const TableSpec* find_table(const std::vector<TableSpec>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const TableSpec& table) { return table.name == name; });
  return found == tables.end() ? nullptr : &*found;
}

/// `own` with the types that the peer's columns have, where all of them can be translated.
TableSpec shown_as(const TableSpec& own, const TableSpec& peer) {
  if (!shape_differences(own, peer).empty()) return own;
  TableSpec shown = own;
  shown.product = peer.product;
  shown.strict = peer.strict;
  for (ColumnSpec& column : shown.columns) {
    for (const ColumnSpec& other : peer.columns) {
      if (other.name != column.name) continue;
      const bool not_null = column.not_null;
      column = other;
      column.not_null = not_null;
    }
  }
  return shown;
}

}  // namespace

TranslatingNode::Translation::Translation(ActiveTable own_table, TableSpec shown_spec)
    : own(std::move(own_table)),
      shown(std::move(shown_spec)),
      to_shown(own.spec, shown),
      to_own(shown, own.spec) {}

/// Rows of the inner node as the peer sees them.
class TranslatingNode::ShownRows final : public RowStream {
 public:
  ShownRows(std::unique_ptr<RowStream> rows, const Translation& translation)
      : rows_(std::move(rows)), converter_(translation.own.spec, translation.shown) {}

  bool next(ChangedRow& row) override {
    ChangedRow own;
    if (!rows_->next(own)) return false;
    // What the peer's columns could not hold goes as it is: the peer refuses it with its reason.
    if (converter_.convert(own, row)) row = own;
    return true;
  }

 private:
  std::unique_ptr<RowStream> rows_;
  RowConverter converter_;
};

/// A stage of the inner node that is filled with the peer's rows.
class TranslatingNode::OwnStage final : public Stage {
 public:
  OwnStage(std::unique_ptr<Stage> inner, const Translation& translation)
      : inner_(std::move(inner)), converter_(translation.shown, translation.own.spec) {}

  bool add(const ChangedRow& row) override {
    ChangedRow own;
    if (converter_.convert(row, own)) {
      // Goes on as the peer shows it and is never written unseen: whoever decides about it tries to
      // write it one by one, and learns the reason.
      own = row;
      own.revert = true;
    }
    return inner_->add(own);
  }
  void finish() override { inner_->finish(); }
  void fail(std::exception_ptr error) override { inner_->fail(std::move(error)); }
  void abandon() noexcept override { inner_->abandon(); }

  Stage& inner() { return *inner_; }

 private:
  std::unique_ptr<Stage> inner_;
  RowConverter converter_;
};

class TranslatingNode::ShownApplySink final : public ApplySink {
 public:
  ShownApplySink(ApplySink& sink, Translation& translation)
      : sink_(sink), translation_(translation) {}

  void compare(const ChangedRow& incoming, const LocalRow& local) override {
    ChangedRow shown;
    RowConverter converter(translation_.own.spec, translation_.shown);
    converter.convert(incoming, shown);
    LocalRow shown_local{.present = local.present, .version = local.version};
    std::vector<ValueView> row;
    if (local.present) {
      const auto views = to_views(local.row);
      if (translation_.to_shown.convert_row(views, row)) row = views;
      shown_local.row = to_row(row);
    }
    sink_.compare(shown, shown_local);
  }
  void refused(const ChangedRow& incoming, const Refusal& refusal) override {
    ChangedRow shown;
    RowConverter converter(translation_.own.spec, translation_.shown);
    converter.convert(incoming, shown);
    sink_.refused(shown, refusal);
  }

 private:
  ApplySink& sink_;
  Translation& translation_;
};

class TranslatingNode::ShownPairSink final : public PairSink {
 public:
  ShownPairSink(PairSink& sink, const Translation& translation)
      : sink_(sink),
        incoming_(translation.own.spec, translation.shown),
        local_(translation.own.spec, translation.shown) {}

  void pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) override {
    ChangedRow shown_incoming;
    ChangedRow shown_local;
    if (incoming != nullptr) incoming_.convert(*incoming, shown_incoming);
    if (local != nullptr && local_.convert(*local, shown_local)) shown_local = *local;
    sink_.pair(incoming != nullptr ? &shown_incoming : nullptr,
               local != nullptr ? &shown_local : nullptr, equal);
  }

 private:
  PairSink& sink_;
  RowConverter incoming_;
  RowConverter local_;
};

TranslatingNode::TranslatingNode(Node& inner, std::vector<TableSpec> peer_tables)
    : inner_(inner), peer_tables_(std::move(peer_tables)) {}

TranslatingNode::TranslatingNode(std::unique_ptr<Node> inner, NameMap names)
    : owned_(std::move(inner)), inner_(*owned_), names_(std::move(names)) {}

Traits TranslatingNode::traits() const {
  Traits traits = inner_.traits();
  traits.translated |= !peer_tables_.empty();
  return traits;
}

std::vector<TableSpec> TranslatingNode::catalog() {
  std::vector<TableSpec> tables = inner_.catalog();
  for (TableSpec& table : tables) table = names_.agreed(table);
  return tables;
}

std::vector<ActiveTable> TranslatingNode::active_tables() {
  std::vector<ActiveTable> tables = inner_.active_tables();
  own_tables_.clear();
  translations_.clear();
  for (ActiveTable& table : tables) {
    own_tables_[table.id] = table;
    table.spec = names_.agreed(table.spec);
    if (const TableSpec* peer = find_table(peer_tables_, table.spec.name)) {
      table.spec = shown_as(table.spec, *peer);
    }
  }
  return tables;
}

const Pulse& TranslatingNode::look() {
  const Pulse& inner = inner_.look();
  if (inner.generation == pulse_.generation) return pulse_;
  pulse_ = {.generation = inner.generation,
            .schema = inner.schema,
            .tables = {},
            .heartbeat_us = inner.heartbeat_us};
  for (const auto& [name, table] : inner.tables) {
    TableSpec spec;
    spec.name = name;
    pulse_.tables[names_.agreed(spec).name] = table;
  }
  return pulse_;
}

TranslatingNode::Translation& TranslatingNode::translation(const ActiveTable& table) {
  std::unique_ptr<Translation>& kept = translations_[table.id];
  if (kept && kept->shown.columns == table.spec.columns &&
      kept->own.fire_triggers == table.fire_triggers) {
    return *kept;
  }
  const auto found = own_tables_.find(table.id);
  // Asked before active_tables(): nothing is known of the table but what the caller says.
  if (found == own_tables_.end()) {
    active_tables();
    return translation(table);
  }
  ActiveTable own = found->second;
  own.spec = names_.own(aligned(names_.agreed(own.spec), table.spec));
  own.fire_triggers = table.fire_triggers;
  return *(translations_[table.id] = std::make_unique<Translation>(std::move(own), table.spec));
}

std::unique_ptr<RowStream> TranslatingNode::changes_since(const ActiveTable& table,
                                                          const Knowledge& known) {
  const Translation& translated = translation(table);
  return std::make_unique<ShownRows>(inner_.changes_since(translated.own, known), translated);
}

std::unique_ptr<RowStream> TranslatingNode::all_rows(const ActiveTable& table) {
  const Translation& translated = translation(table);
  return std::make_unique<ShownRows>(inner_.all_rows(translated.own), translated);
}

bool TranslatingNode::is_row_locked(const ActiveTable& table, RowView key, RowView row) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_key, own_row;
  if (translated.to_own.convert_key(key, own_key)) return false;
  if (!row.empty() && translated.to_own.convert_row(row, own_row)) return false;
  return inner_.is_row_locked(translated.own, own_key, own_row);
}

LocalRow TranslatingNode::find(const ActiveTable& table, RowView key) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_key;
  if (translated.to_own.convert_key(key, own_key)) return {};
  LocalRow found = inner_.find(translated.own, own_key);
  if (!found.present) return found;
  const auto views = to_views(found.row);
  std::vector<ValueView> row;
  if (!translated.to_shown.convert_row(views, row)) found.row = to_row(row);
  return found;
}

std::vector<Row> TranslatingNode::unique_rivals(const ActiveTable& table, RowView row) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_row;
  if (translated.to_own.convert_row(row, own_row)) return {};
  std::vector<Row> rivals = inner_.unique_rivals(translated.own, own_row);
  for (Row& key : rivals) {
    const auto views = to_views(key);
    std::vector<ValueView> shown;
    if (!translated.to_shown.convert_key(views, shown)) key = to_row(shown);
  }
  return rivals;
}

TableDigest TranslatingNode::digest(const ActiveTable& table) {
  const std::unique_ptr<RowStream> rows = all_rows(table);
  TableDigest digest;
  std::string encoding;
  ChangedRow row;
  while (rows->next(row)) {
    if (!row.present) continue;
    encoding.clear();
    append_encoding(row.row, encoding);
    const XXH128_hash_t hash = XXH3_128bits(encoding.data(), encoding.size());
    ++digest.rows;
    digest.low += hash.low64;
    digest.high += hash.high64;
  }
  return digest;
}

bool TranslatingNode::is_referenced(const ActiveTable& table) {
  return inner_.is_referenced(own(table));
}

// A row that cannot be turned into one of ours is not here, and nothing refers to it.
std::vector<Referrer> TranslatingNode::referrers(const ActiveTable& table, RowView row,
                                                 RowView instead) {
  Translation& translated = translation(table);
  RowConverter converter(translated.shown, translated.own.spec);
  std::vector<ValueView> own_row, own_instead;
  if (translated.to_own.convert_row(row, own_row)) return {};
  if (!instead.empty() && converter.convert_row(instead, own_instead)) return {};
  std::vector<Referrer> referrers = inner_.referrers(translated.own, own_row, own_instead);
  for (Referrer& referrer : referrers) {
    const auto found = std::find_if(
        own_tables_.begin(), own_tables_.end(),
        [&](const auto& candidate) { return candidate.second.spec.name == referrer.table; });
    TableSpec named;
    named.name = referrer.table;
    referrer.table = names_.agreed(named).name;
    if (found == own_tables_.end() || referrer.key.empty()) continue;
    const auto child = translations_.find(found->first);
    if (child == translations_.end()) continue;  // no session has asked for it: as it is
    const auto views = to_views(referrer.key);
    std::vector<ValueView> shown;
    if (!child->second->to_shown.convert_key(views, shown)) referrer.key = to_row(shown);
  }
  return referrers;
}

std::vector<std::size_t> TranslatingNode::missing_parents(const ActiveTable& table, RowView row) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_row;
  if (translated.to_own.convert_row(row, own_row)) return {};
  return inner_.missing_parents(translated.own, own_row);
}

std::vector<Row> TranslatingNode::orphans(const ActiveTable& table, const Knowledge* known) {
  Translation& translated = translation(table);
  std::vector<Row> keys = inner_.orphans(translated.own, known);
  for (Row& key : keys) {
    const auto views = to_views(key);
    std::vector<ValueView> shown;
    if (!translated.to_shown.convert_key(views, shown)) key = to_row(shown);
  }
  return keys;
}

std::optional<Row> TranslatingNode::find_by(const ActiveTable& table,
                                            const std::vector<std::string>& columns,
                                            RowView values) {
  Translation& translated = translation(table);
  // The values stand where a row has them; the rest of it is not looked at.
  std::vector<ValueView> row(translated.shown.columns.size());
  std::vector<std::string> own_columns;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    for (std::size_t position = 0; position < row.size(); ++position) {
      if (translated.shown.columns[position].name != columns[i]) continue;
      row[position] = values[i];
      positions.push_back(position);
      own_columns.push_back(translated.own.spec.columns[position].name);
    }
  }
  std::vector<ValueView> own_row, own_values;
  if (translated.to_own.convert_row(row, own_row)) return std::nullopt;
  for (const std::size_t position : positions) own_values.push_back(own_row[position]);
  std::optional<Row> key = inner_.find_by(translated.own, own_columns, own_values);
  if (!key) return key;
  const auto views = to_views(*key);
  std::vector<ValueView> shown;
  if (!translated.to_shown.convert_key(views, shown)) key = to_row(shown);
  return key;
}

std::unique_ptr<Stage> TranslatingNode::make_stage(const ActiveTable& table, StageUse use) {
  const Translation& translated = translation(table);
  return std::make_unique<OwnStage>(inner_.make_stage(translated.own, use), translated);
}

PullCounts TranslatingNode::apply_known(const ActiveTable& table, Stage& stage,
                                        const Knowledge& source_knowledge, ApplySink& sink) {
  Translation& translated = translation(table);
  auto& own_stage = static_cast<OwnStage&>(stage);
  ShownApplySink shown(sink, translated);
  return inner_.apply_known(translated.own, own_stage.inner(), source_knowledge, shown);
}

std::vector<TableStanding> TranslatingNode::load_standings(const std::vector<ActiveTable>& tables) {
  std::vector<ActiveTable> own_tables;
  own_tables.reserve(tables.size());
  for (const ActiveTable& table : tables) own_tables.push_back(own(table));
  return inner_.load_standings(own_tables);
}

void TranslatingNode::compare_all(const ActiveTable& table, Stage& stage, PairSink& sink) {
  Translation& translated = translation(table);
  auto& own_stage = static_cast<OwnStage&>(stage);
  ShownPairSink shown(sink, translated);
  inner_.compare_all(translated.own, own_stage.inner(), shown);
}

std::optional<Refusal> TranslatingNode::put_row(const ActiveTable& table, RowView key,
                                                RowView row) {
  Translation& translated = translation(table);
  RowConverter key_converter(translated.shown, translated.own.spec);
  std::vector<ValueView> own_key, own_row;
  if (const auto reason = key_converter.convert_key(key, own_key)) {
    if (row.empty()) return std::nullopt;
    return Refusal{Refusal::Kind::type, *reason};
  }
  if (const auto reason = translated.to_own.convert_row(row, own_row)) {
    return Refusal{Refusal::Kind::type, *reason};
  }
  return inner_.put_row(translated.own, own_key, own_row);
}

void TranslatingNode::put_version(const ActiveTable& table, RowView key, bool present,
                                  const std::optional<Version>& version) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_key;
  if (translated.to_own.convert_key(key, own_key)) return;  // no row of it can be here
  inner_.put_version(translated.own, own_key, present, version);
}

std::optional<Refusal> TranslatingNode::write_as_local_change(const ActiveTable& table, RowView key,
                                                              RowView row) {
  Translation& translated = translation(table);
  RowConverter key_converter(translated.shown, translated.own.spec);
  std::vector<ValueView> own_key, own_row;
  if (const auto reason = key_converter.convert_key(key, own_key)) {
    return Refusal{Refusal::Kind::type, *reason};
  }
  if (const auto reason = translated.to_own.convert_row(row, own_row)) {
    return Refusal{Refusal::Kind::type, *reason};
  }
  return inner_.write_as_local_change(translated.own, own_key, own_row);
}

void TranslatingNode::touch(const ActiveTable& table, RowView key) {
  Translation& translated = translation(table);
  std::vector<ValueView> own_key;
  if (!translated.to_own.convert_key(key, own_key)) inner_.touch(translated.own, own_key);
}

}  // namespace tidemark
