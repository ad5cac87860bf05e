// Streams, single rows, rivals and digests.
#include "tests/contract/contract.h"

#include <xxhash.h>

#include <algorithm>
#include <map>

#include "model/error.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

std::vector<Row> keys(const std::vector<Seen>& rows) {
  std::vector<Row> result;
  for (const Seen& row : rows) result.push_back(row.key);
  return result;
}

TableDigest digest(Contract& contract, const ActiveTable& table) {
  return contract.read([&] { return contract.node->digest(table); });
}

}  // namespace

TEST_CASE_TEMPLATE("a table is empty when it holds neither a row nor a version", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  const auto is_empty = [&] {
    return contract.read([&] { return contract.node->is_empty(table); });
  };
  const auto count = [&] {
    return contract.read([&] { return contract.node->count_rows(table); });
  };
  CHECK(is_empty());
  CHECK(count() == 0);
  SUBCASE("a row") {
    contract.put(table, {integer(1), null(), null()}, std::nullopt);
    CHECK_FALSE(is_empty());
    CHECK(count() == 1);
  }
  SUBCASE("a tombstone") {
    contract.write(
        [&] { contract.node->put_version(table, to_views({integer(1)}), false, foreign(1, 1)); });
    CHECK_FALSE(is_empty());
    CHECK(count() == 0);
  }
  CHECK(contract.read([&] { return contract.node->count_null_keys(table); }) == 0);
}

TEST_CASE_TEMPLATE("all rows come in key order, with versions and tombstones", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(stock_table());
  contract.put(table, {text("b"), integer(1), integer(5)}, foreign(3, 3));
  contract.put(table, {text("a"), integer(2), null()}, std::nullopt);
  contract.put(table, {text("a"), integer(-3), integer(7)}, foreign(2, 2));
  contract.write([&] {
    contract.node->put_version(table, to_views({integer(1), text("a")}), false, foreign(9, 9));
  });
  const std::vector<Seen> expected{
      {.key = {integer(-3), text("a")},
       .present = true,
       .row = {text("a"), integer(-3), integer(7)},
       .version = foreign(2, 2)},
      {.key = {integer(1), text("a")}, .present = false, .row = {}, .version = foreign(9, 9)},
      {.key = {integer(1), text("b")},
       .present = true,
       .row = {text("b"), integer(1), integer(5)},
       .version = foreign(3, 3)},
      {.key = {integer(2), text("a")},
       .present = true,
       .row = {text("a"), integer(2), null()},
       .version = std::nullopt}};
  CHECK(contract.all(table) == expected);
}

TEST_CASE_TEMPLATE("text keys are ordered and met by their collation", Engine,
                   TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(tag_table());
  for (const char* code : {"b", "C", "a", "_", "Z", "\xC3\xA9"}) {
    contract.put(table, {text(code), null()}, foreign(1, 1));
  }
  CHECK(keys(contract.all(table)) ==
        std::vector<Row>{
            {text("_")}, {text("a")}, {text("b")}, {text("C")}, {text("Z")}, {text("\xC3\xA9")}});
  CHECK(contract.find(table, {text("c")}).row == Row{text("C"), null()});
  // The row that is written decides how its key is spelled.
  contract.put(table, {text("A"), text("now capital")}, foreign(2, 2));
  const std::vector<Seen> rows = contract.all(table);
  CHECK(rows.size() == 6);
  CHECK(rows[1].row == Row{text("A"), text("now capital")});
  CHECK(rows[1].version == foreign(2, 2));
}

TEST_CASE_TEMPLATE("changes are the keys with a version that is not known yet", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  const auto row = [](std::int64_t id) { return Row{integer(id), null(), null()}; };
  contract.put(table, row(1), std::nullopt);
  contract.put(table, row(2), foreign(20, 1));
  contract.put(table, row(3), foreign(10, 2));
  contract.put(table, row(4), Version{.changed_at_us = 5, .origin = uuid(0x0D), .sequence = 7});
  contract.write(
      [&] { contract.node->put_version(table, to_views({integer(5)}), false, foreign(30, 3)); });
  contract.database->insert(item_table(), row(6));
  contract.harvest(table);

  CHECK(keys(contract.since(table, {})) ==
        std::vector<Row>{{integer(2)}, {integer(3)}, {integer(4)}, {integer(5)}, {integer(6)}});
  Knowledge known = knowledge(kOtherOrigin, 2);
  known.raise(uuid(0x0D), 6);
  const std::vector<Seen> changes = contract.since(table, known);
  CHECK(keys(changes) == std::vector<Row>{{integer(4)}, {integer(5)}, {integer(6)}});
  CHECK(changes[0].row == row(4));
  CHECK(changes[0].version == Version{.changed_at_us = 5, .origin = uuid(0x0D), .sequence = 7});
  CHECK_FALSE(changes[1].present);
  CHECK(changes[1].version == foreign(30, 3));
  CHECK(changes[2].version->inserted);

  known.raise(uuid(kOtherOrigin), 3);
  known.raise(uuid(0x0D), 7);
  known.raise(uuid(kOwnOrigin), 1);
  CHECK(contract.since(table, known).empty());
}

