// Origins translates between the uuid of an origin and the small number that stands for it in this
// database. Read anew in every transaction that needs it, because other programs add origins too.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engines/sqlite/connection.h"
#include "engines/sqlite/functions.h"
#include "model/version.h"

namespace tidemark::sqlite {

class Origins {
 public:
  explicit Origins(Connection& connection) : connection_(connection) {}

  /// The transaction that was read in has ended.
  void forget() { loaded_ = false; }

  /// The number of an origin that may be unknown.
  std::optional<std::int64_t> find(const OriginId& origin);
  /// The number of an origin; makes one (write transaction).
  std::int64_t number(const OriginId& origin);
  const OriginId& origin(std::int64_t number);

  /// Origins that this database never met have no number and so no versions here: they are left
  /// out.
  KnownSequences numbered(const Knowledge& knowledge);

  void save_name(const Identity& identity, const std::string& name);
  std::string name(const OriginId& origin);

 private:
  void load();

  Connection& connection_;
  bool loaded_ = false;
  std::map<OriginId, std::int64_t> numbers_;
  std::map<std::int64_t, OriginId> origins_;
};

}  // namespace tidemark::sqlite
