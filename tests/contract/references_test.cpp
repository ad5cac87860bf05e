// What engines say of references between rows.
#include <algorithm>

#include "tests/contract/contract.h"

using namespace tidemark;           // NOLINT(google-build-using-namespace)
using namespace tidemark::testing;  // NOLINT(google-build-using-namespace)

namespace {

/// shop(id, boss -> staff), staff(id, shop -> shop, chief -> staff), stock(a, b) with two columns
/// for a key, move(id, a, b -> stock; code is unique), note(id, code -> move.code)
std::vector<TableSpec> tables() {
  const auto column = [](const char* name) {
    return ColumnSpec{.name = name, .declared_type = "INTEGER"};
  };
  const auto table = [&](const char* name, std::vector<const char*> columns) {
    TableSpec spec;
    spec.name = name;
    for (const char* each : columns) spec.columns.push_back(column(each));
    spec.key = {0};
    spec.integer_key = true;
    return spec;
  };
  TableSpec shop = table("shop", {"id", "boss"});
  shop.foreign_keys = {{.columns = {"boss"}, .parent_table = "staff", .parent_columns = {"id"}}};
  TableSpec staff = table("staff", {"id", "shop", "chief"});
  staff.foreign_keys = {{.columns = {"shop"}, .parent_table = "shop", .parent_columns = {"id"}},
                        {.columns = {"chief"},
                         .parent_table = "staff",
                         .parent_columns = {"id"},
                         .on_delete = ReferenceAction::cascade}};
  TableSpec stock = table("stock", {"a", "b"});
  stock.key = {0, 1};
  stock.integer_key = false;
  TableSpec move = table("move", {"id", "b", "a", "code"});
  move.uniques = {{.name = "code", .columns = {3}}};
  move.foreign_keys = {
      {.columns = {"b", "a"}, .parent_table = "stock", .parent_columns = {"b", "a"}}};
  TableSpec note = table("note", {"id", "code"});
  note.foreign_keys = {{.columns = {"code"}, .parent_table = "move", .parent_columns = {"code"}}};
  return {shop, staff, stock, move, note};
}

struct World {
  explicit World(std::unique_ptr<TestDatabase> database) : contract(std::move(database)) {
    contract.database->create_tables(specs);
    for (const TableSpec& spec : specs) active.push_back(contract.activate(spec));
  }

  void insert(std::size_t table, const Row& row) { contract.database->insert(specs[table], row); }
  std::vector<std::string> referrers(std::size_t table, const Row& row, const Row& instead = {}) {
    return contract.write([&] {
      std::vector<std::string> found;
      for (const Referrer& referrer :
           contract.node->referrers(active[table], to_views(row), to_views(instead))) {
        found.push_back(referrer.table + " " + to_string(RowView(to_views(referrer.key))));
      }
      std::sort(found.begin(), found.end());
      return found;
    });
  }
  std::vector<std::size_t> missing(std::size_t table, const Row& row) {
    return contract.write(
        [&] { return contract.node->missing_parents(active[table], to_views(row)); });
  }

  const std::vector<TableSpec> specs = tables();
  Contract contract;
  std::vector<ActiveTable> active;
};

enum Table : std::size_t { kShop, kStaff, kStock, kMove, kNote };
using Names = std::vector<std::string>;
using Positions = std::vector<std::size_t>;

}  // namespace

TEST_CASE_TEMPLATE("a table to which others refer is known", Engine, TIDEMARK_ENGINES) {
  World world(Engine::make());
  for (const std::size_t table : {kShop, kStaff, kStock, kMove}) {
    CHECK(world.contract.node->is_referenced(world.active[table]));
  }
  CHECK_FALSE(world.contract.node->is_referenced(world.active[kNote]));
}

TEST_CASE_TEMPLATE("who refers to a row is found, by every foreign key", Engine, TIDEMARK_ENGINES) {
  World world(Engine::make());
  world.insert(kStaff, {integer(1), null(), integer(1)});
  world.insert(kShop, {integer(10), integer(1)});
  world.insert(kStaff, {integer(2), integer(10), integer(1)});
  world.insert(kStaff, {integer(3), integer(10), null()});
  CHECK(world.referrers(kStaff, {integer(1), null(), integer(1)}) == Names{"shop 10", "staff 2"});
  CHECK(world.referrers(kShop, {integer(10), integer(1)}) == Names{"staff 2", "staff 3"});
  CHECK(world.referrers(kStaff, {integer(3), integer(10), null()}).empty());
  // A row that keeps its key takes nothing away.
  CHECK(world.referrers(kShop, {integer(10), integer(1)}, {integer(10), null()}).empty());
}

