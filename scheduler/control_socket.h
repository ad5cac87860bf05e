// The socket through which commands talk to the daemon of their configuration: a line of JSON each
// way, {"do":"pause","job":"x"} and {"ok":true,...} or {"ok":false,"code":...,"message":...,
// "hint":...}. Only the owner may connect. A client that goes away, however it goes, lets go of
// what it held. ControlServer belongs to one thread, which waits for its descriptors.
#pragma once

#include <poll.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace tidemark::scheduler {

using ControlJson = nlohmann::ordered_json;

class ControlServer {
 public:
  using Client = std::uint64_t;
  /// The answer, or nothing when it comes later by answer(). May throw Error.
  using Handle = std::function<std::optional<ControlJson>(Client, const ControlJson& request)>;
  using Gone = std::function<void(Client)>;

  /// The caller holds the DaemonLock. Throws Error usage when the path cannot serve: too long,
  /// taken by another kind of file or by another daemon, not writable.
  ControlServer(std::filesystem::path path, Handle handle, Gone gone);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  void add_descriptors(std::vector<struct pollfd>& waits) const;
  /// After poll(): reads, handles, answers.
  void serve(const std::vector<struct pollfd>& waits);
  void answer(Client client, const ControlJson& answer);

 private:
  struct Connection {
    int descriptor = -1;
    std::string received;
  };

  void accept_clients();
  /// False when the client is gone.
  bool read_from(Client client);
  void drop(Client client);

  const std::filesystem::path path_;
  const Handle handle_;
  const Gone gone_;
  int listening_ = -1;
  Client last_ = 0;
  std::map<Client, Connection> clients_;
};

class ControlClient {
 public:
  /// Nothing when no daemon listens. Throws Error when one does and may not be asked.
  static std::unique_ptr<ControlClient> connect(const std::filesystem::path& path);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  /// Waits for the answer. Throws the Error that the daemon answers with, or failed when it went
  /// away. `waiting` is called every 100 ms meanwhile.
  ControlJson ask(const ControlJson& request, const std::function<void()>& waiting = {});

 private:
  explicit ControlClient(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
  std::string received_;
};

}  // namespace tidemark::scheduler
