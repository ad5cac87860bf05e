#include "tests/simulation/world.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "capture/activate.h"
#include "capture/harvest.h"
#include "model/error.h"
#include "scheduler/session.h"
#include "tests/fixtures/node_decorator.h"

namespace tidemark::simulation {
namespace {

using testing::integer;
using testing::null;
using testing::text;

constexpr const char* kDied = "the simulated session died";

/// Sorts as the text does, so that the executable model's origins and ours come in one order.
Uuid uuid_of(const std::string& name) {
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), name.data(), std::min(name.size(), uuid.bytes.size()));
  return uuid;
}

std::string text_of(const Uuid& uuid) {
  const std::string_view bytes = uuid.as_bytes();
  return std::string(bytes.substr(0, bytes.find('\0')));
}

std::string table_name(std::size_t index) {
  static constexpr std::array<const char*, 4> kNames{"item", "part", "shop", "bill"};
  return kNames[index];
}

TableSpec make_table(std::size_t index, const History& history, Palette palette) {
  TableSpec spec;
  spec.name = table_name(index);
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "value", .declared_type = "TEXT"},
                  {.name = "code", .declared_type = "INTEGER"}};
  spec.key = {0};
  spec.integer_key = true;
  if (history.unique_codes) spec.uniques = {{.name = "code", .columns = {2}}};
  if (!history.references.empty()) {
    spec.columns.push_back({.name = "first", .declared_type = "INTEGER"});
    spec.columns.push_back({.name = "second", .declared_type = "INTEGER"});
  }
  if (!history.limits.empty()) {
    spec.columns.push_back({.name = "grade", .declared_type = "INTEGER"});
  }
  if (history.boundary_values) {
    for (const BoundaryColumn& each : boundary_columns(palette)) {
      spec.columns.push_back(each.column);
    }
  }
  static constexpr std::array<ReferenceAction, 4> kActions{
      ReferenceAction::none, ReferenceAction::restrict, ReferenceAction::cascade,
      ReferenceAction::set_null};
  for (const Reference& reference : history.references) {
    if (reference.child != index) continue;
    spec.foreign_keys.push_back(
        {.columns = {reference.column == 0 ? "first" : "second"},
         .parent_table = table_name(reference.parent),
         .parent_columns = {reference.to_code ? "code" : "id"},
         .on_delete = kActions[static_cast<std::size_t>(reference.on_delete)]});
  }
  return spec;
}

std::string printed_row(const Row& row) {
  const auto views = to_views(row);
  return to_string(views);
}

std::string value_of(const Row& row) {
  return row.empty() ? std::string() : std::string(row[1].view().bytes);
}

scheduler::JobConfig make_job(const Edge& edge, const std::string& first, const std::string& second,
                              bool guarded) {
  static constexpr std::array<tidemark::Policy, 4> kPolicies{
      tidemark::Policy::latest, tidemark::Policy::earliest, tidemark::Policy::first_node,
      tidemark::Policy::manual};
  scheduler::JobConfig job;
  job.name = first + "-" + second;
  job.nodes = {first, second};
  job.mode = edge.mode == Mode::backup ? scheduler::Mode::backup : scheduler::Mode::two_way;
  job.policy = kPolicies[static_cast<std::size_t>(edge.policy)];
  if (!guarded) job.max_clock_skew = std::chrono::microseconds::max();
  return job;
}

}  // namespace

struct World::Site {
  std::string name;
  std::string origin;
  bool is_mirror = false;  // the target of a backup
  bool is_away = false;
  std::int64_t clock_error = 0;
  std::unique_ptr<testing::TestDatabase> database;
  std::unique_ptr<Node> node;
  std::unique_ptr<testing::TestDatabase> copy;
  Rows copy_rows;
  std::string copy_origin;
  std::int64_t copy_clock_error = 0;
  std::string traced;                 // what a trace told last
  std::int64_t databases_before = 0;  // keeps revisions apart across restores
};

