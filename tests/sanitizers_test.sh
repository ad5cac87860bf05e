#!/bin/bash
# Builds the preset asan and runs the tests that carry the label `sanitized` in it.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset asan
cmake --build --preset asan
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1
exec ctest --test-dir build/asan --output-on-failure -L '^sanitized$' -j $(($(nproc) + 2))
