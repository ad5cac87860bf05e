#!/bin/bash
# Runs an example in a folder of its own with the program that was just built, twice: examples can be run
# again over what they left.
#
#   tests/example_test.sh EXAMPLE PROGRAM
set -euo pipefail

example=$(realpath "$1")
program=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for round in first second; do
  TIDEMARK=$program bash "$example" >"$folder/output" 2>&1 </dev/null || {
    status=$?
    cat "$folder/output"
    echo "the $round run of $example ended with $status"
    exit 1
  }
done
cat "$folder/output"
