#include "engines/spool.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "model/error.h"

namespace tidemark {
namespace {

constexpr std::uint8_t kPresent = 1;
constexpr std::uint8_t kVersioned = 2;
constexpr std::uint8_t kRevert = 4;
constexpr std::uint8_t kInserted = 8;

/// A chunk ends with the row that makes it long enough.
constexpr std::size_t kOverhang = 4096;

void append(std::string& out, const void* data, std::size_t size) {
  out.append(static_cast<const char*>(data), size);
}

template <typename T>
void append(std::string& out, const T& value) {
  append(out, &value, sizeof value);
}

template <typename T>
T take(const std::string& in, std::size_t& position) {
  T value;
  std::memcpy(&value, in.data() + position, sizeof value);
  position += sizeof value;
  return value;
}

void append_values(std::string& out, RowView values) {
  append(out, static_cast<std::uint16_t>(values.size()));
  for (const ValueView& value : values) {
    out.push_back(static_cast<char>(value.kind));
    switch (value.kind) {
      case ValueKind::null:
        break;
      case ValueKind::integer:
        append(out, value.integer);
        break;
      case ValueKind::real:
        append(out, value.real);
        break;
      case ValueKind::text:
      case ValueKind::blob:
        append(out, static_cast<std::uint32_t>(value.bytes.size()));
        append(out, value.bytes.data(), value.bytes.size());
        break;
    }
  }
}

void take_values(const std::string& in, std::size_t& position, std::vector<ValueView>& values) {
  values.resize(take<std::uint16_t>(in, position));
  for (ValueView& value : values) {
    value = ValueView();
    value.kind = static_cast<ValueKind>(in[position++]);
    switch (value.kind) {
      case ValueKind::null:
        break;
      case ValueKind::integer:
        value.integer = take<std::int64_t>(in, position);
        break;
      case ValueKind::real:
        value.real = take<double>(in, position);
        break;
      case ValueKind::text:
      case ValueKind::blob: {
        const auto size = take<std::uint32_t>(in, position);
        value.bytes = std::string_view(in).substr(position, size);
        position += size;
        break;
      }
    }
  }
}

[[noreturn]] void throw_file_error(const char* what) {
  throw Error(ExitCode::failed,
              std::string("cannot ") + what + " a temporary file: " + std::strerror(errno),
              "make room in the temporary folder, or name another one in TMPDIR");
}

int open_temporary_file() {
  const char* folder = std::getenv("TMPDIR");
  std::string name = (folder != nullptr && *folder != '\0') ? folder : "/var/tmp";
  name += "/tidemark-XXXXXX";
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) throw_file_error("create");
  ::unlink(name.c_str());
  return file;
}

}  // namespace

Spool::Spool(std::vector<std::size_t> key, Options options)
    : key_(std::move(key)), options_(options) {
  filling_ = next_chunk();
}

Spool::~Spool() {
  if (file_ >= 0) ::close(file_);
}

bool Spool::add(const ChangedRow& row) {
  const auto flags = static_cast<std::uint8_t>(
      (row.present ? kPresent : 0) | (row.version ? kVersioned : 0) | (row.revert ? kRevert : 0) |
      (row.version && row.version->inserted ? kInserted : 0));
  append(filling_, flags);
  if (row.version) {
    append(filling_, row.version->changed_at_us);
    append(filling_, row.version->origin.bytes);
    append(filling_, row.version->sequence);
  }
  append_values(filling_, row.present ? row.row : row.key);
  return filling_.size() < options_.chunk_size || hand_over();
}

bool Spool::hand_over() {
  std::unique_lock lock(mutex_);
  if (options_.concurrent) {
    changed_.wait(lock, [this] { return abandoned_ || queued_bytes_ < options_.memory_limit; });
  }
  if (abandoned_) {
    filling_.clear();
    return false;
  }
  if (!options_.concurrent && (file_ >= 0 || queued_bytes_ >= options_.memory_limit)) {
    write_to_file(filling_);
    filling_.clear();
    return true;
  }
  queued_bytes_ += filling_.size();
  chunks_.push_back(std::move(filling_));
  filling_ = next_chunk();
  changed_.notify_all();
  return true;
}

