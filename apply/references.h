// References keeps foreign keys whole in a pull, after its rows were written and before it commits.
// It gathers the rows that are involved in broken references, lets compare::judge() say which stay,
// which go and which wait, and acts on that, until no reference is broken. Holds references to the
// appliers of the pull's tables, which must outlive it; part of their transaction.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apply/table_applier.h"
#include "compare/decide.h"
#include "engines/engine.h"

namespace tidemark::apply {

/// Asks the source of a pull, as it is now, for the row that holds `values` in `columns`.
using FindAtSource = std::function<std::optional<Row>(
    const std::string& table, const std::vector<std::string>& columns, RowView values)>;

class References final : public ReferenceKeeper {
 public:
  References(Node& target, const compare::Rules& rules, FindAtSource find_at_source)
      : target_(target), rules_(rules), find_at_source_(std::move(find_at_source)) {}

  /// All tables of the pull, before anything is settled.
  void add(TableApplier& table);

  /// Every row of the pull's tables that was written refers to a row that is there, or to nothing.
  void settle();

  std::optional<std::int64_t> make_way(TableApplier& table, const Withdrawal& withdrawal,
                                       bool only_ask) override;

 private:
  class Gathering;

  bool gather_and_act();
  void suspect(TableApplier& table, const Row& key) override;
  void note_replaced(TableApplier& table, const Row& key, const Row& before) override;
  void suspect_referrers(const TableApplier& table, RowView row);
  void remember_gone(const TableApplier& table, const Row& key, const Row& row);
  std::optional<Row> find_gone(const TableApplier& table, const std::vector<std::string>& columns,
                               RowView values) const;

  Node& target_;
  const compare::Rules& rules_;
  const FindAtSource find_at_source_;
  std::map<std::string, TableApplier*> tables_;
  std::vector<TableApplier*> order_;
  /// Rows that may refer to what is not there, by table.
  std::map<std::string, std::set<Row, KeyOrder>> suspects_;
  /// Rows that went in this pull, as they were: they can come back.
  std::map<std::string, std::map<Row, Row, KeyOrder>> gone_;
};

}  // namespace tidemark::apply
