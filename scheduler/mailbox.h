// Mailbox hands values from any thread to the one that waits for them in poll(): it has a
// descriptor that can be read while something is there.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace tidemark::scheduler {

template <typename Item>
class Mailbox {
 public:
  Mailbox() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Mailbox() { ::close(descriptor_); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  int descriptor() const { return descriptor_; }

  void put(Item item) {
    const std::lock_guard guard(mutex_);
    items_.push_back(std::move(item));
    if (items_.size() > 1) return;  // whoever waits was woken already
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(descriptor_, &one, sizeof one);
  }

  std::vector<Item> take() {
    const std::lock_guard guard(mutex_);
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t read = ::read(descriptor_, &count, sizeof count);
    return std::exchange(items_, {});
  }

 private:
  const int descriptor_;
  std::mutex mutex_;
  std::vector<Item> items_;
};

}  // namespace tidemark::scheduler
