#!/bin/bash
# Installs the Debian packages that building and testing Tidemark needs, and only those that are missing.
#
#   scripts/install_packages.sh [build|test]     default: test
#
# build: what the program needs; test: also what its tests need. Silent when nothing is missing. Works as
# root, or with sudo; where neither is possible it names the command that an administrator must run.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libsqlite3-dev libboost-program-options-dev libhowardhinnant-date-dev libspdlog-dev
  libpqxx-dev nlohmann-json3-dev libtomlplusplus-dev libxxhash-dev doctest-dev
  sqlite3 tzdata python3
)
test_packages=(
  sqlite3-tools postgresql clang-format clang-tidy systemd prometheus
  dpkg-dev lintian mmdebstrap tmux zsh
)

case "${1:-test}" in
  build) wanted=("${build_packages[@]}") ;;
  test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  *)
    echo "usage: scripts/install_packages.sh [build|test]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "scripts/install_packages.sh: this is not a Debian system; install the equivalents of: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
    as_root=(sudo)
  else
    echo "scripts/install_packages.sh: packages are missing and this user may not install them" >&2
    echo "HINT: run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi

echo "installing ${missing[*]}" >&2
output=$(mktemp)
trap 'rm -f "$output"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
    >"$output" 2>&1 </dev/null
}
# The lists of packages may be missing or old: they are fetched when the first attempt fails.
if ! apt install -y --no-install-recommends "${missing[@]}"; then
  if ! apt update || ! apt install -y --no-install-recommends "${missing[@]}"; then
    cat "$output" >&2
    echo "scripts/install_packages.sh: apt-get failed" >&2
    echo "HINT: see its words above; the packages are: ${missing[*]}" >&2
    exit 1
  fi
fi
