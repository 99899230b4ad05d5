// Our own matrix product: blocks of the result, each computed by one thread from operands that it packs itself.
//
//   operand        read by the kernel as                    the block's task
//   A              its own rows, in place                   -
//   A transposed   rows copied, [rows][depth]               all rows of the block at once, per depth
//   B              panels [depth][width], copied            panel by panel where A is in place (B may be weights in memory:
//   B transposed   panels [depth][width], transposed        the next panel is fetched meanwhile); else all at once. B is
//                                                           copied by the first tile of rows, which reads it in place
//
//   loop           extent                                   what stays where
//   blocks         shared by threads                        -
//   depths of k    at most `longest`                        a panel (or all of a block's) in the second-level cache
//   tiles of rows  gemm_tile::rows                          A's tile in the first-level cache
//   panels         gemm_tile::width                         the tile of C in registers
#pragma once

#include <algorithm>

#include "expunge/core/thread_pool.hpp"
#include "expunge/tensor/host/gemm_pack.hpp"
#include "expunge/tensor/host/gemm_tile.hpp"
#include "expunge/tensor/host/scratch.hpp"

namespace expunge::host::detail {

// Purposes of scratch memory.
struct packed_rows;
struct packed_columns;

/// `size` things in as few nearly equal parts as `most` allows: part i begins at begin(i).
struct even_split {
  index_t size, parts;
  even_split(index_t whole, index_t most) : size(whole), parts((whole + most - 1) / most) {}
  [[nodiscard]] index_t begin(index_t i) const { return i * (size / parts) + std::min(i, size % parts); }
};

/// What the blocks of one product share. Depths and tiles depend on the product's shape alone, so an element's chain of
/// sums does too.
template <class T>
struct gemm_plan {
  static constexpr index_t width = gemm_tile<T>::width, longest = 640, shares = prefetcher::lines;
  bool transpose_a, transpose_b;
  index_t m, n, k;
  T alpha;
  const T *a, *b;
  T beta;
  T* c;
  even_split depths{k, longest}, tiles{m, gemm_tile<T>::rows};
  index_t panels = (n + width - 1) / width;
  even_split columns{panels, transpose_a ? std::max<index_t>(1, (index_t{1} << 19) / (depth_size() * width * static_cast<index_t>(sizeof(T)))) : 1};
  even_split rows{tiles.parts, transpose_a ? row_tiles() : tiles.parts};

  [[nodiscard]] index_t depth_size() const { return (k + depths.parts - 1) / depths.parts; }
  // Every group of rows packs B again: a group is at least 12 tiles, and groups are a power of two, which threads share evenly.
  [[nodiscard]] index_t row_tiles() const {
    index_t groups = 1;
    while (groups < 64 && groups * columns.parts < 8 && tiles.parts >= groups * 24) groups *= 2;
    while (tiles.parts >= groups * 48) groups *= 2;
    return (tiles.parts + groups - 1) / groups;
  }
  [[nodiscard]] index_t blocks() const { return rows.parts * columns.parts; }

  /// Panel `panel` at `depth`, in the kernel's order.
  void pack_panel(index_t depth, index_t panel, T* out) const {
    const index_t from = depths.begin(depth), length = depths.begin(depth + 1) - from, j = panel * width, count = std::min(width, n - j);
    if (transpose_b) pack_transposed(b + j * k + from, k, count, length, out, width);
    else pack_straight(b + from * n + j, n, length, count, out, width);
  }

  /// Asks for one of `shares` parts of what the block's thread will read after `panel` at `depth`: of the next panel of B
  /// transposed, whose lines lie one after the other, or of the rows of B's next depth or panel. A part is as much as a
  /// third of 12 tiles has steps for.
  void fetch(index_t depth, index_t panel, index_t next, index_t share, prefetcher& soon) const {
    const bool deeper = !transpose_b && depth + 1 < depths.parts;
    if (!deeper && next >= panels) return;
    if (transpose_b) {
      constexpr index_t row = prefetcher::line<T> * shares;
      const index_t all = (std::min(width, n - next * width) * k + row - 1) / row, parts = shares * depths.parts, part = depth * shares + share;
      soon.begin(b + next * width * k + all * part / parts * row, row, (all + parts - 1) / parts);
    } else {
      const index_t to = deeper ? depth + 1 : 0, from = depths.begin(to), all = depths.begin(to + 1) - from;
      soon.begin(b + (from + all * share / shares) * n + (deeper ? panel : next) * width, n, (all + shares - 1) / shares);
    }
  }

  void run_block(index_t block, index_t threads) const {
    const index_t group = block % rows.parts, range = block / rows.parts;
    const index_t first = columns.begin(range), last = columns.begin(range + 1);
    const index_t first_tile = rows.begin(group), last_tile = rows.begin(group + 1);
    const index_t top = tiles.begin(first_tile), bottom = tiles.begin(last_tile);
    const bool fill = !transpose_b && tiles.begin(first_tile + 1) - top == gemm_tile<T>::rows;  // the first tile fills whole panels
    prefetcher soon;
    T* const packed_b = scratch<packed_columns, T>((last - first) * width * depth_size());
    T* const packed_a = transpose_a ? scratch<packed_rows, T>((bottom - top) * depth_size()) : nullptr;
    for (index_t depth = 0; depth < depths.parts; ++depth) {
      const index_t from = depths.begin(depth), length = depths.begin(depth + 1) - from;
      for (index_t panel = first; panel < last; ++panel)
        if (!fill || (panel + 1) * width > n) pack_panel(depth, panel, packed_b + (panel - first) * width * length);
      if (transpose_a) pack_transposed(a + from * m + top, m, length, bottom - top, packed_a, length);
      for (index_t t = first_tile; t < last_tile; ++t) {
        const index_t i = tiles.begin(t), height = tiles.begin(t + 1) - i;
        const index_t share = shares * t / tiles.parts;  // first + threads is what this thread will probably do next
        if (!transpose_a && (t == 0 || share != shares * (t - 1) / tiles.parts)) fetch(depth, first, first + threads, share, soon);
        for (index_t panel = first; panel < last; ++panel) {
          const index_t j = panel * width, count = std::min(width, n - j);
          if (transpose_a) {  // the next tile of C
            if (panel + 1 < last) soon.begin(c + i * n + j + width, n, height);
            else if (i + height < bottom) soon.begin(c + (i + height) * n + first * width, n, height);
          }
          const tile_product<T> tile{length, transpose_a ? packed_a + (i - top) * length : a + i * k + from, transpose_a ? length : k,
                                     packed_b + (panel - first) * width * length, count, alpha, depth == 0 ? beta : T{1}, c + i * n + j, n};
          if (fill && t == first_tile && count == width) tile.run_and_fill(b + from * n + j, n, soon);
          else tile.run(height, soon);
        }
      }
    }
  }
};

/// As host::gemm, for a k that is not 0.
template <class T>
void own_gemm(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const T* a, const T* b, T beta, T* c) {
  const gemm_plan<T> plan{transpose_a, transpose_b, m, n, k, alpha, a, b, beta, c};
  const index_t blocks = plan.blocks(), threads = static_cast<index_t>(thread_pool::instance().threads());
  parallel_blocks(blocks, std::max<index_t>(1, (index_t{1} << 17) * blocks / (m * n * k)), [&](index_t begin, index_t end) {
    for (index_t block = begin; block < end; ++block) plan.run_block(block, threads);
  });
}

}  // namespace expunge::host::detail
