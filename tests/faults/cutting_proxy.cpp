#include "tests/faults/cutting_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace tidemark::testing {
namespace {

constexpr const char* kSocket = "/.s.PGSQL.5432";

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the path is too long");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

int connect_to(const std::string& path) {
  const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(made);
    return -1;
  }
  return made;
}

bool send_all(int to, std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = ::send(to, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::size_t length_at(std::string_view data, std::size_t at) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    length = length << 8 | static_cast<unsigned char>(data[at + i]);
  }
  return length;
}

/// How long the first message of `data` is; 0 when it is not all there. The first of a connection
/// has no type.
std::size_t first_message(std::string_view data, bool started) {
  const std::size_t head = started ? 1 : 0;
  if (data.size() < head + 4) return 0;
  const std::size_t size = head + length_at(data, head);
  return data.size() < size ? 0 : size;
}

}  // namespace

CuttingProxy::CuttingProxy(const std::string& server) : server_(server) {
  std::string pattern = std::filesystem::temp_directory_path() / "tidemark-proxy-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(folder_ + kSocket);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_, 16) != 0) {
    throw std::runtime_error("no socket in " + folder_);
  }
  acceptor_ = std::thread([this] { accept_all(); });
}

CuttingProxy::~CuttingProxy() {
  ended_ = true;
  acceptor_.join();
  for (std::thread& server : servers_) server.join();
  ::close(listener_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void CuttingProxy::arm(std::int64_t at, bool before) {
  const std::lock_guard lock(mutex_);
  armed_ = true;
  hit_ = false;
  before_ = before;
  at_ = at;
  count_ = 0;
}

bool CuttingProxy::disarm() {
  const std::lock_guard lock(mutex_);
  armed_ = false;
  return hit_;
}

CuttingProxy::Verdict CuttingProxy::judge() {
  const std::lock_guard lock(mutex_);
  if (!armed_) return Verdict::pass;
  if (++count_ != at_) return Verdict::pass;
  hit_ = true;
  return before_ ? Verdict::drop : Verdict::pass_and_cut;
}

void CuttingProxy::accept_all() {
  while (!ended_) {
    pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 20) != 1) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) servers_.emplace_back([this, client] { serve(client); });
  }
}

void CuttingProxy::serve(int client) {
  const int server = connect_to(server_ + kSocket);
  std::string pending;
  std::array<char, 65536> buffer{};
  bool started = false;
  bool open = server >= 0;
  while (open && !ended_) {
    std::array<pollfd, 2> sides{pollfd{.fd = client, .events = POLLIN, .revents = 0},
                                pollfd{.fd = server, .events = POLLIN, .revents = 0}};
    if (::poll(sides.data(), sides.size(), 20) <= 0) continue;
    if (sides[1].revents != 0) {
      const ssize_t size = ::recv(server, buffer.data(), buffer.size(), 0);
      open = size > 0 && send_all(client, {buffer.data(), static_cast<std::size_t>(size)});
      continue;
    }
    if (sides[0].revents == 0) continue;
    const ssize_t size = ::recv(client, buffer.data(), buffer.size(), 0);
    if (size <= 0) break;
    pending.append(buffer.data(), static_cast<std::size_t>(size));
    while (const std::size_t message = first_message(pending, started)) {
      const Verdict verdict = judge();
      if (verdict == Verdict::drop) open = false;
      if (!open) break;
      started = true;
      open = send_all(server, std::string_view(pending).substr(0, message)) &&
             verdict == Verdict::pass;
      pending.erase(0, message);
    }
  }
  if (server >= 0) ::close(server);
  ::close(client);
}

}  // namespace tidemark::testing