TEST_CASE_TEMPLATE("changes are found among many, whichever way they were made", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  constexpr std::int64_t kRows = 20'000;  // more than an engine may keep a list of
  contract.write([&] {
    for (std::int64_t id = 1; id <= kRows; ++id) {
      const Row row{integer(id), text("row"), null()};
      CHECK_FALSE(
          contract.node->write_as_local_change(table, to_views({integer(id)}), to_views(row)));
    }
  });
  CHECK(contract.harvest(table).versions == kRows);
  const Knowledge known = contract.state(table).knowledge;
  CHECK(contract.since(table, known).empty());
  contract.database->update(item_table(), {integer(7)}, {integer(7), text("new"), null()});
  contract.database->remove(item_table(), {integer(kRows)});
  contract.harvest(table);
  contract.put(table, {integer(100), text("applied"), null()}, foreign(5, 5));
  contract.write([&] {
    TableState state = contract.node->load_state(table);
    state.knowledge.raise(uuid(kOtherOrigin), 5);
    contract.node->save_state(table, state);
  });
  CHECK(keys(contract.since(table, known)) ==
        std::vector<Row>{{integer(7)}, {integer(100)}, {integer(kRows)}});
  const std::vector<Seen> everything = contract.since(table, {});
  CHECK(everything.size() == kRows);
  CHECK(std::is_sorted(everything.begin(), everything.end(), [](const Seen& a, const Seen& b) {
    return a.key[0].view().integer < b.key[0].view().integer;
  }));
  CHECK(contract.all(table).size() == kRows);
}

TEST_CASE_TEMPLATE("one key is found with its row, its tombstone or nothing", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, {integer(1), text("one"), real(1.5)}, foreign(1, 1));
  contract.write(
      [&] { contract.node->put_version(table, to_views({integer(2)}), false, foreign(2, 2)); });
  const Seen row = contract.find(table, {integer(1)});
  CHECK(row.present);
  CHECK(row.row == Row{integer(1), text("one"), real(1.5)});
  CHECK(row.version == foreign(1, 1));
  const Seen tombstone = contract.find(table, {integer(2)});
  CHECK_FALSE(tombstone.present);
  CHECK(tombstone.version == foreign(2, 2));
  const Seen nothing = contract.find(table, {integer(3)});
  CHECK_FALSE(nothing.present);
  CHECK_FALSE(nothing.version);
}

TEST_CASE_TEMPLATE("rivals are the other rows that hold a unique value", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  contract.put(table, {integer(1), text("x@example.org"), text("x")}, foreign(1, 1));
  contract.put(table, {integer(2), null(), text("none")}, foreign(1, 2));
  const auto rivals = [&](const Row& row) {
    return contract.read([&] { return contract.node->unique_rivals(table, to_views(row)); });
  };
  CHECK(rivals({integer(3), text("x@example.org"), text("z")}) == std::vector<Row>{{integer(1)}});
  CHECK(rivals({integer(1), text("x@example.org"), text("z")}).empty());
  CHECK(rivals({integer(3), text("free@example.org"), text("z")}).empty());
  CHECK(rivals({integer(3), null(), text("z")}).empty());  // NULL is like nothing
}

