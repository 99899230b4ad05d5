// Ragged causal attention: a block of threads for each tile of each head; the passes are those of attention_passes.hpp.
#pragma once

#include "expunge/core/error.hpp"
#include "expunge/cuda/attention_products.cuh"
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/attention_passes.hpp"

namespace expunge::cuda {

alignas(16) extern __shared__ double shared_memory[];

namespace detail {

enum class pass { forward, pushforward, stats, pullback_queries, pullback_keys, tangent_queries, tangent_keys };

struct block_memory {
  __device__ __forceinline__ operator void*() const { return shared_memory; }
};

template <class Products>
using tile_on_device = attention_tile<Products, lanes_of<Products::threads>, block_memory>;
template <class Products>
using attention_work = attention_passes<typename Products::value_type, tile_on_device<Products>>;

template <class Products>
EXPUNGE_DEVICE constexpr attention_room room_of(pass which) {
  using work = attention_work<Products>;
  switch (which) {
    case pass::forward: return work::forward_room;
    case pass::pushforward: return work::pushforward_room;
    case pass::stats: return work::stats_room;
    case pass::pullback_queries: return work::pullback_queries_room;
    case pass::pullback_keys: return work::pullback_keys_room;
    case pass::tangent_queries: return work::tangent_queries_room;
    default: return work::tangent_keys_room;
  }
}

/// The blocks that share a multiprocessor at least, which bounds a thread's registers: more where shared memory has room for them and it
/// costs no more than a handful of spilled numbers.
template <pass Which, class Products>
constexpr unsigned least_blocks = 1;
template <>
constexpr unsigned least_blocks<pass::forward, bfloat16_products<64>> = 4;
template <>
constexpr unsigned least_blocks<pass::pullback_queries, bfloat16_products<64>> = 4;
template <>
constexpr unsigned least_blocks<pass::pullback_keys, bfloat16_products<64>> = 3;
template <>
constexpr unsigned least_blocks<pass::tangent_queries, bfloat16_products<64, 2>> = 2;

/// out and lse, or their tangents, are the outputs of forward and pushforward, which overwrite.
template <pass Which, class Products, class T = typename Products::value_type>
__global__ void __launch_bounds__(Products::threads, least_blocks<Which, Products>)
    attention_kernel(attention_arguments<T, typename Products::operand_type> a, int stages, T* out, T* lse) {
  wait_for_earlier_work();
  using tile_type = tile_on_device<Products>;
  constexpr bool of_keys = Which == pass::pullback_keys || Which == pass::tangent_keys;
  // Heads side by side: of each the tiles that take longest first.
  const auto heads = static_cast<unsigned>(of_keys ? a.sizes.kv_heads : a.sizes.heads);
  const index_t number = (of_keys ? blockIdx.x : gridDim.x - 1 - blockIdx.x) / heads;
  constexpr auto find = of_keys ? find_attention_tile_of_keys : find_attention_tile;
  attention_tile_place at;
  if (!find(a.sizes, a.offsets, a.key_offsets, tile_type::size, number, at)) return;
  const lanes_of<Products::threads> lanes;
  constexpr attention_room needed = room_of<Products>(Which);
  attention_room room = needed;
  room.stages = stages;
  const tile_type tile(lanes, block_memory{}, a.sizes.dim, room);
  const attention_work<Products> work{{a, tile, at}};
  const index_t head = blockIdx.x % heads;
  if constexpr (Which == pass::forward) work.forward(head, out, lse);
  else if constexpr (Which == pass::pushforward) work.pushforward(head, out, lse);
  else if constexpr (Which == pass::stats) work.stats(head);
  else if constexpr (Which == pass::pullback_queries) work.pullback_queries(head);
  else if constexpr (Which == pass::pullback_keys) work.pullback_keys(head);
  else if constexpr (Which == pass::tangent_queries) work.tangent_queries(head);
  else work.tangent_keys(head);
}

/// The passes with products of one kind.
template <class Products>
struct attention_on {
  using T = typename Products::value_type;
  using tile_type = tile_on_device<Products>;
  using arguments = attention_arguments<T, typename Products::operand_type>;

  static bool fits(pass which, index_t dim) { return tile_type::bytes(dim, room_of<Products>(which)) <= shared_memory_per_block(); }

  /// out and lse as of attention_kernel.
  template <pass Which>
  static void run(const char* what, const arguments& a, T* out, T* lse) {
    attention_room room = room_of<Products>(Which);
    const std::size_t most = shared_memory_per_block();
    room.stages = Products::copies_ahead ? 2 : 1;
    if (tile_type::bytes(a.sizes.dim, room) > most) room.stages = 1;
    const std::size_t needed = tile_type::bytes(a.sizes.dim, room);
    require(needed <= most, what, ": head dimension ", a.sizes.dim, " needs ", needed, " bytes of shared memory a block, the device has ", most);
    constexpr bool of_keys = Which == pass::pullback_keys || Which == pass::tangent_keys;
    const index_t heads = of_keys ? a.sizes.kv_heads : a.sizes.heads;
    const auto blocks = static_cast<unsigned>(attention_tiles(a.sizes, tile_type::size, of_keys) * heads);
    launch(what, attention_kernel<Which, Products>, blocks, Products::threads, needed, a, room.stages, out, lse);
  }
};

}  // namespace detail

}  // namespace expunge::cuda
