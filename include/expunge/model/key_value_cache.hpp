// The keys and values of the rows that a decoder has run, for rows that come later: a token is run once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "expunge/tensor/math.hpp"

namespace expunge::model {

/// Rows in the order in which they came.
template <class X>
class growing_rows {
 public:
  [[nodiscard]] index_t count() const { return count_; }

  /// All rows so far, `more` [rows, cols] being the last; what was given out before stays as it was. Copies what is kept only where
  /// memory has to grow, to twice its size.
  X append(const X& more) {
    const index_t begin = count_;
    count_ += more.rows();
    if (memory_.absent() || count_ > memory_.rows()) {
      X larger(shape{2 * count_, more.cols()});
      if (begin > 0) copy(memory_.slice(0, begin), larger.slice(0, begin));
      memory_ = std::move(larger);
    }
    copy(more, memory_.slice(begin, count_));
    return memory_.slice(0, count_);
  }

 private:
  static void copy(const X& from, X to) { copy_into(to, from); }

  X memory_{};  // [capacity, cols]
  index_t count_ = 0;
};

/// Of each block of a decoder, keys (rotated) and values.
template <class X>
class key_value_cache {
 public:
  /// Rows run so far.
  [[nodiscard]] index_t rows() const { return blocks_.empty() ? 0 : blocks_.front().first.count(); }

  /// Appends to block `number`; returns all its keys and values, oldest first.
  std::pair<X, X> append(index_t number, const X& keys, const X& values) {
    blocks_.resize(std::max(blocks_.size(), static_cast<std::size_t>(number) + 1));
    auto& [k, v] = blocks_[static_cast<std::size_t>(number)];
    return {k.append(keys), v.append(values)};
  }

 private:
  std::vector<std::pair<growing_rows<X>, growing_rows<X>>> blocks_;
};

}  // namespace expunge::model
