#include "engines/postgresql/open.h"

#include <libpq-fe.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "engines/postgresql/postgresql_node.h"
#include "model/error.h"

namespace tidemark::postgresql {
namespace {

struct Free {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

/// Also of an url that cannot be read.
bool may_hold_password(const std::string& url) {
  std::string small = url;
  std::transform(small.begin(), small.end(), small.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (small.find("password") != std::string::npos) return true;
  const std::size_t scheme = url.find("://");
  const std::size_t at = url.rfind('@');
  return scheme != std::string::npos && at != std::string::npos && url.find(':', scheme + 3) < at;
}

[[noreturn]] void refuse_password() {
  throw Error(ExitCode::usage, "the url of a node holds a password",
              "Put it into libpq's password file (~/.pgpass, mode 0600) or a service file, and "
              "leave it out of the configuration.");
}

std::map<std::string, std::string> parse(const std::string& url) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, Free> options(PQconninfoParse(url.c_str(), &message));
  if (options == nullptr) {
    const std::string words = message != nullptr ? message : "out of memory";
    PQfreemem(message);
    // Neither the url nor what libpq says of it may be told then.
    if (may_hold_password(url)) refuse_password();
    throw Error(
        ExitCode::usage,
        "url \"" + url + "\": " + words.substr(0, words.find_last_not_of('\n') + 1),
        "Write \"postgresql://user@host:5432/database\"; everything that libpq takes works, "
        "service=... among it.");
  }
  std::map<std::string, std::string> values;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) values[option->keyword] = option->val;
  }
  if (values.contains("password") || values.contains("sslpassword")) refuse_password();
  // A password with a slash in it ends the host: its beginning is taken for a port, the rest for a
  // database.
  const auto database = values.find("dbname");
  if (!values.contains("user") && database != values.end() &&
      database->second.find('@') != std::string::npos && may_hold_password(url)) {
    refuse_password();
  }
  const auto port = values.find("port");
  if (port != values.end() && port->second.find_first_not_of("0123456789,") != std::string::npos) {
    if (may_hold_password(url)) refuse_password();
    throw Error(ExitCode::usage, "url \"" + url + "\": the port is no number",
                "Write \"postgresql://user@host:5432/database\".");
  }
  return values;
}

std::string connection_string(const std::map<std::string, std::string>& values) {
  std::string text;
  for (const auto& [name, value] : values) {
    text += name + "='";
    for (const char c : value) {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
    text += "' ";
  }
  return text;
}

/// Who logs in where an url names nobody.
std::string default_user() {
  const std::unique_ptr<PQconninfoOption, Free> options(PQconndefaults());
  for (const PQconninfoOption* option = options.get();
       option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) == "user" && option->val != nullptr) return option->val;
  }
  return {};
}

}  // namespace

std::unique_ptr<Node> open(const OpenRequest& request) {
  auto values = parse(request.url);
  if (request.connect_timeout.count() > 0) {
    // A server that vanished without a word is noticed. What the url says counts.
    values.emplace("connect_timeout", std::to_string(request.connect_timeout.count()));
    values.emplace("keepalives_idle", "10");
    values.emplace("keepalives_interval", "5");
    values.emplace("keepalives_count", "3");
    values.emplace("tcp_user_timeout", "25000");
  }
  if (request.role.empty()) {
    return std::make_unique<PostgresqlNode>(request, connection_string(values), std::string());
  }
  const std::string session_role = values.contains("user") ? values["user"] : default_user();
  values["user"] = request.role;
  return std::make_unique<PostgresqlNode>(request, connection_string(values),
                                          session_role == request.role ? "" : session_role);
}

bool is_missing(const std::string&, const std::filesystem::path&) { return false; }

void create_database(const std::string& url, const std::filesystem::path&) {
  throw Error(ExitCode::unreachable, "url \"" + url + "\": Tidemark makes no PostgreSQL databases",
              "Create it with createdb, or correct the url.");
}

std::string canonical_url(const std::string& url, const std::filesystem::path&) {
  const auto values = parse(url);
  // What is left out comes from libpq's environment and its service file, for both alike.
  const auto value = [&values](const char* name, const char* other) {
    const auto found = values.find(name);
    if (found != values.end()) return found->second;
    const char* environment = std::getenv(other);
    return std::string(environment != nullptr ? environment : "");
  };
  std::string port = value("port", "PGPORT");
  if (port.empty()) port = "5432";
  std::string database = value("dbname", "PGDATABASE");
  if (database.empty()) database = value("user", "PGUSER");
  const std::string service = value("service", "PGSERVICE");
  return "postgresql://" + value("host", "PGHOST") + ":" + port + "/" + database +
         (service.empty() ? "" : "?service=" + service);
}

}  // namespace tidemark::postgresql
