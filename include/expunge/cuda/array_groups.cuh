// Many groups of arrays in one launch, which takes their addresses by value: its blocks are shared out over the groups.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>
#include <tuple>
#include <utility>

#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/storage.hpp"

namespace expunge::cuda::detail {

/// Groups of arrays of elements E...; as many as 4 KB of arguments hold beside others.
template <class... E>
struct array_groups {
  static constexpr std::size_t most = std::bit_floor(std::size_t{3584} / (sizeof...(E) * sizeof(void*) + sizeof(index_t) + sizeof(unsigned)));
  std::byte* first[most][sizeof...(E)];
  index_t size[most];
  unsigned block_end[most];  // the block behind those of each; behind the last group beyond all

  /// f(count, packed, arrays...) for what is this block's: up to `each` elements of one group.
  template <class F>
  EXPUNGE_DEVICE_INLINE auto share(index_t block, index_t each, const F& f) const {
    unsigned g = 0;  // the first group that ends behind the block
    for (unsigned half = most / 2; half > 0; half /= 2)
      if (block_end[g + half - 1] <= block) g += half;
    const index_t begin = (block - (g == 0 ? 0 : block_end[g - 1])) * each, left = size[g] - begin;
    return call(f, left < each ? left : each, g, begin, std::index_sequence_for<E...>{});
  }

 private:
  template <class F, std::size_t... A>
  EXPUNGE_DEVICE_INLINE auto call(const F& f, index_t count, unsigned g, index_t begin, std::index_sequence<A...>) const {
    return f(count, packed((reinterpret_cast<E*>(first[g][A]) + begin)...), (reinterpret_cast<E*>(first[g][A]) + begin)...);
  }
};

/// Calls submit(groups, blocks, each) for as many groups at a time as fit; blocks that take `least` elements each, or more where they
/// would be more than `most_blocks`.
template <class... E, class F>
void for_groups(std::span<const arrays_of<E*...>> all, index_t least, index_t most_blocks, const F& submit) {
  while (!all.empty()) {
    const auto some = all.first(std::min(array_groups<E...>::most, all.size()));
    all = all.subspan(some.size());
    index_t size = 0;
    for (const auto& group : some) size += group.size;
    const index_t each = least * std::max(1U, blocks_for(size, least * most_blocks));
    array_groups<E...> groups{};
    std::ranges::fill(groups.block_end, ~0U);
    unsigned blocks = 0;
    for (std::size_t g = 0; g < some.size(); ++g) {
      std::apply([&](E*... arrays) { std::size_t a = 0; ((groups.first[g][a++] = reinterpret_cast<std::byte*>(const_cast<std::remove_const_t<E>*>(arrays))), ...); },
                 some[g].first);
      groups.size[g] = some[g].size;
      groups.block_end[g] = blocks += blocks_for(some[g].size, each);
    }
    if (blocks > 0) submit(groups, blocks, each);
  }
}

}  // namespace expunge::cuda::detail