/// Lets applications write between the transactions of a session, and sessions die at any step.
class World::InterruptedNode final : public testing::NodeDecorator {
 public:
  InterruptedNode(World& world, Site& site, std::unique_ptr<Node> inner)
      : NodeDecorator(std::move(inner)), world_(world), site_(site) {}

  void begin_read() override {
    write_in_between();
    NodeDecorator::begin_read();
  }
  void begin_write(Exclusion exclusion) override {
    write_in_between();
    NodeDecorator::begin_write(exclusion);
  }
  void commit() override {
    NodeDecorator::commit();
    // Dying right after a commit is another death than dying right before it.
    step();
  }

 private:
  void write_in_between() {
    if (world_.disturbed_ == nullptr) return;
    ++world_.transactions_;
    for (const Interruption& interruption : world_.disturbed_->interruptions) {
      if (interruption.transaction != world_.transactions_) continue;
      world_.write(site_, {.key = interruption.key, .value = interruption.value});
    }
  }

  void step() override {
    if (world_.disturbed_ == nullptr || ++world_.steps_ != world_.disturbed_->fail_at) return;
    throw Error(ExitCode::failed, kDied, "none is needed");
  }

  World& world_;
  Site& site_;
};

/// The rows that applications hold during a session.
class World::HeldRows {
 public:
  HeldRows(World& world, const Action* action) : world_(world) {
    if (action == nullptr) return;
    for (const Lock& lock : action->locks) {
      Site& site = *world_.sites_[lock.node];
      if (!site.database) continue;
      nodes_.push_back(lock.node);
      site.database->lock_row(world_.table_of(lock.key), {Value::integer(lock.key)});
    }
  }
  ~HeldRows() {
    for (const std::size_t node : nodes_) world_.sites_[node]->database->unlock_rows();
  }
  HeldRows(const HeldRows&) = delete;
  HeldRows& operator=(const HeldRows&) = delete;

 private:
  World& world_;
  std::vector<std::size_t> nodes_;
};

namespace {

/// Of `kinds` of databases that of a node: the same in each replay of a history.
std::size_t kind_of(const History& history, std::size_t node, std::size_t kinds) {
  if (kinds == 1) return 0;
  std::mt19937_64 random(history.seed * 64 + node);
  if (node > 0) return random() % kinds;
  return (kind_of(history, 1, kinds) + 1 + random() % (kinds - 1)) % kinds;
}

}  // namespace

World::World(const History& history, const Twin& twin, std::ostream* trace)
    : history_(history), twin_(twin), trace_(trace), checker_(history.early_purge) {
  for (std::size_t i = 0; i < history.tables; ++i) {
    tables_.push_back(make_table(i, history, twin.palette));
  }
  for (std::size_t i = 0; i < history.nodes; ++i) {
    auto site = std::make_unique<Site>();
    site->name = std::string(1, static_cast<char>('a' + i));
    site->origin = site->name + "#1";
    site->database = twin.make_database[kind_of(history, i, twin.make_database.size())]();
    std::vector<testing::Check> checks;
    if (!history.limits.empty() && history.limits[i] != kNoLimit) {
      for (const TableSpec& table : tables_) {
        checks.push_back({.table = table.name, .column = "grade", .limit = history.limits[i]});
      }
    }
    site->database->create_tables(tables_, checks);
    sites_.push_back(std::move(site));
  }
  for (const Edge& edge : history.edges) {
    if (edge.mode == Mode::backup) sites_[edge.second]->is_mirror = true;
  }
}

World::~World() {
  for (const auto& site : sites_) site->node.reset();
}

Outcome World::run() {
  try {
    act();
    gather();
    if (has_lone_checks()) settle_as_far_as_checks_allow();
    settle();
  } catch (const Violation&) {
    trace("the law was broken here:");
    throw;
  }
  checker_.finish(views());
  outcome_.writes = checker_.writes();
  for (const NodeView& view : views()) outcome_.conflicts += view.conflicts.size();
  return outcome_;
}

