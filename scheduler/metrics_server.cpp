// Boost.Beast is headers alone. A library with TLS in it would initialize that in every run of the
// program, which takes longer than a session without changes.
#include "scheduler/metrics_server.h"

#include <utility>  // Boost 1.74 forgets it

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

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

/// One connection, for as many questions as it likes to ask.
asio::awaitable<void> serve(tcp::socket socket, const std::function<std::string()>& text) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  try {
    for (bool more = true; more;) {
      http::request<http::empty_body> request;
      stream.expires_after(kPatience);
      co_await http::async_read(stream, buffer, request, asio::use_awaitable);
      http::response<http::string_body> answer = answer_to(request, text);
      more = answer.keep_alive();
      http::response_serializer<http::string_body> serializer(answer);
      if (request.method() == http::verb::head) {
        co_await http::async_write_header(stream, serializer, asio::use_awaitable);
      } else {
        co_await http::async_write(stream, serializer, asio::use_awaitable);
      }
    }
    boost::system::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  } catch (const boost::system::system_error&) {
    // Whoever asked has gone, or asked nothing that makes sense: nobody to tell.
  }
}

asio::awaitable<void> accept(tcp::acceptor& acceptor, const std::function<std::string()>& text) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), text), asio::detached);
  }
}

}  // namespace

struct MetricsServer::Server {
  std::function<std::string()> text;
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
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
  asio::co_spawn(server_->context, accept(server_->acceptor, server_->text), asio::detached);
  thread_ = std::thread([this] { server_->context.run(); });
}

MetricsServer::~MetricsServer() {
  server_->context.stop();
  thread_.join();
}

}  // namespace tidemark::scheduler
