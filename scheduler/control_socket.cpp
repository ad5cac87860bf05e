#include "scheduler/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "model/error.h"

namespace tidemark::scheduler {
namespace {

constexpr std::size_t kLongestRequest = 1u << 16;
constexpr char kSetSocket[] = "set socket in the section [daemon] of the configuration";

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why,
                         const std::string& hint) {
  throw Error(ExitCode::usage, "the socket " + path.string() + " " + why, hint);
}

struct sockaddr_un address_of(const std::filesystem::path& path) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof address.sun_path) {
    refuse(path,
           "has a path of " + std::to_string(name.size()) + " bytes, longer than the " +
               std::to_string(sizeof address.sun_path - 1) + " that a socket may have",
           kSetSocket);
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  return address;
}

/// The descriptor, or -1 with errno.
int try_connect(const struct sockaddr_un& address) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (::connect(descriptor, reinterpret_cast<const struct sockaddr*>(&address), sizeof address) ==
      0) {
    return descriptor;
  }
  const int code = errno;
  ::close(descriptor);
  errno = code;
  return -1;
}

void send_line(int descriptor, const ControlJson& json) {
  const std::string line = json.dump(-1, ' ', false, ControlJson::error_handler_t::replace) + "\n";
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t size =
        ::send(descriptor, line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size > 0) {
      sent += static_cast<std::size_t>(size);
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    // A client that does not read gets a second, no more.
    struct pollfd wait = {.fd = descriptor, .events = POLLOUT, .revents = 0};
    if (size < 0 && errno == EAGAIN && ::poll(&wait, 1, 1000) == 1) continue;
    return;
  }
}

}  // namespace

ControlServer::ControlServer(std::filesystem::path path, Handle handle, Gone gone)
    : path_(std::move(path)), handle_(std::move(handle)), gone_(std::move(gone)) {
  const struct sockaddr_un address = address_of(path_);
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      refuse(path_, "is taken by another file, which is no socket",
             std::string("move that file away, or ") + kSetSocket);
    }
    const int other = try_connect(address);
    if (other >= 0) {
      ::close(other);
      refuse(path_, "is taken by a daemon of another configuration", kSetSocket);
    }
    ::unlink(path_.c_str());  // left behind by a daemon that was killed
  }
  listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // The file has its permissions from the first moment on.
  const mode_t before = ::umask(0177);
  const int bound =
      ::bind(listening_, reinterpret_cast<const struct sockaddr*>(&address), sizeof address);
  const int code = errno;
  ::umask(before);
  if (bound != 0 || ::listen(listening_, 64) != 0) {
    ::close(listening_);
    refuse(path_, std::string("cannot be made: ") + std::strerror(code),
           std::string("let the daemon write that directory, or ") + kSetSocket);
  }
}

ControlServer::~ControlServer() {
  for (const auto& entry : clients_) ::close(entry.second.descriptor);
  ::close(listening_);
  ::unlink(path_.c_str());
}

void ControlServer::add_descriptors(std::vector<struct pollfd>& waits) const {
  waits.push_back({.fd = listening_, .events = POLLIN, .revents = 0});
  for (const auto& entry : clients_) {
    waits.push_back({.fd = entry.second.descriptor, .events = POLLIN, .revents = 0});
  }
}

void ControlServer::serve(const std::vector<struct pollfd>& waits) {
  std::vector<Client> stirred;
  for (const struct pollfd& wait : waits) {
    if (wait.revents == 0) continue;
    for (const auto& [client, connection] : clients_) {
      if (connection.descriptor == wait.fd) stirred.push_back(client);
    }
  }
  for (const Client client : stirred) {
    if (!read_from(client)) drop(client);
  }
  for (const struct pollfd& wait : waits) {
    if (wait.fd == listening_ && wait.revents != 0) accept_clients();
  }
}

void ControlServer::accept_clients() {
  for (;;) {
    const int descriptor = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor < 0) return;
    clients_[++last_] = {.descriptor = descriptor, .received = ""};
  }
}

bool ControlServer::read_from(Client client) {
  Connection& connection = clients_.at(client);
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t size = ::recv(connection.descriptor, buffer.data(), buffer.size(), 0);
    if (size == 0) return false;
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      break;
    }
    connection.received.append(buffer.data(), static_cast<std::size_t>(size));
    if (connection.received.size() > kLongestRequest) return false;
  }
  for (;;) {
    const std::size_t end = connection.received.find('\n');
    if (end == std::string::npos) return true;
    const std::string line = connection.received.substr(0, end);
    connection.received.erase(0, end + 1);
    try {
      const ControlJson request = ControlJson::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!request.is_object()) {
        throw Error(ExitCode::protocol, "the daemon was asked something that is no JSON object",
                    "use the tidemark program of the same version");
      }
      if (const auto reply = handle_(client, request)) answer(client, *reply);
    } catch (const Error& error) {
      answer(client, {{"ok", false},
                      {"code", static_cast<int>(error.code())},
                      {"message", error.what()},
                      {"hint", error.hint()}});
    } catch (const ControlJson::exception&) {
      answer(client, {{"ok", false},
                      {"code", static_cast<int>(ExitCode::protocol)},
                      {"message", "the daemon was asked something that it does not understand"},
                      {"hint", "use the tidemark program of the same version"}});
    }
  }
}

void ControlServer::answer(Client client, const ControlJson& answer) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) send_line(found->second.descriptor, answer);
}

void ControlServer::drop(Client client) {
  ::close(clients_.at(client).descriptor);
  clients_.erase(client);
  gone_(client);
}

std::unique_ptr<ControlClient> ControlClient::connect(const std::filesystem::path& path) {
  struct stat status {};
  // A path that cannot serve has no daemon behind it.
  if (path.native().size() >= sizeof(sockaddr_un::sun_path)) return nullptr;
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return nullptr;
  const int descriptor = try_connect(address_of(path));
  if (descriptor >= 0) return std::unique_ptr<ControlClient>(new ControlClient(descriptor));
  if (errno == ECONNREFUSED || errno == ENOENT) return nullptr;
  throw Error(ExitCode::unreachable,
              "cannot ask the daemon at " + path.string() + ": " + std::strerror(errno),
              "run the command as the user that runs the daemon");
}

ControlClient::~ControlClient() { ::close(descriptor_); }

ControlJson ControlClient::ask(const ControlJson& request, const std::function<void()>& waiting) {
  send_line(descriptor_, request);
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t end = received_.find('\n');
    if (end != std::string::npos) {
      ControlJson answer =
          ControlJson::parse(received_.substr(0, end), nullptr, /*allow_exceptions=*/false);
      received_.erase(0, end + 1);
      if (!answer.is_object()) break;
      if (answer.value("ok", false)) return answer;
      throw Error(static_cast<ExitCode>(answer.value("code", 1)), answer.value("message", ""),
                  answer.value("hint", ""));
    }
    if (waiting) waiting();
    struct pollfd wait = {.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 100) == 0) continue;
    const ssize_t size = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    received_.append(buffer.data(), static_cast<std::size_t>(size));
  }
  throw Error(ExitCode::failed, "the daemon went away before it answered",
              "run the command again; 'tidemark status' shows whether the daemon is there", true);
}

}  // namespace tidemark::scheduler
