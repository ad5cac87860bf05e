// A checker that cannot fail is worse than none: each twin breaks the product in one place, and the
// checker has to notice.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <utility>

#include "tests/fixtures/node_decorator.h"
#include "tests/simulation/runner.h"

using namespace tidemark;
using namespace tidemark::simulation;

namespace {

/// Of 300 worlds the twin has to break the laws in `at_least` so many.
void check_caught(const std::string& name, const Twin& twin, std::uint64_t at_least,
                  const HistoryOptions& options = {}) {
  const RunReport report =
      run({.name = name, .histories = 300, .options = options, .twin = twin, .is_twin = true});
  CHECK_MESSAGE(report.violations >= at_least, name, ": noticed in ", report.violations, " of ",
                report.histories, " worlds");
}

/// Prefers the older of two versions, and tells nobody.
compare::Decision broken_receive(const compare::PullContext& context, const compare::Side& incoming,
                                 const compare::Side& local, bool equal, bool revert) {
  compare::Decision decision = compare::receive(context, incoming, local, equal, revert);
  if (!decision.conflict || !incoming.version || !local.version) return decision;
  decision.incoming_wins = !decision.incoming_wins;
  decision.action = decision.incoming_wins ? compare::Action::take : compare::Action::keep;
  return decision;
}

/// Deletes what only the target has, whatever the source has seen of it.
compare::Decision broken_only_at_target(const compare::PullContext&, const compare::Side&) {
  return {.action = compare::Action::forget};
}

/// Makes rows wait for ever that have lost to a delete.
std::vector<compare::RowFate> broken_judge(const std::vector<compare::ReferringRow>& rows,
                                           bool mirror) {
  std::vector<compare::RowFate> fates = compare::judge(rows, mirror);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].present && fates[i].fate == compare::Fate::goes) {
      fates[i].fate = compare::Fate::waits;
    }
  }
  return fates;
}

class ForgetfulHarvest final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;

  /// One of several touched keys gets no version.
  HarvestCounts harvest(const ActiveTable& table, TableState& state) override {
    std::optional<Row> first;
    const Knowledge before = state.knowledge;
    std::optional<Version> version_before;
    const std::map<std::int64_t, LocalRow> rows = all(table);
    const HarvestCounts counts = inner().harvest(table, state);
    if (counts.versions < 3) return counts;
    for (const auto& [key, row] : all(table)) {
      if (!row.version || before.covers(*row.version)) continue;
      const auto old = rows.find(key);
      const auto key_views = to_views({Value::integer(key)});
      inner().put_version(table, key_views, row.present,
                          old == rows.end() ? std::nullopt : old->second.version);
      break;
    }
    return counts;
  }

 private:
  std::map<std::int64_t, LocalRow> all(const ActiveTable& table) {
    std::map<std::int64_t, LocalRow> rows;
    const std::unique_ptr<RowStream> stream = inner().all_rows(table);
    ChangedRow row;
    while (stream->next(row)) {
      rows[row.key[0].integer] = {.present = row.present, .row = {}, .version = row.version};
    }
    return rows;
  }
};

class ForgetfulConflictLog final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  bool log_conflict(const Conflict&) override { return true; }
};

/// Purges tombstones without remembering that it did.
class ForgetfulPurge final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                     const std::vector<Knowledge>& peers) override {
    TableState unused = state;
    return inner().purge(table, unused, before_us, peers);
  }
};

/// Takes over what the source knows, but drops one of the rows.
class ForgetfulApply final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  std::unique_ptr<RowStream> changes_since(const ActiveTable& table,
                                           const Knowledge& known) override {
    class AllButFirst final : public RowStream {
     public:
      explicit AllButFirst(std::unique_ptr<RowStream> rows) : rows_(std::move(rows)) {
        ChangedRow row;
        if (rows_->next(row)) has_more_ = rows_->next(first_);
      }
      bool next(ChangedRow& row) override {
        if (!std::exchange(has_more_, false)) return rows_->next(row);
        row = first_;
        return true;
      }

     private:
      std::unique_ptr<RowStream> rows_;
      ChangedRow first_;
      bool has_more_ = false;
    };
    return std::make_unique<AllButFirst>(inner().changes_since(table, known));
  }
};

/// Sends zero for every real that is almost zero, and for every negative zero.
class RoundingReader final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  std::unique_ptr<RowStream> changes_since(const ActiveTable& table,
                                           const Knowledge& known) override {
    class Rounded final : public RowStream {
     public:
      explicit Rounded(std::unique_ptr<RowStream> rows) : rows_(std::move(rows)) {}
      bool next(ChangedRow& row) override {
        if (!rows_->next(row)) return false;
        values_.assign(row.row.begin(), row.row.end());
        for (ValueView& value : values_) {
          if (value.kind == ValueKind::real && std::fabs(value.real) < 1e-300) value.real = 0.0;
        }
        row.row = values_;
        return true;
      }

     private:
      const std::unique_ptr<RowStream> rows_;
      std::vector<ValueView> values_;
    };
    return std::make_unique<Rounded>(inner().changes_since(table, known));
  }
};

