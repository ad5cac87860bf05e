#include <algorithm>
#include <map>
#include <set>

#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/time_text.h"
#include "engines/transactions.h"

namespace tidemark::cli {
namespace {

/// A peer as the nodes of the configuration know it.
struct Registered {
  std::string name;
  std::int64_t met_at_us = 0;
};

class Forget {
 public:
  explicit Forget(Context& context)
      : context_(context),
        dry_run_(context.line().has("dry-run")),
        wanted_(context.line().words.front()) {}

  int run() {
    for (const std::string& name : nodes_in_jobs(context_.config())) {
      throw_if_interrupted();
      look_at(name);
    }
    const NodeId peer = choose();
    Json nodes = Json::array();
    for (const auto& [name, peers] : registered_) {
      const auto known = peers.find(peer);
      if (known == peers.end()) continue;
      forget(name, peer, known->second);
      nodes.push_back({{"node", name}, {"met_at", time_json(known->second.met_at_us)}});
    }
    context_.output().document("forget", {{"dry_run", dry_run_},
                                          {"peer", wanted_},
                                          {"node_id", peer.to_string()},
                                          {"nodes", std::move(nodes)},
                                          {"failed", failed_}});
    return summed_exit_code(failures_, nodes_in_jobs(context_.config()).size());
  }

 private:
  void look_at(const std::string& name) {
    try {
      Node& node = context_.node(name, Access::read_write);
      const std::optional<Identity> identity = node.identity();
      if (!identity) return;
      if (name == wanted_) own_id_ = identity->node_id;
      node.begin_read();
      try {
        registered_[name] = node.registered_peers();
      } catch (...) {
        node.rollback();
        throw;
      }
      node.rollback();
    } catch (const Error& error) {
      if (name == wanted_) return;  // to be forgotten because it is gone, perhaps
      failures_.push_back(error.code());
      failed_.push_back(name);
      context_.warn(of_node(name, error.what()) +
                    "; it goes on waiting for the peer until this command reaches it");
    }
  }

  /// By its node id, or by the name that it had when it was met.
  NodeId choose() const {
    std::map<NodeId, Registered> found;
    std::set<std::string> names;
    for (const auto& [node, peers] : registered_) {
      for (const auto& [id, peer] : peers) {
        names.insert(peer.name);
        if (id.to_string() != wanted_ && peer.name != wanted_ && own_id_ != id) continue;
        Registered& each = found[id];
        each.name = peer.name;
        each.met_at_us = std::max(each.met_at_us, peer.met_at_us);
      }
    }
    if (found.size() == 1) return found.begin()->first;
    if (found.empty()) {
      std::string known;
      for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
      throw Error(ExitCode::usage, "no node knows a peer called " + wanted_,
                  known.empty() ? "no session has registered any peer yet"
                                : "the peers that are known: " + known);
    }
    std::string text;
    for (const auto& [id, peer] : found) {
      text += (text.empty() ? "" : ", ") + id.to_string() + " (last met " +
              short_time(peer.met_at_us) + ")";
    }
    throw Error(ExitCode::usage, "more than one peer was called " + wanted_ + ": " + text,
                "name the one to forget by its id");
  }

  void forget(const std::string& name, const NodeId& peer, const RegisteredPeer& known) {
    const std::string met =
        known.met_at_us == 0 ? "never met" : "last met " + short_time(known.met_at_us);
    if (dry_run_) {
      context_.output().text(name + ": would forget " + known.name + ", " + met + "\n");
      return;
    }
    Node& node = context_.node(name, Access::read_write);
    in_write_transaction(node, [&] { node.forget_peer(peer); });
    context_.output().note(name + ": " + known.name + " is forgotten, " + met + "\n");
  }

  Context& context_;
  const bool dry_run_;
  const std::string wanted_;
  std::optional<NodeId> own_id_;  // of a node of this name that could be opened
  std::map<std::string, std::map<NodeId, RegisteredPeer>> registered_;
  std::vector<ExitCode> failures_;
  Json failed_ = Json::array();
};

}  // namespace

int run_forget(Context& context) { return Forget(context).run(); }

}  // namespace tidemark::cli
