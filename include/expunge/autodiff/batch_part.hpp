// A part of a batch's examples, and how recorded values are cut down to it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/tensor/math.hpp"

namespace expunge {

/// Examples [begin, end) of a batch with the rows and labels that are theirs. Recorded values are laid out by example: their first
/// extent counts the batch's examples, rows, labels or keys, and an operation mixes rows of one example only, or of examples on the same side
/// of a cut. (Where two of the counts are equal, they are equal example by example: an example has at least one label and, without keys of its
/// own, no more labels than rows; with keys there are more keys than rows and more rows than labels.)
class batch_part {
 public:
  /// `rows` and `labels` are the counts of each example of the whole batch; `keys`, where examples share rows, of the rows that each attends to.
  batch_part(const std::vector<index_t>& rows, const std::vector<index_t>& labels, index_t begin, index_t end, const std::vector<index_t>& keys = {})
      : examples_{begin, end, static_cast<index_t>(rows.size())}, rows_(range_of(rows, begin, end)), labels_(range_of(labels, begin, end)),
        keys_(keys.empty() ? rows_ : range_of(keys, begin, end)) {
    const auto one_each = [&](const std::vector<index_t>& counts, index_t of) {
      return of != examples_.of || std::ranges::all_of(counts, [](index_t n) { return n == 1; });
    };
    require((rows_.of != labels_.of || rows == labels) && one_each(rows, rows_.of) && one_each(labels, labels_.of),
            "batch_part: a batch with as many labels as rows, or of one of them as many as examples, but not example by example, cannot be cut "
            "down: leave `row_counts` out of the model's batch, or set `joint` of the trainer to false");
    require(keys.empty() || (keys.size() == rows.size() && keys_.of > rows_.of && rows_.of > labels_.of), "batch_part: a batch of ", labels_.of,
            " labels whose ", rows_.of, " rows attend to ", keys_.of, " cannot be cut down: examples share rows where that leaves more rows than labels; "
            "make a batch that shares nothing");
    require(0 <= begin && begin <= end && end <= examples_.of, "batch_part: examples ", begin, " to ", end, " of ", examples_.of);
  }

  [[nodiscard]] bool whole() const { return examples_.begin == 0 && examples_.end == examples_.of; }
  [[nodiscard]] bool leading() const { return examples_.begin == 0; }
  [[nodiscard]] index_t examples() const { return examples_.end - examples_.begin; }

  /// Cuts x down to this part's share. Throws expunge::error where x is not laid out by example.
  template <class X>
  void restrict(X& x) const {
    if (x.absent()) return;
    const range r = range_for(x.extents());
    if (r.begin == 0) keep_rows(x, r.end);
    else x = x.slice(r.begin, r.end);
  }
  void restrict(shape& s) const {
    const range r = range_for(s);
    s = s.with_first(r.end - r.begin);
  }
  /// The same for ranges of rows, [examples + 1], which are kept as they are: leading parts only.
  template <class I>
  void restrict_offsets(I& offsets) const {
    require(leading(), "batch_part: an operation that mixes rows can be cut down to the first examples only");
    offsets = offsets.slice(0, examples_.end + 1);
  }

 private:
  struct range {
    index_t begin, end, of;
  };

  static range range_of(const std::vector<index_t>& counts, index_t begin, index_t end) {
    range r{0, 0, 0};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (static_cast<index_t>(i) < begin) r.begin += counts[i];
      if (static_cast<index_t>(i) < end) r.end += counts[i];
      r.of += counts[i];
    }
    return r;
  }
  [[nodiscard]] range range_for(const shape& s) const {
    for (const range& r : {rows_, labels_, examples_, keys_})
      if (s.rank() > 0 && s[0] == r.of) return r;
    fail("a recorded value of shape ", s, " is not laid out by example: the batch has ", examples_.of, " examples, ", rows_.of, " rows, ",
         labels_.of, " labels and ", keys_.of, " keys; leave `row_counts` out of the model's batch, or set `joint` of the trainer to false");
  }

  range examples_, rows_, labels_, keys_;
};

}  // namespace expunge