void Spool::finish() {
  if (!filling_.empty()) hand_over();
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

void Spool::fail(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  finished_ = true;
  changed_.notify_all();
}

void Spool::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
  chunks_.clear();
  queued_bytes_ = 0;
  changed_.notify_all();
}

/// With `mutex_` held, but in the beginning.
Spool::Chunk Spool::next_chunk() {
  Chunk chunk;
  if (spare_.empty()) {
    chunk.reserve(options_.chunk_size + kOverhang);
  } else {
    chunk = std::move(spare_.back());
    spare_.pop_back();
  }
  return chunk;
}

/// With `mutex_` held.
void Spool::recycle([[maybe_unused]] Chunk&& chunk) {
#ifndef __SANITIZE_ADDRESS__  // there, who keeps a view for too long is to be noticed
  // One that had to grow for a large row would keep that much for ever.
  if (chunk.capacity() > 2 * (options_.chunk_size + kOverhang)) return;
  if (chunk.capacity() < options_.chunk_size) return;
  chunk.clear();
  spare_.push_back(std::move(chunk));
#endif
}

void Spool::clear() {
  const std::lock_guard lock(mutex_);
  for (Chunk& chunk : chunks_) recycle(std::move(chunk));
  chunks_.clear();
  queued_bytes_ = 0;
  recycle(std::move(filling_));
  filling_ = next_chunk();
  reading_ = Chunk();
  position_ = 0;
  finished_ = abandoned_ = false;
  error_ = nullptr;
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  file_read_ = file_written_ = 0;
}

bool Spool::take_chunk() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return finished_ || (options_.concurrent && !chunks_.empty()); });
  if (error_) std::rethrow_exception(error_);
  if (options_.concurrent) recycle(std::move(reading_));
  reading_.clear();
  position_ = 0;
  if (!chunks_.empty()) {
    reading_ = std::move(chunks_.front());
    chunks_.pop_front();
    queued_bytes_ -= reading_.size();
    changed_.notify_all();
    return true;
  }
  return read_from_file();
}

void Spool::write_to_file(const Chunk& chunk) {
  if (file_ < 0) file_ = open_temporary_file();
  std::string framed;
  append(framed, static_cast<std::uint64_t>(chunk.size()));
  framed += chunk;
  std::size_t done = 0;
  while (done < framed.size()) {
    const ssize_t written = ::pwrite(file_, framed.data() + done, framed.size() - done,
                                     static_cast<off_t>(file_written_ + done));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_file_error("write");
    }
    done += static_cast<std::size_t>(written);
  }
  file_written_ += framed.size();
}

bool Spool::read_from_file() {
  if (file_ < 0 || file_read_ == file_written_) return false;
  const auto read_exactly = [this](void* into, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = ::pread(file_, static_cast<char*>(into) + done, size - done,
                                    static_cast<off_t>(file_read_ + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw_file_error("read");
      done += static_cast<std::size_t>(count);
    }
    file_read_ += size;
  };
  std::uint64_t size = 0;
  read_exactly(&size, sizeof size);
  reading_.resize(size);
  read_exactly(reading_.data(), size);
  return true;
}

bool Spool::next(ChangedRow& row) {
  if (position_ == reading_.size() && !take_chunk()) return false;
  const auto flags = take<std::uint8_t>(reading_, position_);
  row.present = (flags & kPresent) != 0;
  row.revert = (flags & kRevert) != 0;
  if ((flags & kVersioned) != 0) {
    Version version;
    version.changed_at_us = take<std::int64_t>(reading_, position_);
    version.origin.bytes = take<decltype(version.origin.bytes)>(reading_, position_);
    version.sequence = take<std::int64_t>(reading_, position_);
    version.inserted = (flags & kInserted) != 0;
    row.version = version;
  } else {
    row.version.reset();
  }
  if (row.present) {
    take_values(reading_, position_, row_values_);
    key_values_.resize(key_.size());
    for (std::size_t i = 0; i < key_.size(); ++i) key_values_[i] = row_values_[key_[i]];
    row.row = row_values_;
  } else {
    take_values(reading_, position_, key_values_);
    row.row = {};
  }
  row.key = key_values_;
  return true;
}

}  // namespace tidemark
