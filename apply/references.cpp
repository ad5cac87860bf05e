#include "apply/references.h"

#include <algorithm>

#include "model/error.h"

namespace tidemark::apply {
namespace {

/// Rounds until nothing is broken. Each settles what the one before laid bare; the versions that
/// they make only grow, so there is an end.
constexpr int kRounds = 1000;

std::vector<ValueView> values_of(const TableSpec& spec, const std::vector<std::string>& columns,
                                 RowView row) {
  std::vector<ValueView> values;
  for (const std::string& name : columns) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (spec.columns[i].name == name) values.push_back(row[i]);
    }
  }
  return values;
}

std::string name_of(const std::string& table, RowView key) {
  std::string name = table + '\0';
  append_encoding(key, name);
  return name;
}

/// The key that `values` of `columns` make, when these are the key's columns in any order.
std::optional<Row> as_key(const TableSpec& spec, const std::vector<std::string>& columns,
                          RowView values) {
  if (columns.size() != spec.key.size()) return std::nullopt;
  Row key;
  for (const std::size_t position : spec.key) {
    const auto found = std::find(columns.begin(), columns.end(), spec.columns[position].name);
    if (found == columns.end()) return std::nullopt;
    key.emplace_back(values[static_cast<std::size_t>(found - columns.begin())]);
  }
  return key;
}

}  // namespace

/// The rows that are involved in broken references, and what becomes of them.
class References::Gathering {
 public:
  explicit Gathering(References& owner) : owner_(owner), target_(owner.target_) {}

  void add_held(TableApplier& table, Withdrawal withdrawal) {
    const std::size_t index = entry(table.table().spec.name, to_views(withdrawal.key));
    Item& item = items_[index];
    item.kind = Kind::held;
    item.applier = &table;
    item.key = withdrawal.key;
    // Read again: it may have been written since it was held.
    item.row = target_.find(table.table(), to_views(withdrawal.key)).row;
    rows_[index].present = false;
    rows_[index].version = withdrawal.version;
    item.withdrawal = std::move(withdrawal);
    add_referrers(index);
  }

  void add_arrival(TableApplier& table, TableApplier::Arrival arrival) {
    const std::size_t index = entry(table.table().spec.name, to_views(arrival.key));
    Item& item = items_[index];
    item.kind = Kind::arrival;
    item.applier = &table;
    item.key = arrival.key;
    item.row = arrival.row;
    rows_[index].present = true;
    rows_[index].can_be_held = true;  // even if another that waits has asked for it before
    rows_[index].version = arrival.version;
    item.arrival = std::move(arrival);
    item.expanded = true;
    arrivals_.push_back(index);
  }

  /// After all of them were added: they may refer to each other.
  void connect_arrivals() {
    for (const std::size_t index : arrivals_) {
      add_missing_parents(index);
      // What refers to the row that is there goes with it.
      TableApplier& table = *items_[index].applier;
      const LocalRow local = target_.find(table.table(), to_views(items_[index].key));
      if (local.present && table.is_referenced()) add_referrers_of(index, local.row, {});
    }
  }

  /// False when the row is not there, or refers to nothing that is missing.
  bool add_suspect(TableApplier& table, const Row& key) {
    LocalRow local = target_.find(table.table(), to_views(key));
    if (!local.present) return false;
    if (target_.missing_parents(table.table(), to_views(local.row)).empty()) return false;
    const std::size_t index = add_present(table, key, std::move(local));
    add_missing_parents(index);
    return true;
  }

  bool empty() const { return items_.empty(); }

