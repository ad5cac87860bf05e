// Spool is a Stage inside this process: rows are encoded into chunks, one thread fills, one reads.
// Beyond a fixed amount of memory a spool that is filled first goes on in an unlinked temporary
// file; one that is read while it is filled makes the writer wait instead. Engines whose target is
// this process's own file (SQLite, memory) stage here.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace tidemark {

class Spool final : public Stage, public RowStream {
 public:
  struct Options {
    bool concurrent = false;
    std::size_t memory_limit = 16u << 20;  // bytes of finished chunks
    std::size_t chunk_size = 256u << 10;
  };

  /// `key` are the positions of the key columns in a row, as in TableSpec::key.
  Spool(std::vector<std::size_t> key, Options options);
  ~Spool() override;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Empty again, as new but for the memory that it keeps. Not while somebody fills or reads.
  void clear();

  // The writer's side.
  bool add(const ChangedRow& row) override;
  void finish() override;
  void fail(std::exception_ptr error) override;

  // The reader's side. The views of a row are valid until the next call.
  bool next(ChangedRow& row) override;
  void abandon() noexcept override;

 private:
  using Chunk = std::string;

  bool hand_over();
  bool take_chunk();
  Chunk next_chunk();
  void recycle(Chunk&& chunk);
  void write_to_file(const Chunk& chunk);
  bool read_from_file();

  const std::vector<std::size_t> key_;
  const Options options_;

  Chunk filling_;  // writer only

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Chunk> chunks_;
  /// Emptied, for the writer to fill again: the system clears each page that it hands out. No more
  /// than were queued at a time, none much larger than usual.
  std::vector<Chunk> spare_;
  std::size_t queued_bytes_ = 0;
  bool finished_ = false;
  bool abandoned_ = false;
  std::exception_ptr error_;

  int file_ = -1;  // chunks after those in chunks_, each with its size in front
  std::uint64_t file_read_ = 0;
  std::uint64_t file_written_ = 0;

  Chunk reading_;  // reader only
  std::size_t position_ = 0;
  std::vector<ValueView> row_values_;
  std::vector<ValueView> key_values_;
};

}  // namespace tidemark
