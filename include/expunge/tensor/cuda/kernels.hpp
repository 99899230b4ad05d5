// The primitive operations on a CUDA device: declarations of what include/expunge/cuda/ defines for float and double. Arguments are
// those of the host kernels of the same name, with device pointers; each submits work and returns.
#pragma once

#include <cstdint>

#include "expunge/core/shape.hpp"
#include "expunge/tensor/attention_shape.hpp"
#include "expunge/tensor/cuda/bfloat16.hpp"

namespace expunge::cuda {

/// Element by element; instantiated for the functors that EXPUNGE_CUDA_MAP names (include/expunge/cuda/map.cuh). A link error that
/// names this function names a functor which is in no such list.
template <class F, class... E>
void map(index_t size, const F& f, E*... arrays);

/// The same for functors that return a number: *out += factor * the sum of those; `out` lies on the device (EXPUNGE_CUDA_MAP_SUM,
/// include/expunge/cuda/map_sum.cuh).
template <class F, class... E>
void map_sum(index_t size, const F& f, double factor, double* out, E*... arrays);

template <class T>
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c);
/// y = x W^T + bias with x [m, k], W [n, k], bias [n] (null: none), which the product adds itself.
template <class T>
void linear(index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, T* y);
void round(const float* from, index_t size, bfloat16* to);
/// The same two products on tensor cores, sums in float.
void gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, float alpha, const bfloat16* a, const bfloat16* b, float beta, float* c);
void linear(index_t m, index_t n, index_t k, const bfloat16* x, const bfloat16* w, const float* bias, float* y);
template <class T>
void gather_rows(const T* table, const std::int32_t* rows, index_t count, index_t cols, T* out);
template <class T>
void scatter_add_rows(const T* values, const std::int32_t* rows, index_t count, index_t cols, T* table);
template <class T>
void broadcast_row(const T* row, index_t rows, index_t cols, T* out);
template <class T>
void column_sum(const T* values, index_t rows, index_t cols, T* out);
template <class T>
void segment_sum(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
template <class T>
void segment_broadcast(const T* values, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
template <class T>
void segment_multiply(const T* values, const T* factor, const std::int32_t* offsets, index_t segments, index_t cols, T* out);
template <class T>
void scale_rows(const T* values, const T* factor, index_t rows, index_t cols, T* out);
template <class T>
void segment_products(const T* a, const T* b, const std::int32_t* offsets, index_t segments, index_t cols, T* sum, T* largest, T*
    smallest);
// Y and Z are T, or bfloat16 where T is float.
template <class T, class Y>
void rms_norm(const T* x, const T* w, T epsilon, index_t rows, index_t cols, Y* y, T* rstd);
template <class T, class Y>
void rms_norm_pushforward(const T* x, const T* w, const T* rstd, const T* dx, const T* dw, index_t rows, index_t cols, Y* dy);
template <class T>
void rms_norm_pullback(const T* x, const T* w, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar, T* w_bar);
template <class T>
void rms_norm_pullback_tangent(const T* x, const T* w, const T* rstd, const T* dx, const T* dw, const T* y_bar, const T* dy_bar,
    index_t rows, index_t cols, T* dx_bar, T* dw_bar);
template <class T, class Y>
void layer_norm(const T* x, const T* w, const T* b, T epsilon, index_t rows, index_t cols, Y* y, T* mean, T* rstd);
template <class T, class Y>
void layer_norm_pushforward(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* db, index_t
    rows, index_t cols, Y* dy);
template <class T>
void layer_norm_pullback(const T* x, const T* w, const T* mean, const T* rstd, const T* y_bar, index_t rows, index_t cols, T* x_bar,
    T* w_bar, T* b_bar);
template <class T>
void layer_norm_pullback_tangent(const T* x, const T* w, const T* mean, const T* rstd, const T* dx, const T* dw, const T* y_bar,
    const T* dy_bar, index_t rows, index_t cols, T* dx_bar, T* dw_bar, T* db_bar);
template <class T>
void rotary(const T* x, const std::int32_t* positions, const T* cos, const T* sin, index_t rows, index_t heads, index_t dim, bool
    transpose, T* y, bool accumulate);
/// How the products inside an attention take their operands: as they are, or rounded to bfloat16 for tensor cores with sums in float
/// (of float alone, for head dimensions that are multiples of 8 and at most 128; others stay whole).
enum class attention_operands { whole, bfloat16 };
template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k,
    const T* v, T scale, T* out, T* lse, attention_operands how = attention_operands::whole);
template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale,
    const T* out, const T* lse, const T* dq, const T* dk, const T* dv, T* dout, T* dlse, attention_operands how =
    attention_operands::whole);
template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale,
    const T* out, const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar, attention_operands how = attention_operands::whole);
template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T
    scale, const T* out, const T* lse, const T* dq, const T* dk, const T* dv, const T* dout, const T* dlse, const T* out_bar, const
    T* dout_bar, T* dq_bar, T* dk_bar, T* dv_bar, attention_operands how = attention_operands::whole);
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