  void judge(bool mirror) {
    // Rows that may go take along what refers to them, which may be more.
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].expanded) add_referrers(i);
    }
    fates_ = owner_.rules_.judge(rows_, mirror);
  }

  const compare::RowFate& fate_of(const std::string& table, RowView key) {
    return fates_[positions_.at(name_of(table, key))];
  }

  /// A row that somebody else takes away.
  using Spared = std::pair<const TableApplier*, const Row*>;

  void act(const Spared* spared = nullptr) {
    bring_back();
    take_in();
    for (std::size_t i = 0; i < items_.size(); ++i) {
      Item& item = items_[i];
      const compare::RowFate& fate = fates_[i];
      if (item.kind == Kind::held && fate.fate != compare::Fate::goes) {
        item.applier->keep(item.withdrawal, fate.later_than_us);
        owner_.suspect(*item.applier, item.key);
      } else if (item.kind == Kind::present && fate.fate == compare::Fate::waits) {
        wait(i);
      } else if (item.kind == Kind::present && fate.fate == compare::Fate::stays) {
        // What it refers to may come back and meet something else that is in its way.
        owner_.suspect(*item.applier, item.key);
      } else if (item.kind == Kind::arrival && !item.done && fate.fate != compare::Fate::goes) {
        item.applier->set_aside(item.arrival);
        // What keeps its place may refer to rows that have left.
        owner_.suspect(*item.applier, item.key);
      }
    }
    take_away(spared);
  }

 private:
  enum class Kind : std::uint8_t {
    outside,  // in a table that the pull does not know
    present,
    held,     // there; its delete, or another row, has come
    arrival,  // not there yet, or as another row
    missing,  // deleted here, or never here
  };
  struct Item {
    Kind kind = Kind::outside;
    TableApplier* applier = nullptr;
    Row key;
    Row row;  // as it is there, or could come back
    Withdrawal withdrawal;
    TableApplier::Arrival arrival;
    bool expanded = false;  // what refers to it is among the items
    bool came = false;      // written by this pull
    bool done = false;
  };

  std::size_t entry(const std::string& table, RowView key) {
    const auto [position, is_new] = positions_.try_emplace(name_of(table, key), items_.size());
    if (is_new) {
      items_.emplace_back();
      rows_.emplace_back();
    }
    return position->second;
  }

  bool is_known(const std::string& table, RowView key) const {
    return positions_.contains(name_of(table, key));
  }

  std::size_t add_present(TableApplier& table, const Row& key, LocalRow local) {
    const std::string& name = table.table().spec.name;
    const bool known = is_known(name, to_views(key));
    const std::size_t index = entry(name, to_views(key));
    if (known) return index;
    Item& item = items_[index];
    item.kind = Kind::present;
    item.applier = &table;
    item.key = key;
    item.row = std::move(local.row);
    item.came = table.came(local.version);
    rows_[index].present = true;
    rows_[index].version = local.version;
    return index;
  }

  void connect(std::size_t child, std::size_t parent) {
    std::vector<std::size_t>& parents = rows_[child].parents;
    if (std::find(parents.begin(), parents.end(), parent) == parents.end()) {
      parents.push_back(parent);
    }
  }

  void add_referrers(std::size_t index) {
    items_[index].expanded = true;
    const Item item = items_[index];
    if (item.applier == nullptr || item.row.empty() || !item.applier->is_referenced()) return;
    if (item.kind == Kind::missing || item.kind == Kind::arrival) return;
    add_referrers_of(index, item.row, item.kind == Kind::held ? item.withdrawal.row : Row());
  }

  void add_referrers_of(std::size_t index, const Row& row, const Row& instead) {
    TableApplier& table = *items_[index].applier;
    for (const Referrer& referrer :
         target_.referrers(table.table(), to_views(row), to_views(instead))) {
      const auto applier = owner_.tables_.find(referrer.table);
      if (applier == owner_.tables_.end() || referrer.key.empty()) {
        const std::size_t outside = entry(referrer.table, to_views(referrer.key));
        rows_[outside].outside = true;
        items_[outside].expanded = true;
        connect(outside, index);
        continue;
      }
      const std::size_t child =
          add_present(*applier->second, referrer.key,
                      target_.find(applier->second->table(), to_views(referrer.key)));
      // What comes in the place of this row refers to other rows.
      if (items_[child].kind != Kind::arrival) connect(child, index);
    }
  }

  void add_missing_parents(std::size_t index) {
    const Item item = items_[index];
    const TableSpec& spec = item.applier->table().spec;
    const auto row = to_views(item.row);
    for (const std::size_t key : target_.missing_parents(item.applier->table(), row)) {
      const ForeignKeySpec& foreign_key = spec.foreign_keys[key];
      const auto values = values_of(spec, foreign_key.columns, row);
      connect(index, add_missing(foreign_key, values, name_of(spec.name, to_views(item.key))));
    }
  }

  std::size_t add_missing(const ForeignKeySpec& foreign_key, RowView values,
                          const std::string& child) {
    const std::string& name = foreign_key.parent_table;
    const auto applier = owner_.tables_.find(name);
    if (applier == owner_.tables_.end()) {
      const std::size_t index = entry(name + " by another key", values);
      rows_[index].present = false;
      rows_[index].can_be_held = false;
      items_[index].kind = Kind::missing;
      items_[index].expanded = true;
      return index;
    }
    TableApplier& parent = *applier->second;
    const TableSpec& spec = parent.table().spec;
    std::optional<Row> key = as_key(spec, foreign_key.parent_columns, values);
    if (key && is_known(name, to_views(*key))) return entry(name, to_views(*key));
    for (const std::size_t index : arrivals_) {
      const Item& item = items_[index];
      if (item.applier == &parent &&
          identical(values_of(spec, foreign_key.parent_columns, to_views(item.row)), values)) {
        return index;
      }
    }
    std::optional<Row> row = owner_.find_at_source_(name, foreign_key.parent_columns, values);
    if (!row) row = owner_.find_gone(parent, foreign_key.parent_columns, values);
    if (row) key = to_row(key_of(spec, to_views(*row)));
    if (row && name_of(name, to_views(*key)) == child) {
      // A value that the row itself had once: it would have to be two rows.
      row.reset();
      key.reset();
    }
    // What a row that is here had once is not that row.
    const bool is_key = as_key(spec, foreign_key.parent_columns, values).has_value();
    const std::string shown_name = is_key ? name : name + " by another key";
    const auto key_views =
        key ? to_views(*key) : std::vector<ValueView>(values.begin(), values.end());
    const bool known = is_known(shown_name, is_key ? RowView(key_views) : values);
    const std::size_t index = entry(shown_name, is_key ? RowView(key_views) : values);
    if (known) return index;
    {
      Item& item = items_[index];
      item.kind = Kind::missing;
      item.applier = &parent;
      item.expanded = true;
    }
    rows_[index].present = false;
    rows_[index].can_be_held = row.has_value();
    if (!key) return index;
    items_[index].key = *key;
    const LocalRow local = target_.find(parent.table(), key_views);
    rows_[index].version = local.version;
    if (parent.is_quarantined(key_views)) rows_[index].can_be_held = false;
    if (!row) return index;
    items_[index].row = *row;
    add_missing_parents(index);
    return index;
  }

  // Parents first: a product that checks foreign keys lets no child in before.
  void bring_back() {
    for (bool again = true; again;) {
      again = false;
      for (std::size_t i = items_.size(); i-- > 0;) {
        Item& item = items_[i];
        if (item.kind != Kind::missing || item.done || item.applier == nullptr) continue;
        if (fates_[i].fate != compare::Fate::stays || !has_children(i)) continue;
        // Another row may stand there, of which others refer to a value that goes with it.
        const LocalRow local = target_.find(item.applier->table(), to_views(item.key));
        if (item.applier->bring_back(to_views(item.key), to_views(item.row),
                                     fates_[i].later_than_us)) {
          continue;
        }
        if (local.present) {
          owner_.remember_gone(*item.applier, item.key, local.row);
          owner_.suspect_referrers(*item.applier, to_views(local.row));
        }
        item.done = true;
        again = true;
        owner_.suspect(*item.applier, item.key);
      }
    }
  }

  /// Some row that stays refers to it.
  bool has_children(std::size_t parent) const {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (fates_[i].fate != compare::Fate::stays) continue;
      const auto& parents = rows_[i].parents;
      if (std::find(parents.begin(), parents.end(), parent) != parents.end()) return true;
    }
    return false;
  }

  void take_in() {
    for (;;) {
      bool again = false;
      for (std::size_t i = 0; i < items_.size(); ++i) {
        Item& item = items_[i];
        if (item.kind != Kind::arrival || item.done) continue;
        if (fates_[i].fate != compare::Fate::stays) continue;
        if (const auto refusal = item.applier->take_in(item.arrival)) {
          item.arrival.reason = refusal->reason;
          continue;
        }
        item.done = again = true;
        owner_.suspect(*item.applier, item.key);
      }
      if (!again && !take_in_part()) return;
    }
  }

  /// Rows that wait for each other: one goes first, without its references.
  bool take_in_part() {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      Item& item = items_[i];
      if (item.kind != Kind::arrival || item.done || !item.arrival.whole) continue;
      if (fates_[i].fate != compare::Fate::stays) continue;
      const auto missing =
          target_.missing_parents(item.applier->table(), to_views(item.arrival.row));
      item.arrival.whole = false;
      if (item.applier->take_in_without(item.arrival, missing)) return true;
    }
    return false;
  }

  void wait(std::size_t index) {
    Item& item = items_[index];
    if (item.applier->clear_place(to_views(item.key), item.row)) {
      owner_.remember_gone(*item.applier, item.key, item.row);
      owner_.suspect_referrers(*item.applier, to_views(item.row));
      return;
    }
    // What the source itself holds without a parent is its application's affair.
    if (is_as_at_source(index)) return;
    LocalRow local = target_.find(item.applier->table(), to_views(item.key));
    TableApplier::Arrival arrival{.key = item.key,
                                  .row = item.row,
                                  .version = rows_[index].version,
                                  .reason = reason_of(index)};
    target_.put_row(item.applier->table(), to_views(item.key), {});
    target_.put_version(item.applier->table(), to_views(item.key), false, std::nullopt);
    item.applier->set_aside(arrival);
    owner_.remember_gone(*item.applier, item.key, item.row);
  }

  bool is_as_at_source(std::size_t index) const {
    if (!target_.traits().loose) return false;
    for (const std::size_t parent : rows_[index].parents) {
      const Item& item = items_[parent];
      if (fates_[parent].fate != compare::Fate::waits) continue;
      if (item.kind != Kind::missing || item.applier == nullptr || !item.row.empty()) return false;
      if (!item.key.empty() && item.applier->is_quarantined(to_views(item.key))) return false;
    }
    const TableSpec& spec = items_[index].applier->table().spec;
    std::vector<std::string> key;
    for (const std::size_t position : spec.key) key.push_back(spec.columns[position].name);
    const auto there = owner_.find_at_source_(spec.name, key, to_views(items_[index].key));
    return there && *there == items_[index].row;
  }

  std::string reason_of(std::size_t index) const {
    for (const std::size_t parent : rows_[index].parents) {
      if (fates_[parent].fate != compare::Fate::waits) continue;
      const Item& item = items_[parent];
      std::string reason = "it refers to a row";
      if (item.applier != nullptr) {
        reason += " of table " + item.applier->table().spec.name;
        if (!item.key.empty()) reason += " (key " + to_string(to_views(item.key)) + ")";
      }
      return reason + " that is not here";
    }
    return "it refers to a row that is not here";
  }

  // Children first, as far as there is an order; who is left refers to each other.
  void take_away(const Spared* spared) {
    std::vector<std::size_t> going;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const Item& item = items_[i];
      const bool is_row = item.kind == Kind::held || item.kind == Kind::present ||
                          (item.kind == Kind::arrival && !item.done);
      if (is_row && fates_[i].fate == compare::Fate::goes && item.applier != nullptr &&
          (spared == nullptr || item.applier != spared->first || item.key != *spared->second)) {
        going.push_back(i);
      }
    }
    bool forced = false;
    while (!going.empty()) {
      std::vector<std::size_t> left;
      for (const std::size_t i : going) {
        if (!take_away(i, forced)) left.push_back(i);
      }
      if (left.size() == going.size()) {
        if (forced) {
          for (const std::size_t i : left) items_[i].applier->give_up(items_[i].withdrawal);
          return;
        }
        forced = true;
        for (const std::size_t i : left) let_go_of_parents(items_[i]);
      }
      going = std::move(left);
    }
  }

  // An engine that looks at foreign keys after every row lets none of a ring go. What a row that
  // goes refers with is emptied where it may be: the row is taken away right after, or nothing is
  // written at all.
  void let_go_of_parents(const Item& item) {
    if (item.kind == Kind::held && !item.withdrawal.row.empty()) return;
    const TableSpec& spec = item.applier->table().spec;
    const auto key = to_views(item.key);
    const LocalRow local = target_.find(item.applier->table(), key);
    if (!local.present ||
        (item.kind == Kind::held && local.version != item.withdrawal.local.version)) {
      return;
    }
    Row row = local.row;
    for (const ForeignKeySpec& reference : spec.foreign_keys) {
      for (const std::string& name : reference.columns) {
        const auto column =
            std::find_if(spec.columns.begin(), spec.columns.end(),
                         [&](const ColumnSpec& candidate) { return candidate.name == name; });
        const auto at = static_cast<std::size_t>(column - spec.columns.begin());
        if (column == spec.columns.end() || column->not_null || spec.is_in_key(at)) continue;
        row[at] = Value();
      }
    }
    if (row != local.row) target_.put_row(item.applier->table(), key, to_views(row));
  }

  bool take_away(std::size_t index, bool forced) {
    Item& item = items_[index];
    TableApplier& table = *item.applier;
    if (!forced && table.is_referenced() && !item.row.empty()) {
      const LocalRow local = target_.find(table.table(), to_views(item.key));
      const Row instead = item.kind == Kind::held ? item.withdrawal.row : Row();
      if (local.present &&
          !target_.referrers(table.table(), to_views(local.row), to_views(instead)).empty()) {
        return false;
      }
    }
    if (item.kind == Kind::held) {
      if (table.carry_out(item.withdrawal)) return false;
    } else {
      const bool arriving = item.kind == Kind::arrival || item.came;
      table.bury(to_views(item.key),
                 {.present = true, .row = item.row, .version = rows_[index].version},
                 {.type = arriving ? ConflictType::parent_missing : ConflictType::child_exists,
                  .by = fates_[index].deleted_by,
                  .later_than_us = fates_[index].later_than_us});
    }
    owner_.remember_gone(table, item.key, item.row);
    if (table.is_referenced() && !item.row.empty()) {
      owner_.suspect_referrers(table, to_views(item.row));
    }
    return true;
  }

  References& owner_;
  Node& target_;
  std::map<std::string, std::size_t> positions_;
  std::vector<Item> items_;
  std::vector<std::size_t> arrivals_;
  std::vector<compare::ReferringRow> rows_;
  std::vector<compare::RowFate> fates_;
};

