// Boost.Beast is headers alone. A library with TLS in it would initialize that in every run of the
// program, which takes longer than a session without changes.
#include "scheduler/metrics_server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "model/error.h"
#include "scheduler/metrics_text.h"

namespace tidemark::scheduler {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::chrono::seconds kPatience{5};

http::response<http::string_body> answer_to(const http::request<http::empty_body>& request,
                                            const std::function<std::string()>& text) {
  http::response<http::string_body> answer(http::status::ok, request.version());
  answer.keep_alive(request.keep_alive());
  answer.set(http::field::content_type, "text/plain; charset=utf-8");
  const beast::string_view path = request.target().substr(0, request.target().find('?'));
  if (path != "/metrics") {
    answer.result(http::status::not_found);
    answer.body() = "metrics are at /metrics\n";
  } else if (request.method() != http::verb::get && request.method() != http::verb::head) {
    answer.result(http::status::method_not_allowed);
    answer.set(http::field::allow, "GET, HEAD");
  } else {
    answer.set(http::field::content_type, std::string(kMetricsMediaType));
    answer.body() = text();
  }
  answer.prepare_payload();  // the length of what GET returns, for HEAD too
  if (request.method() == http::verb::head) answer.body().clear();
  return answer;
}

/// One connection, for as many questions as it likes to ask. Lives as long as an operation of its
/// is under way. Whoever goes away, or asks nothing that makes sense, is left without a word.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(tcp::socket socket, const std::function<std::string()>& text)
      : stream_(std::move(socket)), text_(text) {}

  void read() {
    request_ = {};
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (!error) self->answer();
                     });
  }

 private:
  void answer() {
    answer_ = answer_to(request_, text_);
    serializer_.emplace(answer_);
    const auto written = [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (error) return;
      if (self->answer_.keep_alive()) return self->read();
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    };
    if (request_.method() == http::verb::head) {
      http::async_write_header(stream_, *serializer_, written);
    } else {
      http::async_write(stream_, *serializer_, written);
    }
  }

  beast::tcp_stream stream_;
  const std::function<std::string()>& text_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response<http::string_body> answer_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
};

}  // namespace

struct MetricsServer::Server {
  std::function<std::string()> text;
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  asio::steady_timer pause{context};

  void accept() {
    acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (!error) {
        std::make_shared<Client>(std::move(socket), text)->read();
        return accept();
      }
      // Out of descriptors, most likely: whoever asks can wait until some are free again.
      pause.expires_after(std::chrono::seconds(1));
      pause.async_wait([this](beast::error_code) { accept(); });
    });
  }
};

MetricsServer::MetricsServer(const std::string& address, int port,
                             std::function<std::string()> text)
    : server_(std::make_unique<Server>()) {
  server_->text = std::move(text);
  try {
    const std::string number = address == "localhost" ? "127.0.0.1" : address;
    const tcp::endpoint endpoint(asio::ip::make_address(number), static_cast<unsigned short>(port));
    server_->acceptor.open(endpoint.protocol());
    server_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    server_->acceptor.bind(endpoint);
    server_->acceptor.listen();
  } catch (const boost::system::system_error& error) {
    throw Error(
        ExitCode::usage,
        "cannot serve metrics on " + address + ":" + std::to_string(port) + ": " +
            error.code().message(),
        "the port is taken, or must not be used: choose another one for metrics in the section "
        "[daemon]");
  }
  server_->accept();
  thread_ = std::thread([this] { server_->context.run(); });
}

MetricsServer::~MetricsServer() {
  server_->context.stop();
  thread_.join();
}

}  // namespace tidemark::scheduler
