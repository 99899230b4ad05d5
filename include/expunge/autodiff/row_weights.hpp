// Weights of a batch's examples, spread over the examples' rows and labels.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "expunge/autodiff/batch_part.hpp"
#include "expunge/tensor/math.hpp"

namespace expunge {

/// The default-constructed one weighs everything with 1.
template <class X>
class row_weights {
 public:
  row_weights() = default;

  /// `weights` [examples]; `rows` and `labels` are the counts of each example.
  row_weights(const X& weights, const std::vector<index_t>& rows, const std::vector<index_t>& labels)
      : spread_{spread(weights, rows), spread(weights, labels), weights} {}

  /// The part's rows of x, each times its example's weight. x is [examples, rows or labels of the whole batch, ...]. For products alone
  /// what they read may be all that is made.
  [[nodiscard]] X applied(X x, const batch_part& part, read_by readers = read_by::anyone) const {
    const index_t whole = x.extents()[0];
    part.restrict(x);
    if (spread_[0].absent()) return x;
    for (X s : spread_)
      if (s.size() == whole) {
        part.restrict(s);
        const auto scale = [&](auto out) {
          X::template run<primitive::scale_rows>(x.data(), s.data(), s.size(), s.size() == 0 ? index_t{0} : x.size() / s.size(), out);
        };
        return readers == read_by::products ? written<X, read_by::products>(x.extents(), scale) : written<X, read_by::anyone>(x.extents(), scale);
      }
    fail("row_weights: a value of shape ", x.extents(), " is not laid out by example");  // part.restrict has refused it already
  }

 private:
  static X spread(const X& weights, const std::vector<index_t>& counts) {
    std::vector<std::int32_t> offsets{0};
    for (const index_t n : counts) offsets.push_back(offsets.back() + static_cast<std::int32_t>(n));
    const typename X::index_tensor ranges(shape{std::ssize(offsets)}, offsets);
    X out = zeros<X>(shape{offsets.back()});
    X::template run<primitive::segment_broadcast>(weights.data(), ranges.data(), std::ssize(counts), index_t{1}, out.mutable_data());
    return out;
  }

  std::array<X, 3> spread_{};  // over rows, labels, examples
};

}  // namespace expunge