/// Loses the rows that it cannot hold.
class ForgetfulQuarantine final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  void quarantine(const ActiveTable&, const QuarantinedRow&) override {}
};

/// Keeps the rows that it cannot hold to itself.
class SilentQuarantine final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  void begin_read() override {
    reading_ = true;
    NodeDecorator::begin_read();
  }
  void begin_write(Exclusion exclusion) override {
    reading_ = false;
    NodeDecorator::begin_write(exclusion);
  }
  std::int64_t count_quarantined() override {
    return reading_ ? 0 : NodeDecorator::count_quarantined();
  }

 private:
  bool reading_ = false;
};

/// Takes what is in the place of a row that waits for a lock for what was there when it came.
class TrustingQuarantine final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  void begin_write(Exclusion exclusion) override {
    NodeDecorator::begin_write(exclusion);
    writing_ = true;
  }
  void commit() override {
    writing_ = false;
    NodeDecorator::commit();
  }
  void rollback() noexcept override {
    writing_ = false;
    NodeDecorator::rollback();
  }
  std::vector<QuarantinedRow> quarantined(const ActiveTable& table) override {
    std::vector<QuarantinedRow> rows = inner().quarantined(table);
    for (QuarantinedRow& row : rows) {
      if (writing_) row.met = change_of(inner().find(table, to_views(row.key)).version);
    }
    return rows;
  }

 private:
  bool writing_ = false;
};

/// Does not tell that it has purged anything.
class SilentPurge final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  TableState load_state(const ActiveTable& table) override {
    TableState state = NodeDecorator::load_state(table);
    state.forgotten = Knowledge();
    return state;
  }
};

class BlindToOrphans final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;
  std::vector<Row> orphans(const ActiveTable&, const Knowledge*) override { return {}; }
};

template <typename Broken>
Twin twin_with() {
  Twin twin;
  twin.wrap = [](std::unique_ptr<Node> node) { return std::make_unique<Broken>(std::move(node)); };
  return twin;
}

}  // namespace

TEST_CASE("a broken resolver is noticed") {
  Twin twin;
  twin.rules.receive = &broken_receive;
  check_caught("broken resolver", twin, 100);
}

TEST_CASE("a full compare that deletes too much is noticed") {
  Twin twin;
  twin.rules.only_at_target = &broken_only_at_target;
  check_caught("broken full compare", twin, 50);
}

TEST_CASE("a rule for references that lets nobody go is noticed") {
  Twin twin;
  twin.rules.judge = &broken_judge;
  check_caught("broken rule for references", twin, 30, {.references = true});
}

TEST_CASE("a target that looks for no broken references is noticed") {
  check_caught("no look at references", twin_with<BlindToOrphans>(), 30, {.references = true});
}

TEST_CASE("a source that alters values is noticed") {
  check_caught("altered values", twin_with<RoundingReader>(), 30, {.boundary_values = true});
}

TEST_CASE("a node that loses what it cannot hold is noticed") {
  check_caught("forgetful quarantine", twin_with<ForgetfulQuarantine>(), 30, {.checks = true});
}

TEST_CASE("a node that keeps what it cannot hold to itself is noticed") {
  check_caught("silent quarantine", twin_with<SilentQuarantine>(), 5, {.checks = true});
}

TEST_CASE("a node that loses the change of a row that somebody holds is noticed") {
  check_caught("forgetful quarantine of held rows", twin_with<ForgetfulQuarantine>(), 30,
               {.locks = true});
}

TEST_CASE("a node that does not see what the holder of a row wrote is noticed") {
  check_caught("trusting quarantine of held rows", twin_with<TrustingQuarantine>(), 1,
               {.locks = true});
}

TEST_CASE("a node that purges without a trace is noticed by nodes that were forgotten") {
  check_caught("purge without a trace", twin_with<SilentPurge>(), 1, {.membership = true});
}

TEST_CASE("a forgetful harvest is noticed") {
  check_caught("forgetful harvest", twin_with<ForgetfulHarvest>(), 30);
}

TEST_CASE("a conflict log that forgets is noticed") {
  check_caught("forgetful conflict log", twin_with<ForgetfulConflictLog>(), 100);
}

TEST_CASE("a purge that is not remembered is noticed") {
  check_caught("forgetful purge", twin_with<ForgetfulPurge>(), 1);
}

TEST_CASE("a source that skips a row is noticed") {
  check_caught("skipped row", twin_with<ForgetfulApply>(), 100);
}
