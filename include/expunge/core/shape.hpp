// Extents of a row-major tensor: at most four, stored inline so that no tensor handle allocates for its shape.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <ostream>
#include <ranges>

#include "expunge/core/error.hpp"

namespace expunge {

/// Signed, as in Eigen and std::ptrdiff_t: differences of extents are meaningful.
using index_t = std::ptrdiff_t;

/// Extents of a tensor, outermost first. A rank-0 shape is a scalar with one element.
class shape {
 public:
  static constexpr std::size_t max_rank = 4;

  shape() = default;

  /// Throws expunge::error for more than max_rank extents, a negative one, or more elements than any memory has.
  shape(std::initializer_list<index_t> extents) { assign(extents); }

  /// From any range of integers; throws as above.
  template <class Range>
    requires requires(const Range& r) { r.begin() != r.end(); static_cast<index_t>(*r.begin()); }
  explicit shape(const Range& extents) {
    assign(extents);
  }

  [[nodiscard]] std::size_t rank() const { return rank_; }
  [[nodiscard]] index_t operator[](std::size_t axis) const { return extents_[axis]; }
  [[nodiscard]] const index_t* begin() const { return extents_.data(); }
  [[nodiscard]] const index_t* end() const { return extents_.data() + rank_; }

  /// Number of elements; 1 for a scalar.
  [[nodiscard]] index_t size() const {
    index_t product = 1;
    for (const index_t extent : *this) product *= extent;
    return product;
  }

  /// Extent of the last axis (1 for a scalar): the row length when a tensor is read as a matrix.
  [[nodiscard]] index_t cols() const { return rank_ == 0 ? 1 : extents_[rank_ - 1]; }

  /// Product of all extents but the last: the row count when a tensor is read as a matrix.
  [[nodiscard]] index_t rows() const {
    index_t product = 1;
    for (std::size_t axis = 0; axis + 1 < rank_; ++axis) product *= extents_[axis];
    return product;
  }

  /// The same shape with another first extent.
  [[nodiscard]] shape with_first(index_t extent) const {
    require(rank_ >= 1 && extent >= 0, "shape: cannot set the first extent of ", *this, " to ", extent);
    shape made = *this;
    made.extents_[0] = extent;
    made.check_size();
    return made;
  }

  friend bool operator==(const shape&, const shape&) = default;  // what lies behind the rank is 0

  friend std::ostream& operator<<(std::ostream& out, const shape& s) {
    out << '[';
    for (std::size_t axis = 0; axis < s.rank_; ++axis) out << (axis == 0 ? "" : ", ") << s.extents_[axis];
    return out << ']';
  }

 private:
  void assign(const auto& extents) {
    for (const auto given : extents) {
      const auto extent = static_cast<index_t>(given);
      require(rank_ < max_rank, "shape: the rank exceeds the supported ", max_rank);
      require(extent >= 0, "shape: negative extent ", extent);
      extents_[rank_++] = extent;
    }
    check_size();
  }
  /// After it neither size(), rows() nor the bytes of so many elements overflow.
  void check_size() const {
    index_t room = std::numeric_limits<index_t>::max() / 16;
    for (const index_t extent : *this) {
      require(extent <= room, "shape: ", *this, " has more elements than memory could hold");
      room /= std::max<index_t>(extent, 1);
    }
  }

  std::array<index_t, max_rank> extents_{};
  std::size_t rank_ = 0;
};

}  // namespace expunge

// As a range a shape has rank() elements: size() counts those of the tensor, and the library's algorithms shall not ask it.
/// @cond
template <>
inline constexpr bool std::ranges::disable_sized_range<expunge::shape> = true;
/// @endcond
