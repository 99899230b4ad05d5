#!/bin/sh
# usage: kernel_registers.sh OBJECT
# Of kernels compiled for AVX-512: every product's tile of R rows and 3 vectors multiplies and adds in one instruction, four rows of depth at
# a time, and puts no vectors on the stack but its R * 3 sums, once, at the edge of a matrix; another compiler may need a dozen more. (At -O2 a
# loop over B's vectors went through memory, and products took four times as long; xsimd's own fma is two instructions with clang, and took
# twice as long.)
set -eu
objdump --disassemble --demangle --no-show-raw-insn "$1" | awk '
  function judge() {
    if (tile == "") return
    ++tiles
    sums = 3 * (gsub(/[0-9]ul/, "", tile) - 3)
    if (fused < 4 * sums || stored > sums + 12) { print sums " sums: " fused " multiply-adds, " stored " vectors stored on the stack"; ++wrong }
  }
  /^[0-9a-f]+ <.*>:$/ {
    judge()
    tile = match($0, /tile_product<float>::run<(true|false), [^>]*>\(/) && $0 !~ /lambda/ ? substr($0, RSTART, RLENGTH) : ""
    fused = stored = 0
  }
  tile != "" && /vf(n?)madd/ { ++fused }
  tile != "" && /vmov[a-z]+ +%zmm[0-9]+,[^%]*\(%r[sb]p/ { ++stored }
  END {
    judge()
    print tiles + 0 " tiles, " wrong + 0 " wrong"
    exit tiles == 0 || wrong > 0
  }'
