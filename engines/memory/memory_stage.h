// MemoryStage keeps staged rows as they are: no encoding, no file, nothing to allocate in advance,
// so that a simulation can make millions of them. May be filled by one thread while another reads.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>

#include "engines/engine.h"
#include "engines/memory/memory_database.h"

namespace tidemark::memory {

class MemoryStage final : public Stage, public RowStream {
 public:
  bool add(const ChangedRow& row) override;
  void finish() override;
  void fail(std::exception_ptr error) override;
  void abandon() noexcept override;

  bool next(ChangedRow& row) override;

 private:
  struct Staged {
    StoredRow key;
    StoredRow row;
    bool present = false;
    std::optional<Version> version;
    bool revert = false;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Staged> rows_;
  bool finished_ = false;
  bool abandoned_ = false;
  std::exception_ptr error_;

  Staged reading_;  // reader only
};

}  // namespace tidemark::memory
