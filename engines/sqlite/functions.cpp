#include "engines/sqlite/functions.h"

#include <sqlite3.h>

#include <algorithm>

#include "engines/sqlite/connection.h"

namespace tidemark::sqlite {
namespace {

template <typename Object>
Object* object_of(sqlite3_context* context, sqlite3_value* value) {
  auto* object = static_cast<Object*>(sqlite3_value_pointer(value, Object::kType));
  if (!object) sqlite3_result_error(context, "this function is Tidemark's own", -1);
  return object;
}

VersionRecord record_of(sqlite3_value** arguments) {
  return {.changed_at_us = sqlite3_value_int64(arguments[0]),
          .origin = sqlite3_value_int64(arguments[1]),
          .sequence = sqlite3_value_int64(arguments[2]),
          .flags = sqlite3_value_int64(arguments[3])};
}

void is_news(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto* known = object_of<KnownSequences>(context, arguments[0]);
  if (!known) return;
  sqlite3_result_int(context, !known->covers(sqlite3_value_int64(arguments[1]),
                                             sqlite3_value_int64(arguments[2])));
}

void overwrites(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* overwrite = object_of<Overwrite>(context, arguments[0]);
  if (!overwrite) return;
  const VersionRecord stored = record_of(arguments + 1);
  overwrite->replaced = stored;
  sqlite3_result_int(context,
                     !stored.same_change(overwrite->incoming) &&
                         overwrite->source_knowledge->covers(stored.origin, stored.sequence));
}

void purges(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* purge = object_of<Purge>(context, arguments[0]);
  if (!purge) return;
  const VersionRecord stored = record_of(arguments + 1);
  const bool goes =
      (stored.flags & VersionRecord::kDeleted) != 0 && stored.changed_at_us < purge->before_us &&
      std::all_of(purge->peers.begin(), purge->peers.end(),
                  [&](const auto& peer) { return peer.covers(stored.origin, stored.sequence); });
  if (goes) {
    purge->forgotten.emplace_back(stored.origin, stored.sequence);
    purge->newest_us = std::max(purge->newest_us, stored.changed_at_us);
  }
  sqlite3_result_int(context, goes);
}

void count(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* counter = object_of<Counter>(context, arguments[0]);
  if (!counter) return;
  ++counter->count;
  sqlite3_result_int(context, 1);
}

}  // namespace

void register_functions(Connection& connection) {
  struct Entry {
    const char* name;
    int arguments;
    void (*function)(sqlite3_context*, int, sqlite3_value**);
  };
  static constexpr Entry kEntries[] = {
      {"tidemark_is_news", 3, is_news},
      {"tidemark_overwrites", 5, overwrites},
      {"tidemark_purges", 5, purges},
      {"tidemark_count", 1, count},
  };
  for (const Entry& entry : kEntries) {
    // Direct only: no view, trigger or index of the database may call them.
    const int result = sqlite3_create_function_v2(connection.handle(), entry.name, entry.arguments,
                                                  SQLITE_UTF8 | SQLITE_DIRECTONLY, nullptr,
                                                  entry.function, nullptr, nullptr, nullptr);
    if (result != SQLITE_OK) connection.fail("cannot register a function");
  }
}

}  // namespace tidemark::sqlite
