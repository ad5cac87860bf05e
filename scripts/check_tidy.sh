#!/bin/bash
# Runs clang-tidy with the checks of .clang-tidy over the program's own sources.
#
#   scripts/check_tidy.sh [REGEX]     only groups of sources whose path matches
#
# Several sources of one library are read as one, because most of the time goes into headers. A group that passed is not
# looked at again before one of its files, a header or the checks change.
set -euo pipefail
cd "$(dirname "$0")/.."

chosen=${1:-.}
build=build/tidy
passed=$build/passed
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTIDEMARK_TESTS=OFF -DTIDEMARK_BENCH=OFF \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8 >/dev/null
mkdir -p "$passed"

# Every header counts for every group: simple, and headers change rarely.
headers=$(find model compare engines capture apply scheduler cli -name '*.h' -print0 | sort -z |
  xargs -0 cat .clang-tidy | sha256sum)

check() {
  local group=$1 stamp sources
  mapfile -t sources < <(sed -n 's/^#include "\(.*\)"$/\1/p' "$group")
  stamp=$passed/$( (echo "$headers" && cat "$group" "${sources[@]}") | sha256sum | cut -d' ' -f1)
  [[ -e $stamp ]] && return 0
  clang-tidy --quiet -p "$build" --config-file=.clang-tidy --checks=-bugprone-suspicious-include \
    '--header-filter=/(model|compare|engines|capture|apply|scheduler|cli)/[^.]*\.(h|cpp)$' \
    "$group" 2>/dev/null && touch "$stamp"
}
export -f check
export build passed headers

find "$build" -path '*/Unity/*.cxx' | grep -E "$chosen" | sort |
  xargs -P "$(nproc)" -I{} bash -c 'check {}'
