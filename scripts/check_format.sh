#!/bin/bash
# Fails and names the lines when a C++ source is not formatted as .clang-format says; `--fix` formats them.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(--dry-run -Werror)
[[ ${1:-} == --fix ]] && mode=(-i)
find model compare engines capture apply scheduler cli tests bench \( -name '*.h' -o -name '*.cpp' \) -print0 |
  xargs -0 clang-format "${mode[@]}"