void World::act() {
  std::size_t done = 0;
  // What is there before activation comes first in every history.
  for (; done < history_.actions.size(); ++done) {
    const Action& action = history_.actions[done];
    if (action.kind != ActionKind::old_row && action.kind != ActionKind::clock) break;
    perform(action);
  }
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (!history_.late.empty() && history_.late[i]) continue;
    open(*sites_[i]);
    activate(*sites_[i]);
  }
  for (; done < history_.actions.size(); ++done) perform(history_.actions[done]);
}

/// Everybody is back, and clocks that sessions would refuse are set right.
void World::gather() {
  for (const auto& site : sites_) {
    site->is_away = false;
    if (history_.guarded) site->clock_error = 0;
    site->database->set_clock(history_.actions.back().now + site->clock_error);
  }
}

/// Some row may have to wait in quarantine.
bool World::may_wait() const {
  return !history_.references.empty() || !history_.limits.empty() || history_.locks;
}

bool World::has_lone_checks() const {
  return std::adjacent_find(history_.limits.begin(), history_.limits.end(),
                            std::not_equal_to<>()) != history_.limits.end();
}

/// Rows that wait are tried again in every session, so there is no rest to wait for.
void World::settle_as_far_as_checks_allow() {
  const std::size_t rounds = 3 * sites_.size() + 1;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const Edge& edge : history_.edges) session(edge, nullptr);
    trace("a round of sessions");
  }
  const std::vector<NodeView> all = views();
  for (const NodeView& view : all) outcome_.waited += view.waiting.size();
  Checker::rest(all);
  for (const auto& site : sites_) site->database->drop_checks();
}

void World::settle() {
  // A resolution is news in its turn.
  const std::size_t rounds = (may_wait() ? 6 : 2) * sites_.size() + 1;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<std::int64_t> before;
    for (std::size_t i = 0; i < sites_.size(); ++i) before.push_back(revision(i));
    for (const Edge& edge : history_.edges) {
      session(edge, nullptr);
      trace("session " + sites_[edge.first]->name + "-" + sites_[edge.second]->name);
    }
    bool quiet = true;
    for (std::size_t i = 0; i < sites_.size(); ++i) quiet = quiet && before[i] == revision(i);
    if (quiet) return;
  }
  // A disk took along what rows refer to, and nobody remembers its delete: they wait everywhere,
  // are tried in every session, and somebody has to decide.
  const std::vector<NodeView> all = views();
  const bool all_wait = std::all_of(all.begin(), all.end(), [&](const NodeView& view) {
    return !view.waiting.empty() && view.waiting == all.front().waiting;
  });
  if (history_.restores && !history_.references.empty() && all_wait) return;
  throw Violation("sessions without changes still change something after " +
                  std::to_string(rounds) + " rounds");
}

void World::perform(const Action& action) {
  Site& site = *sites_[action.node];
  for (const auto& each : sites_) each->database->set_clock(action.now + each->clock_error);
  switch (action.kind) {
    case ActionKind::write:
    case ActionKind::old_row:
      write(site, {.key = action.key,
                   .value = action.value,
                   .code = action.code,
                   .first_reference = action.first_reference,
                   .second_reference = action.second_reference,
                   .grade = action.grade});
      break;
    case ActionKind::session:
      session(history_.edges[action.edge], &action);
      end_holders(action);
      break;
    case ActionKind::purge:
      purge(site);
      break;
    case ActionKind::clock:
      site.clock_error = action.number;
      break;
    case ActionKind::copy:
      site.copy = site.database->copy();
      site.copy_rows = rows_of(site);
      site.copy_origin = site.origin;
      site.copy_clock_error = site.clock_error;
      break;
    case ActionKind::restore:
      restore(action);
      break;
    case ActionKind::join:
      join(action);
      break;
    case ActionKind::leave:
      site.is_away = true;
      break;
    case ActionKind::forget:
      forget(site);
      break;
    case ActionKind::come_back:
      site.is_away = false;
      break;
  }
  trace(describe(history_, action));
}

