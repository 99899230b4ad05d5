// The primitive operations on a CUDA device: declarations of what include/expunge/cuda/ defines for float and double. Arguments are
// those of the host kernels of the same name, with device pointers; each submits work and returns.
#pragma once

#include <cstdint>
#include <span>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/cuda/bfloat16.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge::cuda {

/// Element by element; instantiated for the functors that EXPUNGE_CUDA_MAP names (include/expunge/cuda/map.cuh). A link error that
/// names this function names a functor which is in no such list.
template <class F, class... E>
void map(index_t size, const F& f, E*... arrays);

/// The same for functors that return a number: *out += factor * the sum of those; `out` lies on the device (EXPUNGE_CUDA_MAP_SUM,
/// include/expunge/cuda/map_sum.cuh).
template <class F, class... E>
void map_sum(index_t size, const F& f, double factor, double* out, E*... arrays);
/// The same two over the arrays of each group (EXPUNGE_CUDA_MAP_EACH and EXPUNGE_CUDA_MAP_SUM_EACH, include/expunge/cuda/map_each.cuh).
template <class F, class... E>
void map_each(const F& f, std::span<const arrays_of<E*...>> groups);
template <class F, class... E>
void map_sum_each(const F& f, std::span<const arrays_of<E*...>> groups, double factor, double* out);

template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c);
/// y = x W^T + bias + onto with x [m, k], W [n, k], bias [n], onto and y [m, n]; nulls are zeros. The product adds both itself.
template <class T>
void linear(index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, const T* onto, T* y);
void round(const float* from, index_t size, bfloat16* to);
void widen(const bfloat16* from, index_t size, float* to);
/// The same two products on tensor cores, sums in float; and the first rounded when it is whole.
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, float beta, float* c);
void linear(index_t m, index_t n, index_t k, const bfloat16* x, const bfloat16* w, const float* bias, const float* onto,
    float* y);
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, bfloat16* c);
template <class T>
void gather_rows(const T* table, const std::int32_t* rows, index_t count, index_t cols, T* out);
template <class T>
void scatter_add_rows(const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table);
template <class T>
void broadcast_row(const T* row, index_t rows, index_t cols, T* out);
template <class T>
void column_sum(const T* values, index_t rows, index_t cols, destination<T> out);
template <class T>
void segment_sum(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
template <class T>
void segment_broadcast(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
template <class T>
void segment_multiply(const T* values, index_t step, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
/// Y is T, or bfloat16 where T is float.
template <class T, class Y>
void scale_rows(const T* values, const T* factor, index_t rows, index_t cols, Y* out);
template <class T>
void segment_products(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest, T*
    smallest);
// Y and Z are T, or bfloat16 where T is float.
template <class T, class Y>
void rms_norm(const T* x, const T* w, T epsilon, index_t rows, index_t cols, Y* y, T* rstd);
template <class T, class Y>
void layer_norm(const T* x, const T* w, const T* b, T epsilon, index_t rows, index_t cols, Y* y, T* mean, T* rstd);
template <class T, class Y>
void norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db, index_t rows, index_t cols, Y* dy);
template <class T>
void norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar,
    destination<T> w_bar, destination<T> b_bar);
template <class T>
void norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* y_bar, const T* dy_bar,
    index_t rows, index_t cols, T* dx_bar, destination<T> dw_bar, destination<T> db_bar);
// X and Y are T, or bfloat16 where T is float; numbers in bfloat16 are not added to.
template <class T, class X, class Y>
void rotary(const X* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim, bool
    transpose, Y* y, bool accumulate);
// The operands of the products inside an attention, K, are T, or bfloat16 where T is float and heads are of such a dimension that
// tensor cores take them.
bool attends_in_bfloat16(index_t dim);
template <class T, class K>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q, const K* k,
    const K* v, T scale, T* out, T* lse);
template <class T, class K>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q,
    const K* k, const K* v, T scale, const T* out, const T* lse, const K* dq, const K* dk, const K* dv, T* dout, T* dlse);
template <class T, class K>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q,
    const K* k, const K* v, T scale, const T* out, const T* lse, const K* out_bar, destination<T> q_bar, destination<T> k_bar, destination<T> v_bar);
template <class T, class K>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q,
    const K* k, const K* v, T scale, const T* out, const T* lse, const K* dq, const K* dk, const K* dv, const T* dout, const T* dlse, const K* out_bar, const
    K* dout_bar, destination<T> dq_bar, destination<T> dk_bar, destination<T> dv_bar);
template <class T>
void softmax_statistics(const T* z, const std::int32_t* labels, index_t first, index_t rows, index_t cols, T* largest, T* others, T*
    of_label, T* total);
template <class T>
void softmax_statistics_tangent(const T* z, const std::int32_t* labels, index_t first, const T* lse, const T* dz, index_t rows,
    index_t cols, T* expected, T* dlabel, T* dtotal);
template <class T, class Z>
void cross_entropy_pullback(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T*
    others, const T* nll_bar, index_t rows, index_t cols, Z* z_bar);
template <class T, class Z>
void cross_entropy_pullback_tangent(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const
    T* others, const T* dz, const T* dlabel, const T* beyond, const T* nll_bar, const T* dnll_bar, index_t rows, index_t cols, Z*
    dz_bar);

}  // namespace expunge::cuda
