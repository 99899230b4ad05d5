// The unit of work of the attention kernels: a block of queries of one head, with the keys that they may attend to.
#pragma once

#include <algorithm>
#include <cstdint>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/host/batches.hpp"
#include "expunge/tensor/host/gemm_pack.hpp"
#include "expunge/tensor/host/scratch.hpp"
#include "expunge/tensor/host/small_product.hpp"

namespace expunge::host {

namespace detail {

// Purposes of scratch memory.
struct probabilities;
struct probability_tangents;
struct score_cotangents;
struct score_cotangent_tangents;
struct transposed_keys;
struct last_keys;

/// Matrices [rows, keys()] are scratch whose rows begin at whole batches. Of row i only the columns up to visible(i) count; those up to
/// padded(visible(i)) may be computed with, and from visible(i) on there are zeros once mask() has been called.
struct attention_block {
  static constexpr index_t most_rows = 64;

  attention_shape sizes;
  index_t head, kv_head;
  index_t first_key, before;  // the first key of the example, and how many keys stand before the one of first_row
  index_t first_row, rows;

  [[nodiscard]] index_t keys() const { return before + rows; }
  /// How many keys row i of the block attends to.
  [[nodiscard]] index_t visible(index_t i) const { return before + i + 1; }
  [[nodiscard]] index_t lse_index(index_t i) const { return (first_row + i) * sizes.heads + head; }
  template <class T>
  static index_t padded(index_t columns) {
    constexpr auto size = static_cast<index_t>(xsimd::batch<T>::size);
    return (columns + size - 1) / size * size;
  }

  /// This block's part [rows, dim] of an array [rows, heads * dim].
  template <class T>
  rows_at<T> queries(T* from) const {
    return {from + (first_row * sizes.heads + head) * sizes.dim, sizes.heads * sizes.dim};
  }
  /// This block's part [keys(), dim] of an array [keys, kv_heads * dim].
  template <class T>
  rows_at<T> keys(T* from) const {
    return {from + (first_key * sizes.kv_heads + kv_head) * sizes.dim, sizes.kv_heads * sizes.dim};
  }
  /// A matrix with unspecified contents.
  template <class Purpose, class T>
  rows_at<T> matrix() const {
    const index_t stride = padded<T>(keys()) | padded<T>(1);  // an odd number of batches: columns then lie in different sets of the cache
    return {scratch<Purpose, T>(rows * stride), stride};
  }
  /// Zeros beyond the causal mask of row i.
  template <class T>
  void mask(const rows_at<T>& m, index_t i) const {
    std::fill(m[i] + visible(i), m[i] + padded<T>(keys()), T{0});
  }

  /// to = factor a b^T, or with `add` to += factor a b^T, from an array of queries and one of keys.
  template <class T>
  void products(const rows_at<T>& to, bool add, T factor, const T* a, const T* b) const {
    const rows_at<const T> left = queries(a), right = transposed(keys(b));
    for_row_tiles<T>(rows, [&](index_t i, index_t count) {
      small_product<T>(count, padded<T>(visible(i + count - 1)), sizes.dim, factor, {left[i], left.stride, 1}, right, add, to.from(i, 0));
    });
  }
  /// to = factor w b, or with `add` to += factor w b, from an array of keys to one of queries.
  template <class T>
  void to_queries(T* to, bool add, T factor, const rows_at<T>& w, const T* b) const {
    for_row_tiles<T>(rows, [&](index_t i, index_t count) {
      small_product<T>(count, sizes.dim, visible(i + count - 1), factor, {w[i], w.stride, 1}, keys(b), add, queries(to).from(i, 0));
    });
  }
  /// to += factor w^T b, from an array of queries to one of keys.
  template <class T>
  void to_keys(T* to, T factor, const rows_at<T>& w, const T* b) const {
    for_row_tiles<T>(keys(), [&](index_t j, index_t count) {
      const index_t first = std::max<index_t>(0, j - before);  // the first row that attends to key j
      small_product<T>(count, sizes.dim, rows - first, factor, {w[first] + j, 1, w.stride}, queries(b).from(first, 0), true, keys(to).from(j, 0));
    });
  }

