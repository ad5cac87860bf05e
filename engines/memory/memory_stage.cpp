#include "engines/memory/memory_stage.h"

namespace tidemark::memory {

bool MemoryStage::add(const ChangedRow& row) {
  Staged staged{.key = StoredRow(row.key),
                .row = row.present ? StoredRow(row.row) : StoredRow(),
                .present = row.present,
                .version = row.version,
                .revert = row.revert};
  const std::lock_guard lock(mutex_);
  if (abandoned_) return false;
  rows_.push_back(std::move(staged));
  changed_.notify_one();
  return true;
}

void MemoryStage::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_one();
}

void MemoryStage::fail(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  finished_ = true;
  changed_.notify_one();
}

void MemoryStage::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  rows_.clear();
}

bool MemoryStage::next(ChangedRow& row) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !rows_.empty() || finished_; });
  if (error_) std::rethrow_exception(error_);
  if (rows_.empty()) return false;
  reading_ = std::move(rows_.front());
  rows_.pop_front();
  row = {.key = reading_.key.view(),
         .row = reading_.row.view(),
         .present = reading_.present,
         .version = reading_.version,
         .revert = reading_.revert};
  return true;
}

}  // namespace tidemark::memory
