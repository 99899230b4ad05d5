#!/bin/sh
# Sets up, builds and tests expunge on a bare Debian or Ubuntu machine: ./expunge.sh test
set -eu
cd "$(dirname "$0")"

packages="g++ cmake ninja-build pkg-config libeigen3-dev libxtensor-dev libxsimd-dev nlohmann-json3-dev libpcre2-dev libcli11-dev libboost-test-dev"

usage() {
  echo "usage: ./expunge.sh test [PRESET]   build with a preset (portable, release, debug, asan, tsan) and run every test" >&2
  exit 2
}

# Installs what is missing; says the exact line to run where it may not.
set_up() {
  missing=""
  for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" -eq 0 ]; then elevate=""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then elevate="sudo"
  else
    echo "expunge needs packages that are not installed; run this, then try again:" >&2
    echo "  sudo apt-get install -y$missing" >&2
    exit 1
  fi
  echo "installing:$missing"
  $elevate env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
  # shellcheck disable=SC2086
  $elevate env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}

[ $# -ge 1 ] && [ $# -le 2 ] || usage
case "$1" in
  test)
    preset="${2:-portable}"
    set_up
    cmake --preset "$preset"
    cmake --build --preset "$preset" -j "$(nproc)"
    ctest --preset "$preset" -j 1
    ;;
  *) usage ;;
esac
