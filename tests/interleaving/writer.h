// Writer is an application that writes to a PostgreSQL database step by step, so that a test may do
// other things in between. A step that waits for somebody's lock is left waiting; settle() looks
// whether it went on. What a writer overwrites it has looked at (SELECT ... FOR UPDATE) in the same
// step. Not for several threads. Throws std::runtime_error for what no application expects.
#pragma once

#include <libpq-fe.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tidemark::interleaving {

/// Answers whether a backend waits for a lock.
class Monitor {
 public:
  explicit Monitor(const std::string& url);
  /// By one of `others` or a prepared transaction; the server itself holds locks for moments, too.
  bool is_blocked(int backend, const std::vector<int>& others);
  /// The backend of the one connection that names itself `application` in this database.
  int backend_of(const std::string& application);
  /// Rows as texts; of several statements the last one's.
  std::vector<std::vector<std::string>> rows(const std::string& sql);

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

/// One transaction, cut into steps. Every step but the last writes; {key}, {own} and {name} are
/// filled in.
struct Script {
  const char* name;
  std::vector<const char*> steps;
  bool commits = true;
};

const std::vector<Script>& scripts();

class Writer {
 public:
  Writer(const std::string& url, Monitor& monitor);

  int backend() const { return PQbackendPID(connection_.get()); }
  void wait_for_these(const std::vector<int>& backends) { others_ = backends; }

  struct Role {
    const Script* script = nullptr;
    std::string name;  // what it writes; unlike any other
    int key = 0;       // the row it shares with others
    int own = 0;       // a row that nobody else touches
  };
  void begin(const Role& role);

  bool is_done() const { return next_ == role_.script->steps.size() && !waiting_; }
  bool is_waiting() const { return waiting_; }
  /// It has written and not ended: whoever wants its rows waits.
  bool is_open() const { return next_ > 0 && !is_done(); }
  /// Its next step is the last.
  bool may_end() const { return next_ + 1 == role_.script->steps.size(); }
  /// Precondition: not done, not waiting.
  void step();
  /// A step that waited goes on if it can; true when none waits any more.
  bool settle();

  const Role& role() const { return role_; }
  /// The transaction is committed (when is_done()).
  bool has_committed() const { return role_.script->commits && !failed_; }
  /// What it found in the rows that it was about to write, by key.
  const std::map<int, std::string>& seen() const { return seen_; }
  std::string next_step() const;

 private:
  void take_results();

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
  Monitor& monitor_;
  std::vector<int> others_;
  Role role_;
  std::size_t next_ = 0;
  bool waiting_ = false;
  bool failed_ = false;  // a row was there already: the application rolled back
  std::map<int, std::string> seen_;
};

}  // namespace tidemark::interleaving
