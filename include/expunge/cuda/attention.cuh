// Ragged causal attention: a block of threads for each tile of each head; the passes are those of attention_passes.hpp.
#pragma once

#include "expunge/core/error.hpp"
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/attention_passes.hpp"

namespace expunge::cuda {

alignas(16) extern __shared__ double shared_memory[];

namespace detail {

enum class pass { forward, pushforward, pullback_stats, pullback_queries, pullback_keys, tangent_stats, tangent_queries, tangent_keys };

struct block_memory {
  __device__ __forceinline__ operator void*() const { return shared_memory; }
};

template <class Products>
using attention_work = attention_passes<typename Products::value_type, attention_tile<Products, block_lanes, block_memory>>;

template <class Products>
constexpr attention_room room_of(pass which) {
  using work = attention_work<Products>;
  switch (which) {
    case pass::forward: return work::forward_room;
    case pass::pushforward: return work::pushforward_room;
    case pass::pullback_stats: return work::pullback_stats_room;
    case pass::pullback_queries: return work::pullback_queries_room;
    case pass::pullback_keys: return work::pullback_keys_room;
    case pass::tangent_stats: return work::tangent_stats_room;
    case pass::tangent_queries: return work::tangent_queries_room;
    default: return work::tangent_keys_room;
  }
}

/// out and lse are the outputs of forward and pushforward, which overwrite.
template <pass Which, class Products, class T>
__global__ void __launch_bounds__(Products::threads) attention_kernel(attention_arguments<T> a, attention_room room, T* out, T* lse) {
  using tile_type = attention_tile<Products, block_lanes, block_memory>;
  constexpr bool of_keys = Which == pass::pullback_keys || Which == pass::tangent_keys;
  const index_t number = of_keys ? blockIdx.x : gridDim.x - 1 - blockIdx.x;  // those that take longest first
  attention_tile_place at;
  if (!find_attention_tile(a.sizes, a.offsets, a.key_offsets, tile_type::size, number, at)) return;
  const block_lanes lanes;
  const tile_type tile(lanes, block_memory{}, a.sizes.dim, room);
  const attention_work<Products> work{{a, tile, at}};
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

/// The passes with products of one kind: as many operands stay in a block's memory as have room there.
template <class Products>
struct attention_on {
  using T = typename Products::value_type;
  using tile_type = attention_tile<Products, block_lanes, block_memory>;

  static bool fits(index_t dim) {
    const attention_room most = room_of<Products>(pass::tangent_keys);
    return tile_type::bytes(dim, {2, most.matrices, most.sums, most.rows}) <= shared_memory_per_block();
  }

  template <pass Which>
  static void run(const char* what, const attention_arguments<T>& a, T* out = nullptr, T* lse = nullptr) {
    attention_room room = room_of<Products>(Which);
    const std::size_t most = shared_memory_per_block();
    while (room.operands > 2 && tile_type::bytes(a.sizes.dim, room) > most) room.operands /= 2;
    const std::size_t bytes = tile_type::bytes(a.sizes.dim, room);
    require(bytes <= most, what, ": head dimension ", a.sizes.dim, " needs ", bytes, " bytes of shared memory a block, the device has ", most);
    const index_t heads = Which == pass::pullback_keys || Which == pass::tangent_keys ? a.sizes.kv_heads : a.sizes.heads;
    const dim3 grid(static_cast<unsigned>(attention_tiles(a.sizes, tile_type::size)), static_cast<unsigned>(heads));
    launch(what, attention_kernel<Which, Products, T>, grid, Products::threads, bytes, a, room, out, lse);
  }

  static void forward(const attention_arguments<T>& a, T* out, T* lse) { run<pass::forward>("attention", a, out, lse); }
  static void pushforward(const attention_arguments<T>& a, T* dout) { run<pass::pushforward>("attention_pushforward", a, dout); }
  static void pullback(const attention_arguments<T>& a) {
    constexpr const char* what = "attention_pullback";
    run<pass::pullback_stats>(what, a);
    if (a.q_bar != nullptr) run<pass::pullback_queries>(what, a);
    if (a.k_bar != nullptr || a.v_bar != nullptr) run<pass::pullback_keys>(what, a);
  }
  static void pullback_tangent(const attention_arguments<T>& a) {
    constexpr const char* what = "attention_pullback_tangent";
    run<pass::tangent_stats>(what, a);
    if (a.q_bar != nullptr) run<pass::tangent_queries>(what, a);
    if (a.k_bar != nullptr || a.v_bar != nullptr) run<pass::tangent_keys>(what, a);
  }
};

}  // namespace detail

}  // namespace expunge::cuda
