// Attention: which products its tiles are computed with.
#include "expunge/cuda/attention.cuh"
#include "expunge/cuda/attention_products.cuh"
#include "expunge/tensor/cuda/attention_products.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

/// Calls f with the passes for these extents: on tensor cores where sums have room in registers, else with large tiles where examples fill
/// them and a block's memory has room for them in the derivatives.
template <class T, class F>
void choose(attention_operands how, const attention_shape& sizes, const F& f) {
  using namespace detail;
  if constexpr (sizeof(T) == 8) {
    f(attention_on<plain_products<T, 16>>{});
  } else {
    if (how == attention_operands::bfloat16 && sizes.dim <= 64) return f(attention_on<bfloat16_products<64>>{});
    if (how == attention_operands::bfloat16 && sizes.dim <= 128) return f(attention_on<bfloat16_products<128>>{});
    if (sizes.rows > 32 * sizes.examples && attention_on<plain_products<T, 64>>::fits(sizes.dim)) return f(attention_on<plain_products<T, 64>>{});
    f(attention_on<plain_products<T, 32>>{});
  }
}

}  // namespace

template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k, const T* v,
               T scale, T* out, T* lse, attention_operands how) {
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = q, .k = k, .v = v};
  choose<T>(how, sizes, [&](auto passes) { passes.forward(a, out, lse); });
}

template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                           const T* lse, const T* dq, const T* dk, const T* dv, T* dout,
                           attention_operands how) {
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .dq = dq, .dk = dk, .dv = dv};
  choose<T>(how, sizes, [&](auto passes) { passes.pushforward(a, dout); });
}

template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                        const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar,
                        attention_operands how) {
  const detail::scratch<T> stats(3 * sizes.rows * sizes.heads);
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .g = out_bar, .q_bar = q_bar, .k_bar = k_bar, .v_bar = v_bar, .stats = stats.data()};
  choose<T>(how, sizes, [&](auto passes) { passes.pullback(a); });
}

template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                                const T* lse, const T* dq, const T* dk, const T* dv, const T* out_bar, const T* dout_bar, T* dq_bar, T* dk_bar,
                                T* dv_bar, attention_operands how) {
  const detail::scratch<T> stats(3 * sizes.rows * sizes.heads);
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .dq = dq, .dk = dk, .dv = dv, .g = out_bar, .dg = dout_bar, .q_bar = dq_bar, .k_bar = dk_bar, .v_bar = dv_bar,
                                 .stats = stats.data()};
  choose<T>(how, sizes, [&](auto passes) { passes.pullback_tangent(a); });
}

#define EXPUNGE_KERNELS(T) &attention<T>, &attention_pushforward<T>, &attention_pullback<T>, &attention_pullback_tangent<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
