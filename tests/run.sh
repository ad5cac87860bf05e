#!/bin/bash
# Installs what is missing, builds the preset dev and runs the tests; ends with ctest's summary.
#
#   bash tests/run.sh           everything, sanitizers and clang-tidy among it
#   bash tests/run.sh --fast    the part for every day
#   bash tests/run.sh --long    every fault, order and history as well, which takes half an hour more
#   bash tests/run.sh -R NAME   what follows goes to ctest
set -euo pipefail
cd "$(dirname "$0")/.."

chosen=(-LE '^long$')
case "${1:-}" in
  --fast)
    chosen=(-L '^fast$')
    shift
    ;;
  --long)
    chosen=()
    shift
    ;;
  -h | --help)
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac

scripts/install_packages.sh test
started=$SECONDS
if ! output=$(cmake --preset dev 2>&1); then
  echo "$output" >&2
  exit 1
fi
cmake --build --preset dev -- --quiet
echo "built in $((SECONDS - started)) s"
# Two more than there are processors: many tests wait for servers, daemons and clocks.
exec ctest --test-dir build/dev --output-on-failure --no-tests=error -j $(($(nproc) + 2)) "${chosen[@]}" "$@"