TEST_CASE_TEMPLATE("keys of several columns, in any order, and other columns than the key", Engine,
                   TIDEMARK_ENGINES) {
  World world(Engine::make());
  world.insert(kStock, {integer(1), integer(2)});
  world.insert(kMove, {integer(5), integer(2), integer(1), integer(77)});
  world.insert(kMove, {integer(6), integer(9), null(), integer(78)});
  world.insert(kNote, {integer(8), integer(77)});
  CHECK(world.referrers(kStock, {integer(1), integer(2)}) == Names{"move 5"});
  CHECK(world.referrers(kStock, {integer(2), integer(1)}).empty());
  const Row move{integer(5), integer(2), integer(1), integer(77)};
  CHECK(world.referrers(kMove, move) == Names{"note 8"});
  CHECK(world.referrers(kMove, move, {integer(5), null(), null(), integer(77)}).empty());
  CHECK(world.referrers(kMove, move, {integer(5), null(), null(), integer(79)}) == Names{"note 8"});
  CHECK(world.missing(kMove, {integer(7), integer(2), integer(1), null()}).empty());
  CHECK(world.missing(kMove, {integer(7), integer(1), integer(2), null()}) == Positions{0});
  CHECK(world.missing(kNote, {integer(9), integer(78)}).empty());
  CHECK(world.missing(kNote, {integer(9), integer(79)}) == Positions{0});
  world.contract.write([&] {
    Node& node = *world.contract.node;
    CHECK(node.find_by(world.active[kStock], {"b", "a"}, to_views({integer(2), integer(1)})) ==
          Row{integer(1), integer(2)});
    CHECK(node.find_by(world.active[kMove], {"code"}, to_views({integer(78)})) == Row{integer(6)});
    CHECK_FALSE(node.find_by(world.active[kMove], {"code"}, to_views({integer(79)})));
  });
}

TEST_CASE_TEMPLATE("a parent that is not there is missed, but by NULL and by a row itself", Engine,
                   TIDEMARK_ENGINES) {
  World world(Engine::make());
  world.insert(kShop, {integer(10), null()});
  CHECK(world.missing(kStaff, {integer(1), null(), null()}).empty());
  CHECK(world.missing(kStaff, {integer(1), integer(10), integer(1)}).empty());
  CHECK(world.missing(kStaff, {integer(1), integer(11), integer(2)}) == Positions{0, 1});
  CHECK(world.missing(kMove, {integer(7), integer(1), null(), null()}).empty());
}

TEST_CASE_TEMPLATE("rows written without a parent are found, or not let in", Engine,
                   TIDEMARK_ENGINES) {
  World world(Engine::make());
  const std::vector<Row> found = world.contract.write([&] {
    Node& node = *world.contract.node;
    const auto put = [&](const Row& row, std::int64_t sequence) {
      const auto key = key_of(world.specs[kStaff], to_views(row));
      if (node.put_row(world.active[kStaff], key, to_views(row))) return;
      node.put_version(world.active[kStaff], key, true, foreign(10, sequence));
    };
    put({integer(1), null(), integer(9)}, 1);
    put({integer(2), null(), integer(9)}, 2);
    put({integer(3), null(), integer(3)}, 3);
    const Knowledge known = knowledge(kOtherOrigin, 1);
    std::vector<Row> keys = node.orphans(world.active[kStaff], &known);
    if (node.traits().checks_references) {
      CHECK_FALSE(node.find(world.active[kStaff], to_views({integer(2)})).present);
      CHECK(keys.empty());
      keys = {{integer(2)}};
    } else {
      CHECK(node.orphans(world.active[kStaff], nullptr).size() == 2);
    }
    // The application would not have let them in either.
    node.put_row(world.active[kStaff], to_views({integer(1)}), {});
    node.put_row(world.active[kStaff], to_views({integer(2)}), {});
    return keys;
  });
  CHECK(found == std::vector<Row>{{integer(2)}});
}

TEST_CASE_TEMPLATE("a delete of a row to which another refers is handed over, with the row", Engine,
                   TIDEMARK_ENGINES) {
  World world(Engine::make());
  world.insert(kStaff, {integer(1), null(), null()});
  world.insert(kStaff, {integer(2), null(), integer(1)});
  world.insert(kStaff, {integer(3), null(), integer(3)});
  world.insert(kMove, {integer(5), null(), null(), integer(77)});
  world.insert(kNote, {integer(8), integer(77)});
  struct Sink final : ApplySink {
    std::vector<std::pair<Row, LocalRow>> compared;
    void compare(const ChangedRow& incoming, const LocalRow& local) override {
      compared.emplace_back(to_row(incoming.key), local);
    }
    void refused(const ChangedRow& incoming, const Refusal& refusal) override {
      CHECK_MESSAGE(false, to_string(incoming.key), ": ", refusal.reason);
    }
  } sink;
  const PullCounts counts = world.contract.write([&] {
    Node& node = *world.contract.node;
    const auto staff = world.contract.stage(world.active[kStaff],
                                            {Incoming::tombstone({integer(1)}, foreign(20, 1)),
                                             Incoming::tombstone({integer(3)}, foreign(20, 2)),
                                             Incoming::tombstone({integer(4)}, foreign(20, 3))});
    PullCounts sum = node.apply_known(world.active[kStaff], *staff, {}, sink);
    const auto move = world.contract.stage(
        world.active[kMove],
        {Incoming(world.specs[kMove], {integer(5), null(), null(), integer(79)}, foreign(20, 1))});
    sum += node.apply_known(world.active[kMove], *move, {}, sink);
    return sum;
  });
  REQUIRE(sink.compared.size() == 2);
  CHECK(sink.compared[0].first == Row{integer(1)});
  CHECK(sink.compared[0].second.row == Row{integer(1), null(), null()});
  CHECK(sink.compared[1].second.row == Row{integer(5), null(), null(), integer(77)});
  CHECK(counts.deleted == 1);
  CHECK(world.contract.find(world.active[kStaff], {integer(3)}).version == foreign(20, 2));
}
