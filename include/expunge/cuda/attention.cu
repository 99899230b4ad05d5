// Attention: which products its tiles are computed with, and which passes an operation has.
#include "expunge/cuda/attention.cuh"
#include "expunge/cuda/attention_products.cuh"
#include "expunge/cuda/rounding.cuh"
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

/// Runs a pass on tensor cores.
template <pass Which>
void run(const char* what, const attention_arguments<float, __nv_bfloat16>& a, float* out = nullptr, float* lse = nullptr) {
  if (a.sizes.dim <= 64) attention_on<bfloat16_products<64>>::run<Which>(what, a, out, lse);
  else attention_on<bfloat16_products<128>>::run<Which>(what, a, out, lse);
}

/// delta and ddelta of every row, which take no operands.
template <class T>
void run_stats(const char* what, const attention_arguments<T>& a) {
  attention_on<plain_products<T, 16>>::template run<pass::stats>(what, a, nullptr, nullptr);
}

/// Can all passes run on tensor cores?
bool fits_on_tensor_cores(index_t dim) {
  if (dim % 8 != 0 || dim > 128) return false;
  return dim <= 64 ? attention_on<bfloat16_products<64>>::fits(pass::tangent_keys, dim)
                   : attention_on<bfloat16_products<128>>::fits(pass::tangent_keys, dim);
}

/// The operands of an attention rounded.
struct rounded_operands {
  const attention_arguments<float>& a;
  index_t of_queries = a.sizes.rows * a.sizes.heads * a.sizes.dim, of_keys = a.sizes.key_rows * a.sizes.kv_heads * a.sizes.dim;
  detail::scratch<__nv_bfloat16> q = detail::rounded(a.q, of_queries), k = detail::rounded(a.k, of_keys), v = detail::rounded(a.v, of_keys),
                                 dq = detail::rounded(a.dq, of_queries), dk = detail::rounded(a.dk, of_keys), dv = detail::rounded(a.dv, of_keys),
                                 g = detail::rounded(a.g, of_queries), dg = detail::rounded(a.dg, of_queries);

  attention_arguments<float, __nv_bfloat16> arguments() const {
    return {.sizes = a.sizes, .offsets = a.offsets, .key_offsets = a.key_offsets, .scale = a.scale, .q = q.data(), .k = k.data(), .v = v.data(),
            .out = a.out, .lse = a.lse, .dq = dq.data(), .dk = dk.data(), .dv = dv.data(), .dlse = a.dlse, .g = g.data(),
            .dg = dg.data(), .q_bar = a.q_bar, .k_bar = a.k_bar, .v_bar = a.v_bar, .delta = a.delta, .ddelta = a.ddelta};
  }
};

/// Calls f with the arguments, of which the operands are as `how` wants them where that can be.
template <class T, class F>
void with_operands(attention_operands how, const attention_arguments<T>& a, const F& f) {
  if constexpr (sizeof(T) == 4)
    if (how == attention_operands::bfloat16 && fits_on_tensor_cores(a.sizes.dim)) return f(rounded_operands{a}.arguments());
  f(a);
}

}  // namespace

template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k, const T* v,
               T scale, T* out, T* lse, attention_operands how) {
  const attention_arguments<T> whole{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = q, .k = k, .v = v};
  with_operands(how, whole, [&](const auto& a) { run<pass::forward>("attention", a, out, lse); });
}

template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                           const T* lse, const T* dq, const T* dk, const T* dv, T* dout, T* dlse, attention_operands how) {
  const attention_arguments<T> whole{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out,
                                     .lse = lse, .dq = dq, .dk = dk, .dv = dv};
  with_operands(how, whole, [&](const auto& a) { run<pass::pushforward>("attention_pushforward", a, dout, dlse); });
}

template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                        const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar, attention_operands how) {
  const detail::scratch<T> delta(sizes.rows * sizes.heads);
  const attention_arguments<T> whole{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out,
                                     .lse = lse, .out_bar = out_bar, .g = out_bar, .q_bar = q_bar, .k_bar = k_bar, .v_bar = v_bar,
                                     .delta = delta.data()};
  constexpr const char* what = "attention_pullback";
  run_stats(what, whole);
  with_operands(how, whole, [&](const auto& a) {
    if (q_bar != nullptr) run<pass::pullback_queries>(what, a);
    if (k_bar != nullptr || v_bar != nullptr) run<pass::pullback_keys>(what, a);
  });
}

template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                                const T* lse, const T* dq, const T* dk, const T* dv, const T* dout, const T* dlse, const T* out_bar,
                                const T* dout_bar, T* dq_bar, T* dk_bar, T* dv_bar, attention_operands how) {
  const index_t size = sizes.rows * sizes.heads;
  const detail::scratch<T> deltas(2 * size);
  const attention_arguments<T> whole{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out,
                                     .lse = lse, .dq = dq, .dk = dk, .dv = dv, .dout = dout, .dlse = dlse, .out_bar = out_bar, .dout_bar = dout_bar,
                                     .g = out_bar, .dg = dout_bar, .q_bar = dq_bar, .k_bar = dk_bar, .v_bar = dv_bar, .delta = deltas.data(),
                                     .ddelta = deltas.data() + size};
  constexpr const char* what = "attention_pullback_tangent";
  run_stats(what, whole);
  with_operands(how, whole, [&](const auto& a) {
    if (dq_bar != nullptr) run<pass::tangent_queries>(what, a);
    if (dk_bar != nullptr || dv_bar != nullptr) run<pass::tangent_keys>(what, a);
  });
}

#define EXPUNGE_KERNELS(T) &attention<T>, &attention_pushforward<T>, &attention_pullback<T>, &attention_pullback_tangent<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