void World::trace(const std::string& what) {
  if (trace_ == nullptr) return;
  *trace_ << what << "\n";
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    std::string state = sites_[i]->node ? printed(i) : std::string();
    if (state == sites_[i]->traced) continue;
    *trace_ << "    " << sites_[i]->name << state << "\n";
    sites_[i]->traced = std::move(state);
  }
}

std::string World::printed(std::size_t index) {
  Node& node = *sites_[index]->node;
  const NodeView view = view_of(*sites_[index]);
  std::ostringstream out;
  out << ":";
  RowVersions unseen = versions(index);
  for (const auto& [key, value] : view.rows) {
    out << " " << key.second << "=" << value;
    if (const auto version = unseen.extract(key)) {
      out << "@" << version.mapped().first << version.mapped().second;
    }
  }
  for (const auto& [key, version] : unseen) {
    out << " " << key.second << "-@" << version.first << version.second;
  }
  const auto print_all = [&](const char* word, const Knowledge& knowledge) {
    out << " " << word;
    for (const auto& [origin, sequence] : knowledge.entries()) {
      out << " " << text_of(origin) << ":" << sequence;
    }
  };
  for (const ActiveTable& table : node.active_tables()) {
    node.begin_read();
    const TableState state = node.load_state(table);
    const std::map<NodeId, Knowledge> peers = node.load_peers(table);
    node.rollback();
    out << " | baseline " << text_of(state.baseline) << " seen";
    for (const BaselineId& baseline : state.baselines_seen) out << " " << text_of(baseline);
    print_all("knows", state.knowledge);
    print_all("forgot", state.forgotten);
    out << " floor " << state.clock_floor_us;
    for (const auto& [peer, knowledge] : peers) print_all(text_of(peer).c_str(), knowledge);
  }
  out << " |";
  for (const auto& [place, value] : view.waiting) out << " waits " << place.second << "=" << value;
  for (const LoggedConflict& conflict : view.conflicts) {
    out << " " << conflict.key << " " << conflict.type << " " << conflict.winner << ">"
        << conflict.loser;
  }
  return out.str();
}

Row World::make_row(const Written& what) const {
  const auto optional = [](const std::optional<std::int64_t>& number) {
    return number ? integer(*number) : null();
  };
  const std::string value = what.value.value_or("");
  Row row{integer(what.key), text(value), optional(what.code)};
  if (!history_.references.empty()) {
    row.push_back(optional(what.first_reference));
    row.push_back(optional(what.second_reference));
  }
  if (!history_.limits.empty()) row.push_back(optional(what.grade));
  if (history_.boundary_values) {
    std::uint64_t number = history_.seed;
    for (const char c : value) number = number * 31 + static_cast<unsigned char>(c);
    const Row values = boundary_row(twin_.palette, number);
    row.insert(row.end(), values.begin(), values.end());
  }
  return row;
}

/// The boundary values of a row.
std::string World::carried_by(const Row& row) const {
  const auto views = to_views(row);
  std::string text;
  append_encoding(RowView(views).last(boundary_columns(twin_.palette).size()), text);
  return text;
}

