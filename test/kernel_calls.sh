#!/bin/sh
# usage: kernel_calls.sh OBJECT...
# The loops that time goes to call nothing: fails where a tile of a product, or a loop over SIMD batches, calls more than the C library's
# copies.
set -eu
objdump --disassemble --demangle --reloc --no-show-raw-insn "$@" | awk '
  function judge(callee) {
    if (callee !~ /^(mem(cpy|move|set)|__(asan|ubsan|tsan|stack_chk))/) { print "in  " inside; print "    calls " callee; ++found }
  }
  /^[0-9a-f]+ <.*>:$/ {
    inside = ""
    if ($0 ~ /(tile_product|inner_product_tile|small_tile)<[a-z]+>::run<[^>]*>\(|host::detail::(for|sum)_batches</) {
      inside = $0
      ++loops
    }
    next
  }
  inside != "" && called != "" {
    if (match($0, /R_[A-Z0-9_]*(PLT32|CALL26)[ \t]+/)) judge(substr($0, RSTART + RLENGTH)); else judge(called)
    called = ""
  }
  inside != "" && /\t(call|bl) / { called = $0; sub(/.*</, "", called) }
  END {
    print loops + 0 " loops, " found + 0 " calls in them"
    exit loops == 0 || found > 0
  }'
