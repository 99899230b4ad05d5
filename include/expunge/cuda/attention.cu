// Ragged causal attention: a block of threads for each tile of each head; the passes are those of attention_passes.hpp.
#include "expunge/core/error.hpp"
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/attention_passes.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

extern __shared__ double shared_memory[];

namespace {

constexpr unsigned threads = 256;

enum class pass { forward, pushforward, pullback_stats, pullback_queries, pullback_keys, tangent_stats, tangent_queries, tangent_keys };

/// out and lse are the outputs of forward and pushforward, which overwrite.
template <pass Which, class T>
__global__ void __launch_bounds__(threads) attention_kernel(attention_arguments<T> a, T* out, T* lse) {
  using tile_type = attention_tile<T, block_lanes>;
  attention_tile_place at;
  if (!find_attention_tile(a.sizes, a.offsets, a.key_offsets, tile_type::size, blockIdx.x, at)) return;
  const block_lanes lanes;
  const tile_type tile(lanes, reinterpret_cast<T*>(shared_memory), a.sizes.dim);
  const attention_passes<T, tile_type> work{{a, tile, at}};
  const index_t head = blockIdx.y;
  if constexpr (Which == pass::forward) work.forward(head, out, lse);
  else if constexpr (Which == pass::pushforward) work.pushforward(head, out);
  else if constexpr (Which == pass::pullback_stats) work.pullback_stats(head);
  else if constexpr (Which == pass::pullback_queries) work.pullback_queries(head);
  else if constexpr (Which == pass::pullback_keys) work.pullback_keys(head);
  else if constexpr (Which == pass::tangent_stats) work.tangent_stats(head);
  else if constexpr (Which == pass::tangent_queries) work.tangent_queries(head);
  else work.tangent_keys(head);
}

template <pass Which, class T>
void run(const char* what, const attention_arguments<T>& a, T* out = nullptr, T* lse = nullptr) {
  using tile_type = attention_tile<T, block_lanes>;
  const std::size_t bytes = tile_type::elements(a.sizes.dim) * sizeof(T), most = detail::shared_memory_per_block();
  require(bytes <= most, what, ": head dimension ", a.sizes.dim, " needs ", bytes, " bytes of shared memory a block, the device has ", most);
  const index_t heads = Which == pass::pullback_keys || Which == pass::tangent_keys ? a.sizes.kv_heads : a.sizes.heads;
  const dim3 grid(static_cast<unsigned>(attention_tiles(a.sizes, tile_type::size)), static_cast<unsigned>(heads));
  detail::launch(what, attention_kernel<Which, T>, grid, threads, bytes, a, out, lse);
}

}  // namespace

template <class T>
void attention(const attention_shape& sizes, const std::int32_t* offsets, const std::int32_t* key_offsets, const T* q, const T* k, const T* v,
               T scale, T* out, T* lse) {
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = key_offsets, .scale = scale, .q = q, .k = k, .v = v};
  run<pass::forward>("attention", a, out, lse);
}

template <class T>
void attention_pushforward(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                           const T* lse, const T* dq, const T* dk, const T* dv, T* dout) {
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .dq = dq, .dk = dk, .dv = dv};
  run<pass::pushforward>("attention_pushforward", a, dout);
}

template <class T>
void attention_pullback(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                        const T* lse, const T* out_bar, T* q_bar, T* k_bar, T* v_bar) {
  const detail::scratch<T> stats(3 * sizes.rows * sizes.heads);
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .g = out_bar, .q_bar = q_bar, .k_bar = k_bar, .v_bar = v_bar, .stats = stats.data()};
  run<pass::pullback_stats>("attention_pullback", a);
  if (q_bar != nullptr) run<pass::pullback_queries>("attention_pullback", a);
  if (k_bar != nullptr || v_bar != nullptr) run<pass::pullback_keys>("attention_pullback", a);
}

template <class T>
void attention_pullback_tangent(const attention_shape& sizes, const std::int32_t* offsets, const T* q, const T* k, const T* v, T scale, const T* out,
                                const T* lse, const T* dq, const T* dk, const T* dv, const T* out_bar, const T* dout_bar, T* dq_bar, T* dk_bar,
                                T* dv_bar) {
  const detail::scratch<T> stats(3 * sizes.rows * sizes.heads);
  const attention_arguments<T> a{.sizes = sizes, .offsets = offsets, .key_offsets = offsets, .scale = scale, .q = q, .k = k, .v = v, .out = out, .lse = lse,
                                 .dq = dq, .dk = dk, .dv = dv, .g = out_bar, .dg = dout_bar, .q_bar = dq_bar, .k_bar = dk_bar, .v_bar = dv_bar,
                                 .stats = stats.data()};
  run<pass::tangent_stats>("attention_pullback_tangent", a);
  if (dq_bar != nullptr) run<pass::tangent_queries>("attention_pullback_tangent", a);
  if (dk_bar != nullptr || dv_bar != nullptr) run<pass::tangent_keys>("attention_pullback_tangent", a);
}

#define EXPUNGE_KERNELS(T) &attention<T>, &attention_pushforward<T>, &attention_pullback<T>, &attention_pullback_tangent<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
