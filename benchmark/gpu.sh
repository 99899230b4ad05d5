#!/bin/sh
# Everything that is measured on a GPU, beside PyTorch on the same one: SmolLM2-135M and the shape of Llama 3.2 1B (random weights), a batch
# of facts (also with CUDA graphs) and sequences of 1,024 tokens, products in float and in bf16. Writes Markdown tables to build/gpu/.
# Exit status 1: values differ, or a program failed.
# usage: benchmark/gpu.sh [DEVICE]      DEVICE is cuda (the first) or cuda:N. Needs what `./expunge.sh test cuda` installs, Debian's
# libbenchmark-dev, and in PYTHON the name of an interpreter with benchmark/peers/requirements.txt and a PyTorch for CUDA.
set -eu
cd "$(dirname "$0")/.."
device=${1:-cuda}
python=${PYTHON:-python3}
refuse() { echo "gpu.sh: $*" >&2; exit 2; }

nvidia-smi -L >/dev/null 2>&1 || refuse "no GPU found here (nvidia-smi -L says so); nothing was measured"
command -v nvcc >/dev/null || refuse "nvcc is not on PATH; it is in the CUDA toolkit's bin folder"
"$python" -c 'import torch, transformers, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null ||
  refuse "$python has no PyTorch that sees the GPU: install benchmark/peers/requirements.txt with a PyTorch for CUDA, or set PYTHON"

model=$(./expunge.sh model | tail -n 1)
[ -f "$model" ] || refuse "no model: ./expunge.sh model says why"
cmake --preset cuda -DEXPUNGE_BUILD_BENCHMARKS=ON >/dev/null
cmake --build --preset cuda -j "$(nproc)" --target benchmark_unlearning_step
mkdir -p build/gpu
failed=0

# measure NAME OPTION...: one table.
measure() {
  name=$1; shift
  for products in float bf16; do
    rm -f "build/gpu/$name-$products.md"
    "$python" benchmark/peers/run.py --model "$model" --facts examples/data/world_facts.jsonl --benchmark build/cuda/benchmark/unlearning_step \
      --work build/gpu --device "$device" --products $products --out "build/gpu/$name-$products.md" "$@" || {
      echo "gpu.sh: $name, $products: values differ or a program failed, see above" >&2
      failed=1
    }
    [ ! -f "build/gpu/$name-$products.md" ] || cat "build/gpu/$name-$products.md"
  done
}
training="--only plain_eager plain_compile tuned_eager tuned_compile first_order double_backward forward_over_reverse"
measure smollm2-facts --batch 32
measure smollm2-facts-graphs --batch 32 --graphs --only tuned_eager tuned_compile tuned_graphs first_order double_backward
# shellcheck disable=SC2086
measure smollm2-1024 --batch 8 --length 1024 $training
# shellcheck disable=SC2086
measure llama-1b-facts --shape llama-1b --batch 32 $training
# shellcheck disable=SC2086
measure llama-1b-1024 --shape llama-1b --batch 2 --length 1024 $training
exit $failed
