// Attention: which products its tiles are computed with, and which passes an operation has.
#include "expunge/cuda/attention.cuh"
#include "expunge/cuda/attention_products.cuh"
#include "expunge/tensor/cuda/attention_products.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

using detail::attention_on, detail::pass;

/// Runs a pass in the arithmetic of T, on the largest tiles that examples fill and a block's memory has room for.
template <pass Which, int Rows, class T>
void run_on_tiles(const char* what, const attention_arguments<T>& a, T* out, T* lse) {
  using on = attention_on<plain_products<T, Rows>>;
  if constexpr (Rows * sizeof(T) > 64)
    if ((Rows > 32 && a.sizes.rows <= 32 * a.sizes.examples) || !on::fits(Which, a.sizes.dim))
      return run_on_tiles<Which, Rows / 2>(what, a, out, lse);
  on::template run<Which>(what, a, out, lse);
}
template <pass Which, class T>
void run(const char* what, const attention_arguments<T>& a, T* out = nullptr, T* lse = nullptr) {
  run_on_tiles<Which, sizeof(T) == 4 ? 64 : 16>(what, a, out, lse);
}

/// Of how many parts the columns of a tile's matrices are: more where registers would have room for only two blocks of four warps.
template <pass Which, int Width>
constexpr int parts = Which == pass::tangent_keys && Width == 64 ? 4 : Which == pass::tangent_keys || Which == pass::tangent_queries ? 2 : 1;
/// Runs a pass on tensor cores.
template <pass Which>
void run(const char* what, const attention_arguments<float, __nv_bfloat16>& a, float* out = nullptr, float* lse = nullptr) {
  if (a.sizes.dim <= 64) attention_on<bfloat16_products<64, parts<Which, 64>>>::template run<Which>(what, a, out, lse);
  else attention_on<bfloat16_products<128, parts<Which, 128>>>::template run<Which>(what, a, out, lse);
}

// As the passes take operands.
template <class T>
const T* operand(const T* x) {
  return x;
}
const __nv_bfloat16* operand(const bfloat16* x) { return reinterpret_cast<const __nv_bfloat16*>(x); }

template <class T, class K>
using arguments_of = attention_arguments<T, std::remove_cvref_t<decltype(*operand(std::declval<const K*>()))>>;

}  // namespace

bool attends_in_bfloat16(index_t dim) {
  if (dim % 8 != 0 || dim > 128) return false;
  return dim <= 64 ? attention_on<bfloat16_products<64>>::fits(pass::tangent_keys, dim)
                   : attention_on<bfloat16_products<128>>::fits(pass::tangent_keys, dim);
}

template <class T, class K>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q, const K* k, const K* v,
               T scale, T* out, T* lse) {
  const arguments_of<T, K> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = operand(q), .k = operand(k),
                             .v = operand(v)};
  run<pass::forward>("attention", a, out, lse);
}

template <class T, class K>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q, const K* k, const K* v,
                           T scale, const T* out, const T* lse, const K* dq, const K* dk, const K* dv, T* dout, T* dlse) {
  const arguments_of<T, K> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = operand(q), .k = operand(k),
                             .v = operand(v), .out = out, .lse = lse, .dq = operand(dq), .dk = operand(dk), .dv = operand(dv)};
  run<pass::pushforward>("attention_pushforward", a, dout, dlse);
}

template <class T, class K>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q, const K* k, const K* v,
                        T scale, const T* out, const T* lse, const K* out_bar, destination<T> q_bar, destination<T> k_bar, destination<T> v_bar) {
  const detail::scratch<T> delta(sizes.rows * sizes.heads);
  const arguments_of<T, K> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = operand(q), .k = operand(k),
                             .v = operand(v), .out = out, .lse = lse, .g = operand(out_bar), .q_bar = q_bar, .k_bar = k_bar, .v_bar = v_bar,
                             .delta = delta.data()};
  constexpr const char* what = "attention_pullback";
  run<pass::stats>(what, a);
  if (q_bar.at != nullptr) run<pass::pullback_queries>(what, a);
  if (k_bar.at != nullptr || v_bar.at != nullptr) run<pass::pullback_keys>(what, a);
}

template <class T, class K>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const K* q, const K* k, const K* v,
                                T scale, const T* out, const T* lse, const K* dq, const K* dk, const K* dv, const T* dout, const T* dlse, const K* out_bar,
                                const K* dout_bar, destination<T> dq_bar, destination<T> dk_bar, destination<T> dv_bar) {
  const index_t size = sizes.rows * sizes.heads;
  const detail::scratch<T> deltas(2 * size);
  const arguments_of<T, K> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = operand(q), .k = operand(k),
                             .v = operand(v), .out = out, .lse = lse, .dq = operand(dq), .dk = operand(dk), .dv = operand(dv), .dout = dout,
                             .dlse = dlse, .g = operand(out_bar), .dg = operand(dout_bar), .q_bar = dq_bar, .k_bar = dk_bar, .v_bar = dv_bar,
                             .delta = deltas.data(), .ddelta = deltas.data() + size};
  constexpr const char* what = "attention_pullback_tangent";
  run<pass::stats>(what, a);
  if (dq_bar.at != nullptr) run<pass::tangent_queries>(what, a);
  if (dk_bar.at != nullptr || dv_bar.at != nullptr) run<pass::tangent_keys>(what, a);
}

#define EXPUNGE_OF(T, K) &attention<T, K>, &attention_pushforward<T, K>, &attention_pullback<T, K>, &attention_pullback_tangent<T, K>
#define EXPUNGE_KERNELS(T) EXPUNGE_OF(T, T)
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)
EXPUNGE_CUDA_KEEP_ALSO(EXPUNGE_OF(float, bfloat16))

}  // namespace expunge::cuda