void World::write(Site& site, const Written& what) {
  const TableSpec& table = table_of(what.key);
  const std::int64_t key = what.key;
  const std::optional<std::string>& value = what.value;
  const bool refers = !history_.references.empty();
  const Rows before = refers ? rows_of(site) : Rows();
  const Rows whole_before = refers ? whole_rows_of(site) : Rows();
  std::string overwritten;
  for (const Row& row : site.database->rows(table)) {
    if (row[0] == integer(key)) overwritten = value_of(row);
  }
  if (!value && overwritten.empty()) return;
  const Row row = make_row(what);
  try {
    if (!value) {
      site.database->remove(table, {integer(key)});
    } else if (overwritten.empty()) {
      site.database->insert(table, row);
    } else {
      site.database->update(table, {integer(key)}, row);
    }
  } catch (const Error&) {
    // The database refused the row: the application knows that it was not written.
    if (!history_.unique_codes && !refers && history_.limits.empty()) throw;
    return;
  }
  if (history_.boundary_values && value) {
    for (const Row& written : site.database->rows(table)) {
      if (written[0] == integer(key)) checker_.carries(*value, carried_by(written));
    }
  }
  // Before a node joins nobody hears of its deletes.
  const bool decides_nothing = site.is_mirror || !site.node;
  checker_.wrote(value.value_or(""), overwritten, decides_nothing);
  if (!refers) return;
  // What went along with a deleted row was deleted by somebody who could see it.
  const Rows after = rows_of(site);
  const Rows whole_after = whole_rows_of(site);
  for (const auto& [place, before_value] : before) {
    if (!after.contains(place)) {
      checker_.wrote("", before_value, decides_nothing);
    } else if (after.at(place) == before_value && whole_after.at(place) != whole_before.at(place)) {
      checker_.rewrote(before_value);
    }
  }
}

/// Every row refers to rows that are there. Shares no code with the product.
void World::check_references(Site& site) {
  for (const Reference& reference : history_.references) {
    std::set<std::int64_t> there;
    for (const Row& row : site.database->rows(tables_[reference.parent])) {
      const ValueView value = row[reference.to_code ? 2 : 0].view();
      if (value.kind == ValueKind::integer) there.insert(value.integer);
    }
    for (const Row& row : site.database->rows(tables_[reference.child])) {
      const ValueView value = row[3 + reference.column].view();
      if (value.kind != ValueKind::integer || there.contains(value.integer)) continue;
      throw Violation("node " + site.name + ": " + tables_[reference.child].name + " " +
                      printed_row(row) + " refers to nothing");
    }
  }
}

void World::purge(Site& site) {
  if (!site.node) return;
  Node& node = *site.node;
  for (const ActiveTable& table : node.active_tables()) {
    std::vector<Knowledge> others;
    // Waiting for its peers is all that a node can do; it is enough where what they know has
    // reached everybody else.
    for (const auto& other : sites_) {
      if (history_.early_purge || other.get() == &site || !other->node) continue;
      others.push_back(state_of(*other, table.spec.name).knowledge);
    }
    node.begin_write();
    TableState state = node.load_state(table);
    std::vector<Knowledge> peers = others;
    for (const auto& [peer, knowledge] : node.load_peers(table)) peers.push_back(knowledge);
    if (peers.size() > others.size()) {
      node.purge(table, state, INT64_MAX, peers);
      node.save_state(table, state);
    }
    node.commit();
  }
  checker_.purged(site.name);
}

void World::restore(const Action& action) {
  Site& site = *sites_[action.node];
  std::vector<NodeView> others;
  for (const auto& other : sites_) {
    if (other.get() != &site) others.push_back(view_of(*other));
  }
  checker_.restored(view_of(site), site.copy_rows, others);
  site.databases_before += 1'000'000;
  site.node.reset();
  site.database = std::move(site.copy);
  site.clock_error = site.copy_clock_error;
  site.origin = site.name + "#" + std::to_string(action.number);
  open(site);
  Identity identity = *site.node->identity();
  ++identity.incarnation;
  identity.origin = uuid_of(site.origin);
  site.node->begin_write();
  capture::start_origin(*site.node, identity);
  site.node->commit();
}

