// The unit of work of the attention kernels: a block of queries of one head, with the keys that they may attend to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <Eigen/Core>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/host/rows.hpp"
#include "expunge/tensor/host/scratch.hpp"

namespace expunge::host {

namespace detail {

template <class T>
using matrix_map = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0, Eigen::OuterStride<>>;
template <class T>
using const_matrix_map =
    Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0, Eigen::OuterStride<>>;

// Purposes of scratch memory.
struct probabilities;
struct probability_tangents;
struct score_cotangents;
struct score_cotangent_tangents;

/// A row of a row-major matrix as an array.
template <class T>
array_map<T> row(const matrix_map<T>& m, index_t i) {
  return array_map<T>(const_cast<T*>(m.data()) + i * m.outerStride(), m.cols());
}

template <class M>
const_matrix_map<typename M::Scalar> read_only(const M& m) {
  return {m.data(), m.rows(), m.cols(), Eigen::OuterStride<>(m.outerStride())};
}

// out += factor a b, a b^T or a^T b: the kernels' products are these three, with operands of one type, because every other that Eigen is
// given costs each program half a second to compile.
template <class T, class A, class B>
void add_product(matrix_map<T> out, T factor, const A& a, const B& b) {
  out.noalias() += factor * read_only(a) * read_only(b);
}
template <class T, class A, class B>
void add_product_transposed(matrix_map<T> out, T factor, const A& a, const B& b) {
  out.noalias() += factor * read_only(a) * read_only(b).transpose();
}
template <class T, class A, class B>
void add_transposed_product(matrix_map<T> out, T factor, const A& a, const B& b) {
  out.noalias() += factor * read_only(a).transpose() * read_only(b);
}
/// out = factor a b^T
template <class T, class A, class B>
void set_product_transposed(matrix_map<T> out, T factor, const A& a, const B& b) {
  out.setZero();
  add_product_transposed<T>(out, factor, a, b);
}

struct attention_block {
  static constexpr index_t most_rows = 64;
  static constexpr index_t padding = 16;  // rows of scratch matrices start aligned for SIMD

  attention_shape sizes;
  index_t head, kv_head;
  index_t first_key, before;  // the first key of the example, and how many keys stand before the one of first_row
  index_t first_row, rows;

  [[nodiscard]] index_t keys() const { return before + rows; }
  /// How many keys row i of the block attends to.
  [[nodiscard]] index_t visible(index_t i) const { return before + i + 1; }
  [[nodiscard]] index_t lse_index(index_t i) const { return (first_row + i) * sizes.heads + head; }

  /// This block's part [rows, dim] of an array [rows, heads * dim].
  template <class T>
  auto queries(T* from) const {
    return part(from, first_row, rows, head, sizes.heads);
  }
  /// This block's part [keys(), dim] of an array [keys, kv_heads * dim].
  template <class T>
  auto keys(T* from) const {
    return part(from, first_key, keys(), kv_head, sizes.kv_heads);
  }
  /// Scratch [rows, keys()] with unspecified contents.
  template <class Purpose, class T>
  matrix_map<T> matrix() const {
    const index_t stride = (keys() + padding - 1) / padding * padding;
    return matrix_map<T>(scratch<Purpose, T>(rows * stride), rows, keys(), Eigen::OuterStride<>(stride));
  }

  /// Replaces the scores of row i by exp(score - shift), and those beyond the causal mask by zero.
  template <class T>
  array_map<T> exponentiate(matrix_map<T>& scores, index_t i, T shift) const {
    const index_t padded = (visible(i) + padding - 1) / padding * padding;  // whole SIMD batches
    array_map<T> whole(scores.data() + i * scores.outerStride(), scores.outerStride());
    whole.head(padded) = (whole.head(padded) - shift).exp();
    whole.tail(whole.size() - visible(i)).setZero();
    return row(scores, i);
  }

  /// softmax(scale q k^T, causal)
  template <class T>
  matrix_map<T> recompute(const T* q, const T* k, T scale, const T* lse) const {
    auto p = matrix<probabilities, T>();
    set_product_transposed<T>(p, scale, queries(q), keys(k));
    for (index_t i = 0; i < rows; ++i) exponentiate(p, i, lse[lse_index(i)]);
    return p;
  }

  /// Tangent of the probabilities p along (dq, dk): p * (ds - rowsum(p * ds)) with the tangent ds of the scaled scores.
  template <class T>
  matrix_map<T> probability_tangent(const matrix_map<T>& p, const T* q, const T* k, T scale, const T* dq, const T* dk) const {
    auto dp = matrix<probability_tangents, T>();
    dp.setZero();
    if (dq != nullptr) add_product_transposed<T>(dp, scale, queries(dq), keys(k));
    if (dk != nullptr) add_product_transposed<T>(dp, scale, queries(q), keys(dk));
    for (index_t i = 0; i < rows; ++i) {
      const auto p_i = row(p, i);
      auto dp_i = row(dp, i);
      const T mean = (p_i * dp_i).sum();
      dp_i = p_i * (dp_i - mean);
    }
    return dp;
  }

 private:
  template <class T>
  auto part(T* from, index_t start, index_t count, index_t which, index_t of) const {
    using map = std::conditional_t<std::is_const_v<T>, const_matrix_map<std::remove_const_t<T>>, matrix_map<std::remove_const_t<T>>>;
    return map(from + (start * of + which) * sizes.dim, count, sizes.dim, Eigen::OuterStride<>(of * sizes.dim));
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
