#!/bin/bash
# Runs clang-tidy with the checks of .clang-tidy over the program's own sources.
#
#   scripts/check_tidy.sh BUILD_FOLDER [REGEX]     a configured build; only files that match
#
# A file that passed is not looked at again before it, a header or the checks change.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:?usage: scripts/check_tidy.sh BUILD_FOLDER [REGEX]}
chosen=${2:-.}
passed=$build/tidy-passed
mkdir -p "$passed"

# Every header counts for every source: simple, and headers change rarely.
headers=$(find model compare engines capture apply scheduler cli -name '*.h' -print0 | sort -z |
  xargs -0 cat .clang-tidy | sha256sum)

check() {
  local source=$1 stamp
  stamp=$passed/$( (echo "$headers" && cat "$source") | sha256sum | cut -d' ' -f1)
  [[ -e $stamp ]] && return 0
  clang-tidy --quiet -p "$build" "$source" 2>/dev/null && touch "$stamp"
}
export -f check
export build passed headers

find model compare engines capture apply scheduler cli -name '*.cpp' | grep -E "$chosen" | sort |
  xargs -P "$(nproc)" -I{} bash -c 'check {}'
