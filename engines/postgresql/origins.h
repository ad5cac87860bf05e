// Origins translates between the uuid of an origin and the small number that stands for it in this
// database. Read anew in every transaction that needs it, because other sessions add origins too.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engines/postgresql/connection.h"
#include "model/version.h"

namespace tidemark::postgresql {

class Origins {
 public:
  explicit Origins(Connection& connection) : connection_(connection) {}

  /// The transaction that was read in has ended.
  void forget() { loaded_ = false; }

  std::optional<std::int64_t> find(const OriginId& origin);
  /// The number of an origin; makes one (write transaction).
  std::int64_t number(const OriginId& origin);
  const OriginId& origin(std::int64_t number);
  /// Reads what is listed, unless that was done; then `listed` needs no connection.
  void load();
  /// Reads it anew in two steps, for who asks for more on one way to the server: `listed` is what
  /// the statement answered.
  static Statement list_statement() { return {.sql = "SELECT id, origin FROM tidemark.origin"}; }
  void take(const Rows& listed);
  const OriginId& listed(std::int64_t number) const;

  /// SQL that is true for a version under `prefix` that `knowledge` covers.
  std::string covered(const Knowledge& knowledge, const std::string& prefix);
  /// SQL that is true for a version that it does not cover, written so that an index can serve it.
  std::string news(const Knowledge& knowledge, const std::string& prefix);
  /// The same for many versions, for which the server plans to read whole tables.
  std::string news_unknown_to_planner(const Knowledge& knowledge, const std::string& prefix);

  void save_name(const Identity& identity, const std::string& name);
  std::string name(const OriginId& origin);

 private:
  /// With `before` and `after` around each sequence.
  std::string news(const Knowledge& knowledge, const std::string& prefix, const char* before,
                   const char* after);

  Connection& connection_;
  bool loaded_ = false;
  std::map<OriginId, std::int64_t> numbers_;
  std::map<std::int64_t, OriginId> origins_;
};

}  // namespace tidemark::postgresql