void References::add(TableApplier& table) {
  tables_[table.table().spec.name] = &table;
  order_.push_back(&table);
}

void References::suspect(TableApplier& table, const Row& key) {
  const TableSpec& spec = table.table().spec;
  if (spec.foreign_keys.empty()) return;
  suspects_.try_emplace(spec.name, KeyOrder(spec)).first->second.insert(key);
}

void References::note_replaced(TableApplier& table, const Row& key, const Row& before) {
  remember_gone(table, key, before);
  suspect_referrers(table, to_views(before));
}

void References::suspect_referrers(const TableApplier& table, RowView row) {
  for (const Referrer& referrer : target_.referrers(table.table(), row, {})) {
    const auto child = tables_.find(referrer.table);
    if (child != tables_.end() && !referrer.key.empty()) suspect(*child->second, referrer.key);
  }
}

void References::remember_gone(const TableApplier& table, const Row& key, const Row& row) {
  const TableSpec& spec = table.table().spec;
  if (row.empty()) return;
  gone_.try_emplace(spec.name, KeyOrder(spec)).first->second.insert_or_assign(key, row);
}

std::optional<Row> References::find_gone(const TableApplier& table,
                                         const std::vector<std::string>& columns,
                                         RowView values) const {
  const TableSpec& spec = table.table().spec;
  const auto found = gone_.find(spec.name);
  if (found == gone_.end()) return std::nullopt;
  if (const auto key = as_key(spec, columns, values)) {
    const auto row = found->second.find(*key);
    if (row == found->second.end()) return std::nullopt;
    return row->second;
  }
  for (const auto& [key, row] : found->second) {
    if (identical(values_of(spec, columns, to_views(row)), values)) return row;
  }
  return std::nullopt;
}

