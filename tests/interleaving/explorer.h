// Explorer walks all ways through a program that asks choose() whenever it could go on in several
// ways. The program is run again and again from its beginning; each run repeats the choices of the
// one before up to the last that has an alternative left. The program must ask the same questions
// after the same answers.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <vector>

namespace tidemark::interleaving {

class Explorer {
 public:
  /// One of `options`, from 0.
  std::size_t choose(std::size_t options) {
    if (position_ == path_.size()) path_.push_back({.options = options});
    const Choice& choice = path_[position_++];
    if (choice.options != options) {
      throw std::logic_error("the same choices led to another place: the test is not repeatable");
    }
    return choice.taken;
  }

  /// Prepares the next run; false when there is none.
  bool next() {
    position_ = 0;
    while (!path_.empty() && path_.back().taken + 1 == path_.back().options) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }

 private:
  struct Choice {
    std::size_t options = 0;
    std::size_t taken = 0;
  };
  std::vector<Choice> path_;
  std::size_t position_ = 0;
};

}  // namespace tidemark::interleaving