void World::join(const Action& action) {
  Site& site = *sites_[action.node];
  if (action.number == 0) {
    open(site);
    activate(site);
    return;
  }
  Site& original = *sites_[static_cast<std::size_t>(action.number - 1)];
  // A change that waits in the log gets a version here and there, of one time. Whoever writes over
  // it with a clock that was set back before it is numbered there has the same time again, and
  // nobody can tell which of them is later.
  if (has_wrong_clocks()) harvest(original);
  site.database = original.database->copy();
  site.database->set_clock(action.now + site.clock_error);
  site.databases_before += 1'000'000;
  open(site);
  site.node->begin_write();
  capture::start_origin(
      *site.node,
      {.node_id = uuid_of(site.name), .incarnation = 1, .origin = uuid_of(site.origin)});
  site.node->commit();
}

bool World::has_wrong_clocks() const {
  return std::any_of(history_.actions.begin(), history_.actions.end(),
                     [](const Action& action) { return action.kind == ActionKind::clock; });
}

void World::harvest(Site& site) {
  std::vector<capture::CapturedTable> tables;
  site.node->begin_write();
  for (const ActiveTable& table : site.node->active_tables()) {
    tables.push_back({.table = table, .state = site.node->load_state(table)});
  }
  capture::harvest(*site.node, tables);
  site.node->commit();
}

void World::forget(const Site& site) {
  for (const auto& other : sites_) {
    if (!other->node || other.get() == &site) continue;
    other->node->begin_write();
    other->node->forget_peer(uuid_of(site.name));
    other->node->commit();
  }
}

/// What the transactions that held rows have written is seen now.
void World::end_holders(const Action& action) {
  for (const Lock& lock : action.locks) {
    Site& site = *sites_[lock.node];
    if (!lock.writes || !site.node || site.is_away) continue;
    write(site, {.key = lock.key, .value = lock.value});
  }
}

void World::session(const Edge& edge, const Action* action) {
  Site& first = *sites_[edge.first];
  Site& second = *sites_[edge.second];
  if (!first.node || !second.node || first.is_away || second.is_away) return;
  const bool disturbed =
      action != nullptr &&
      (action->fail_at != 0 || !action->interruptions.empty() || !action->locks.empty());
  const bool is_backup = edge.mode == Mode::backup;
  const Rows source_before = is_backup && !disturbed ? rows_of(first) : Rows();
  disturbed_ = disturbed ? action : nullptr;
  transactions_ = 0;
  steps_ = 0;
  ++outcome_.sessions;
  const HeldRows held(*this, action);
  try {
    scheduler::SessionOptions options;
    options.rules = twin_.rules;
    options.session_id = std::to_string(outcome_.sessions);
    const scheduler::SessionReport report =
        scheduler::run_session(make_job(edge, first.name, second.name, history_.guarded),
                               *first.node, *second.node, std::chrono::days(30), options);
    if (report.left_locked_rows()) ++outcome_.passed_over;
  } catch (const Error& error) {
    disturbed_ = nullptr;
    if (error.code() == ExitCode::locked && action != nullptr && !action->locks.empty()) {
      ++outcome_.locked_out;
      return;
    }
    if (history_.guarded && error.code() == ExitCode::refused &&
        std::string_view(error.what()).starts_with("the clock of node ")) {
      ++outcome_.refusals;
      return;
    }
    if (std::strcmp(error.what(), kDied) != 0) throw;
    ++outcome_.failures;
    return;
  }
  disturbed_ = nullptr;
  if (is_backup && !disturbed && second.node->count_quarantined() == 0) {
    if (rows_of(first) != source_before)
      throw Violation("a backup changed its source " + first.name);
    if (rows_of(second) != source_before) {
      throw Violation("after a backup " + second.name + " does not hold what " + first.name +
                      " does");
    }
  }
  observe(edge.first);
  observe(edge.second);
}

void World::observe(std::size_t node) {
  check_references(*sites_[node]);
  if (may_wait()) {
    for (const auto& [place, value] : view_of(*sites_[node]).waiting) checker_.waits(value);
  }
  checker_.observe(sites_[node]->name, versions(node));
}