void References::settle() {
  for (TableApplier* table : order_) {
    for (const Row& key : table->orphans()) suspect(*table, key);
  }
  for (int round = 0; round < kRounds; ++round) {
    if (!gather_and_act()) return;
  }
  throw Error(ExitCode::failed,
              "node " + target_.name() + ": references between rows cannot be settled",
              "nothing was written; report this with the tables' definitions", true);
}

bool References::gather_and_act() {
  for (TableApplier* table : order_) table->settle_unique();
  bool mirror = false;
  Gathering gathering(*this);
  for (TableApplier* table : order_) {
    mirror |= table->mirrors();
    // What left its table for a unique value and did not come back may have left children.
    for (const Row& row : std::exchange(table->parked_rows(), {})) {
      const auto views = to_views(row);
      const auto key = key_of(table->table().spec, views);
      if (target_.find(table->table(), key).present) continue;
      remember_gone(*table, to_row(key), row);
      suspect_referrers(*table, views);
    }
  }
  for (TableApplier* table : order_) {
    for (auto& arrival : std::exchange(table->arrivals(), {})) {
      gathering.add_arrival(*table, std::move(arrival));
    }
  }
  gathering.connect_arrivals();
  for (TableApplier* table : order_) {
    for (auto& withdrawal : std::exchange(table->held(), {})) {
      if (table->is_overtaken(withdrawal)) {
        table->note_overtaken(withdrawal);
        suspect(*table, withdrawal.key);
      } else {
        gathering.add_held(*table, std::move(withdrawal));
      }
    }
  }
  auto suspects = std::exchange(suspects_, {});
  for (auto& [name, keys] : suspects) {
    for (const Row& key : keys) gathering.add_suspect(*tables_.at(name), key);
  }
  if (gathering.empty()) return false;
  gathering.judge(mirror);
  gathering.act();
  return true;
}

std::optional<std::int64_t> References::make_way(TableApplier& table, const Withdrawal& withdrawal,
                                                 bool only_ask) {
  const auto is_other = [&](const TableApplier* other, const Withdrawal& held) {
    return other != &table || held.key != withdrawal.key;
  };
  Gathering gathering(*this);
  for (TableApplier* other : order_) {
    for (const Withdrawal& held : other->held()) {
      if (is_other(other, held) && !other->is_overtaken(held)) gathering.add_held(*other, held);
    }
  }
  gathering.add_held(table, withdrawal);
  gathering.judge(table.mirrors());
  const compare::RowFate& fate =
      gathering.fate_of(table.table().spec.name, to_views(withdrawal.key));
  if (fate.fate != compare::Fate::goes) return fate.later_than_us.value_or(0);
  if (only_ask) return std::nullopt;
  for (TableApplier* other : order_) {
    std::erase_if(other->held(), [&](const Withdrawal& held) {
      return is_other(other, held) && !other->is_overtaken(held);
    });
  }
  const Gathering::Spared spared{&table, &withdrawal.key};
  gathering.act(&spared);
  return std::nullopt;
}

}  // namespace tidemark::apply