TEST_CASE_TEMPLATE("every kind of value comes back bit by bit", Engine, TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(thing_table());
  const std::vector<Value> values{null(),
                                  integer(0),
                                  integer(INT64_MIN),
                                  integer(INT64_MAX),
                                  real(0.1 + 0.2),
                                  real(-1e308),
                                  real(1.0),
                                  text(""),
                                  text("1"),
                                  text("tide \xF0\x9F\x8C\x8A"),
                                  text(std::string_view("nul\0inside", 10)),
                                  text("\xFF\xFE not UTF-8"),
                                  blob(""),
                                  blob(std::string_view("\0\x01\xFF", 3)),
                                  text(std::string(100'000, 'x'))};
  std::vector<Row> rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    rows.push_back({integer(static_cast<std::int64_t>(i)), values[i]});
    contract.put(table, rows.back(), foreign(1, static_cast<std::int64_t>(i)));
  }
  CHECK(contract.database->rows(thing_table()) == rows);
  std::vector<Row> streamed;
  for (const Seen& row : contract.all(table)) streamed.push_back(row.row);
  CHECK(streamed == rows);
}

TEST_CASE_TEMPLATE("columns travel in the order that the session chose", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, {integer(1), text("one"), real(2.5)}, foreign(1, 1));
  TableSpec other = item_table();
  other.columns = {item_table().columns[2], item_table().columns[0], item_table().columns[1]};
  other.key = {1};
  ActiveTable reordered = table;
  reordered.spec = aligned(table.spec, other);
  const Row row{real(2.5), integer(1), text("one")};
  CHECK(contract.all(reordered).at(0).row == row);
  CHECK(contract.since(reordered, {}).at(0).row == row);
  CHECK(contract.find(reordered, {integer(1)}).row == row);
  contract.put(reordered, {real(3.5), integer(2), text("two")}, foreign(2, 2));
  CHECK(contract.find(table, {integer(2)}).row == Row{integer(2), text("two"), real(3.5)});
  CHECK(contract.database->rows(item_table())[1] == Row{integer(2), text("two"), real(3.5)});
  CHECK(digest(contract, reordered) != digest(contract, table));
}

TEST_CASE_TEMPLATE("a digest is the sum of the digests of the rows", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  CHECK(digest(contract, table) == TableDigest{});
  const std::vector<Row> rows{{integer(1), text("one"), real(0.5)},
                              {integer(2), null(), null()},
                              {integer(3), text("three"), real(1e9)}};
  TableDigest sum;
  for (const Row& row : rows) {
    contract.database->insert(item_table(), row);
    std::string encoding;
    append_encoding(to_views(row), encoding);
    const XXH128_hash_t hash = XXH3_128bits(encoding.data(), encoding.size());
    ++sum.rows;
    sum.low += hash.low64;
    sum.high += hash.high64;
  }
  const TableDigest whole = digest(contract, table);
  CHECK(whole == sum);
  contract.database->update(item_table(), {integer(2)}, {integer(2), text(""), null()});
  CHECK(digest(contract, table) != whole);
  contract.database->update(item_table(), {integer(2)}, rows[1]);
  CHECK(digest(contract, table) == whole);
}

// Nobody reads on after that; but what the transaction wrote must not be lost behind a commit that
// seems to work.
TEST_CASE_TEMPLATE(
    "a transaction whose stream was dropped half way commits or says that it did not", Engine,
    TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  const std::string long_text(1 << 20, 'x');
  for (int i = 1; i <= 20; ++i) {
    contract.database->insert(item_table(), {integer(i), text(long_text), null()});
  }
  contract.node->begin_write();
  TableState state = contract.node->load_state(table);
  contract.node->harvest(table, state);
  contract.node->save_state(table, state);
  {
    const auto rows = contract.node->changes_since(table, Knowledge());
    ChangedRow row;
    REQUIRE(rows->next(row));
  }
  bool committed = true;
  try {
    contract.node->commit();
  } catch (const Error&) {
    committed = false;
    contract.node->rollback();
  }
  const auto again = contract.database->open("again");
  again->begin_read();
  CHECK(again->has_pending(table) == !committed);
  CHECK(again->load_state(table).sequence() == (committed ? 20 : 0));
  again->rollback();
}

// Engines keep lists of what is recent, of bounded length: whoever asks must not notice.
TEST_CASE_TEMPLATE("what is not known is found, however much was written since", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  std::map<std::int64_t, std::int64_t> sequence_of;  // by key
  std::vector<std::int64_t> ends{0};                 // the last sequence after each batch
  std::int64_t sequence = 0;
  for (const std::int64_t size : {3, 20000, 2, 9000, 1500, 40, 1500, 9000, 1, 12000, 5}) {
    const std::int64_t before = sequence;
    std::map<std::int64_t, std::int64_t> batch;
    for (std::int64_t i = 0; i < size; ++i) batch[(sequence + i) * 7 % 15013] = 0;
    std::vector<Incoming> rows;
    for (auto& [key, number] : batch) {
      sequence_of[key] = number = ++sequence;
      rows.emplace_back(table.spec, Row{integer(key), text("row"), null()},
                        foreign(1000 + number, number));
    }
    const std::unique_ptr<Stage> stage = contract.stage(table, rows);
    struct Nothing final : ApplySink {
      void compare(const ChangedRow&, const LocalRow&) override { FAIL("nothing to compare"); }
      void refused(const ChangedRow&, const Refusal&) override { FAIL("nothing is refused"); }
    } nothing;
    contract.write([&] {
      contract.node->apply_known(table, *stage, knowledge(kOtherOrigin, before), nothing);
    });
    ends.push_back(sequence);
    for (const std::int64_t known : ends) {
      std::vector<Row> expected;
      for (const auto& [key, number] : sequence_of) {
        if (number > known) expected.push_back({integer(key)});
      }
      CAPTURE(size);
      CAPTURE(known);
      CHECK((keys(contract.since(table, knowledge(kOtherOrigin, known))) == expected));
    }
  }
}
