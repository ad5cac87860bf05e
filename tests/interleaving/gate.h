// Gate runs a session on a thread of its own and stops it at points, so that a test decides what
// happens before it goes on. One side runs at a time: the session between two points, or the test
// while the session stands at a point, waits for a lock or has ended.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace tidemark::interleaving {

class Gate {
 public:
  enum class State : std::uint8_t { at_point, blocked, ended };

  /// `is_blocked` says whether the session waits for somebody's lock.
  Gate(std::function<void()> session, std::function<bool()> is_blocked)
      : session_(std::move(session)), is_blocked_(std::move(is_blocked)) {}
  /// A session that waits at a point runs to its end.
  ~Gate() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
      changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void start() {
    thread_ = std::thread([this] {
      try {
        session_();
      } catch (...) {
        error_ = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      ended_ = true;
      changed_.notify_all();
    });
  }

  /// From the session: it is about to do `what`.
  void point(const std::string& what) {
    std::unique_lock lock(mutex_);
    if (open_) return;
    next_ = what;
    at_point_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !at_point_ || open_; });
  }

  /// Lets a session that stands at a point go on.
  void go() {
    const std::lock_guard lock(mutex_);
    at_point_ = false;
    changed_.notify_all();
  }

  /// Waits until the session stands still.
  State settle() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const bool still = changed_.wait_for(lock, std::chrono::milliseconds(3),
                                           [this] { return at_point_ || ended_; });
      if (still) return ended_ ? State::ended : State::at_point;
      lock.unlock();
      const bool blocked = is_blocked_();
      lock.lock();
      if (blocked && !at_point_ && !ended_) return State::blocked;
    }
  }

  /// What a session that stands at a point does next.
  const std::string& next() const { return next_; }
  /// Rethrows what ended the session. Precondition: it has ended.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()> session_;
  const std::function<bool()> is_blocked_;
  std::string next_;
  bool at_point_ = false;
  bool ended_ = false;
  bool open_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace tidemark::interleaving