void World::open(Site& site) {
  site.node = site.database->open(site.name);
  site.node = std::make_unique<InterruptedNode>(*this, site, std::move(site.node));
  if (twin_.wrap) site.node = twin_.wrap(std::move(site.node));
}

void World::activate(Site& site) {
  Node& node = *site.node;
  node.begin_write();
  node.create_control_tables(
      {.node_id = uuid_of(site.name), .incarnation = 1, .origin = uuid_of(site.origin)});
  for (const TableSpec& table : node.catalog()) node.install_capture(table, uuid_of(site.origin));
  node.commit();
}

const TableSpec& World::table_of(std::int64_t key) const {
  return tables_[static_cast<std::size_t>(key) % tables_.size()];
}

Rows World::rows_of(Site& site) {
  Rows rows;
  for (const TableSpec& table : tables_) {
    for (const Row& row : site.database->rows(table)) {
      rows[{table.name, row[0].view().integer}] = value_of(row);
    }
  }
  return rows;
}

Rows World::whole_rows_of(Site& site) {
  Rows rows;
  for (const TableSpec& table : tables_) {
    for (const Row& row : site.database->rows(table)) {
      rows[{table.name, row[0].view().integer}] = printed_row(row);
    }
  }
  return rows;
}

NodeView World::view_of(Site& site) {
  NodeView view{.name = site.name, .rows = rows_of(site)};
  if (may_wait()) {
    view.whole_rows = whole_rows_of(site);
  }
  for (const TableSpec& table : tables_) {
    if (!history_.boundary_values) break;
    for (const Row& row : site.database->rows(table)) {
      view.carried[{table.name, row[0].view().integer}] = carried_by(row);
    }
  }
  if (!site.node) return view;
  site.node->begin_read();
  for (const ActiveTable& table : site.node->active_tables()) {
    for (const QuarantinedRow& row : site.node->quarantined(table)) {
      const std::string value = row.present() ? value_of(row.row) : "a delete";
      view.waiting[{table.spec.name, row.key[0].view().integer}] = value;
    }
  }
  for (const Conflict& conflict : site.node->conflicts()) {
    view.conflicts.push_back({.key = conflict.key[0].view().integer,
                              .type = std::string(to_string(conflict.type)),
                              .policy = std::string(to_string(conflict.policy)),
                              .winner = value_of(conflict.winner.row),
                              .loser = value_of(conflict.loser.row)});
  }
  site.node->rollback();
  return view;
}

std::vector<NodeView> World::views() {
  std::vector<NodeView> views;
  for (const auto& site : sites_) views.push_back(view_of(*site));
  return views;
}

RowVersions World::versions(std::size_t index) {
  Node& node = *sites_[index]->node;
  RowVersions versions;
  for (const ActiveTable& table : node.active_tables()) {
    node.begin_read();
    {
      const std::unique_ptr<RowStream> rows = node.all_rows(table);
      ChangedRow row;
      while (rows->next(row)) {
        if (!row.version) continue;
        versions[{table.spec.name, row.key[0].integer}] = {row.version->changed_at_us,
                                                           text_of(row.version->origin)};
      }
    }
    node.rollback();
  }
  return versions;
}

TableState World::state_of(Site& site, const std::string& name) {
  Node& node = *site.node;
  TableState state;
  node.begin_read();
  for (const ActiveTable& table : node.active_tables()) {
    if (table.spec.name == name) state = node.load_state(table);
  }
  node.rollback();
  return state;
}

std::string World::baseline(std::size_t index) {
  return text_of(state_of(*sites_[index], tables_.front().name).baseline);
}

std::int64_t World::pending(std::size_t index) {
  Node& node = *sites_[index]->node;
  node.begin_read();
  const auto [count, oldest] = node.pending(node.active_tables().front());
  node.rollback();
  return count;
}

std::int64_t World::revision(std::size_t node) const {
  const Site& site = *sites_[node];
  return site.databases_before + site.database->revision();
}

}  // namespace tidemark::simulation