  /// Replaces the scores of row i by exp(score - shift).
  template <class T>
  void exponentiate(const rows_at<T>& scores, index_t i, T shift) const {
    for_batches(padded<T>(visible(i)), [shift](auto& s) { s = xsimd::exp(s - shift); }, scores[i]);
    mask(scores, i);
  }

  /// softmax(scale q k^T, causal)
  template <class T>
  rows_at<T> recompute(const T* q, const T* k, T scale, const T* lse) const {
    const auto p = matrix<probabilities, T>();
    products(p, false, scale, q, k);
    for (index_t i = 0; i < rows; ++i) exponentiate(p, i, lse[lse_index(i)]);
    return p;
  }

  /// Row i of the scores' s, tangent or cotangent, through softmax: s = p * (s - mean), with the mean of s under p.
  template <class T>
  void differentiate_softmax(const rows_at<T>& p, index_t i, T mean, const rows_at<T>& s) const {
    for_batches(padded<T>(visible(i)), [mean](const auto& x, auto& y) { y = x * (y - mean); }, p[i], s[i]);
    mask(s, i);
  }

  /// Tangent of the probabilities p along (dq, dk): p * (ds - mean) with the tangent ds of the scaled scores, whose mean under p, the
  /// tangent of the log-sum-exp, mean_of(row, ds of the row) gives.
  template <class T, class F>
  rows_at<T> probability_tangent(const rows_at<T>& p, const T* q, const T* k, T scale, const T* dq, const T* dk, const F& mean_of) const {
    const auto dp = matrix<probability_tangents, T>();
    if (dq != nullptr) products(dp, false, scale, dq, k);
    if (dk != nullptr) products(dp, dq != nullptr, scale, q, dk);
    for (index_t i = 0; i < rows; ++i) {
      if (dq == nullptr && dk == nullptr) std::fill_n(dp[i], padded<T>(visible(i)), T{0});
      differentiate_softmax(p, i, mean_of(i, static_cast<const T*>(dp[i])), dp);
    }
    return dp;
  }

 private:
  /// Calls f(first row, how many) for every tile of the product's kernel, whose columns or depth end where its last row's do.
  template <class T, class F>
  static void for_row_tiles(index_t count, const F& f) {
    for (index_t i = 0; i < count; i += small_tile<T>::rows) f(i, std::min(small_tile<T>::rows, count - i));
  }
  /// [keys(), dim] as [dim, padded(keys())], with zeros in the padding.
  template <class T>
  rows_at<T> transposed(const rows_at<const T>& of) const {
    constexpr auto size = static_cast<index_t>(xsimd::batch<T>::size);
    const index_t dim = sizes.dim, stride = padded<T>(keys()), whole = keys() / size * size;
    T* const to = scratch<transposed_keys, T>(dim * stride);
    if (whole > 0) pack_transposed(of.data, of.stride, whole, dim, to, stride);
    if (whole < stride) {
      T* const rest = scratch<last_keys, T>(size * dim);
      pack_straight(of[whole], of.stride, keys() - whole, dim, rest, dim);
      std::fill(rest + (keys() - whole) * dim, rest + size * dim, T{0});
      pack_transposed(rest, dim, size, dim, to + whole, stride);
    }
    return {to, stride};
  }
};

/// Calls work(block) for every block of every head. Blocks that share a key-value head of an example run in order, so that work
/// may add to the keys' cotangents.
template <class Work>
void for_attention_blocks(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const Work& work) {
  const index_t group = sizes.heads / sizes.kv_heads;
  parallel_for(sizes.examples * sizes.kv_heads, [&](index_t task) {
    const index_t example = task / sizes.kv_heads;
    const index_t kv_head = task % sizes.kv_heads;
    const index_t begin = offsets[example], end = offsets[example + 1];
    const index_t first_key = key_offsets[example], past = key_offsets[example + 1] - first_key - (end - begin);
    for (index_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (index_t first = begin; first < end; first += attention_block::most_rows)
        work(attention_block{sizes, head, kv_head, first_key, past + first - begin, first,
                             std::min(attention_block::most_rows, end - first)});
  });
}

}  // namespace detail

}  // namespace expunge::host
