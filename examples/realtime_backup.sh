#!/bin/bash
# A shop under constant writing, mirrored in real time: a SQLite file with 200 transactions a second is carried into
# PostgreSQL and into a second SQLite file by the daemon. The shop's program is killed and started again, the PostgreSQL
# server is stopped for ten seconds, the daemon is killed as well; the lag is shown live, and at the end all are
# proven equal. It fails where the daemon does not catch up by itself, where an alert does not end, and where the shop
# was written to much more slowly than it should be.
#
#   bash examples/realtime_backup.sh
#
# Everything happens in ./tidemark-realtime, made anew by every run; server and daemon stop at the end. With
# TIDEMARK=PATH in the environment that program is used and nothing is installed or built.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bold='' plain=''
if [[ -t 1 ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi

heading() { printf '\n%s== %s%s\n\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$*"; }
show() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
  printf '\n'
}

program=${TIDEMARK:-}
if [[ -z $program ]]; then
  heading 'Building the program (some minutes at the first time)'
  "$root/scripts/install_packages.sh" test
  (
    cd "$root"
    cmake --preset release >/dev/null
    cmake --build --preset release --target tidemark
  )
  program=$root/build/release/tidemark
fi
program=$(realpath "$program")
tidemark() { "$program" "$@"; }

if [[ -e tidemark-realtime && ! -e tidemark-realtime/tidemark.toml ]]; then
  say "the folder tidemark-realtime is in the way and was not made by this script" >&2
  say "HINT: move it, or run the script in another folder" >&2
  exit 1
fi
rm -rf tidemark-realtime
mkdir tidemark-realtime
cd tidemark-realtime

# The server does not run as root: then it runs as the user postgres, who came with the package.
server=$(mktemp -d /tmp/tidemark-realtime-XXXXXX)
as_server=()
if [[ $(id -u) -eq 0 ]]; then
  chown postgres "$server"
  as_server=(runuser -u postgres --)
fi
binaries=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
start_server() {
  (
    cd "$server"
    "${as_server[@]}" "$binaries/pg_ctl" -s -w -D data -l log \
      -o "-c listen_addresses='' -c unix_socket_directories='$server'" start
  )
}
stop_server() { "${as_server[@]}" "$binaries/pg_ctl" -s -D "$server/data" -m fast stop >/dev/null 2>&1 || true; }
shop='' daemon=''
end_all() {
  [[ -z $shop ]] || kill "$shop" 2>/dev/null || true
  [[ -z $daemon ]] || kill "$daemon" 2>/dev/null || true
  wait 2>/dev/null || true
  stop_server
  rm -rf "$server"
}
trap end_all EXIT
(
  cd "$server"
  "${as_server[@]}" "$binaries/initdb" --no-sync -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >/dev/null
)
start_server
export PGHOST=$server PGUSER=shop PGDATABASE=shop
psql -X -q -U postgres -d postgres -c 'CREATE ROLE shop LOGIN' -c 'CREATE DATABASE shop OWNER shop'

heading 'The shop, and where it is mirrored to'
cat >schema.sql <<'SQL'
CREATE TABLE article(id INTEGER PRIMARY KEY, name TEXT NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE sale(id INTEGER PRIMARY KEY, article_id INTEGER NOT NULL, amount INTEGER NOT NULL);
SQL
for file in shop.db copy.db; do
  sqlite3 "$file" 'PRAGMA journal_mode = WAL' '.read schema.sql' >/dev/null
done
sqlite3 shop.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  INSERT INTO article SELECT i, 'article ' || i, 1000 FROM n"
psql -X -q -f schema.sql
cat >tidemark.toml <<TOML
alert = { no_success_for = "5s", exec = "cat >> alerts" }

[node.shop]
url = "sqlite:shop.db"
[node.archive]
url = "postgresql://shop@/shop?host=$server"
[node.copy]
url = "sqlite:copy.db"

[job.archive]
nodes = ["shop", "archive"]
mode = "backup"
schedule = "continuous"

[job.copy]
nodes = ["shop", "copy"]
mode = "backup"
schedule = "continuous"
TOML
show tidemark activate
show tidemark sync

# The shop: two hundred sales a second, each a transaction that also takes from the stock.
cat >shop.py <<'PYTHON'
import random, sqlite3, time
shop = sqlite3.connect("shop.db", timeout=30, isolation_level=None)
shop.execute("PRAGMA synchronous = NORMAL")
due = time.monotonic()
while True:
    article = random.randint(1, 500)
    shop.execute("BEGIN IMMEDIATE")
    shop.execute("INSERT INTO sale(article_id, amount) VALUES (?, 1)", (article,))
    shop.execute("UPDATE article SET stock = stock - 1 WHERE id = ?", (article,))
    shop.execute("COMMIT")
    due += 1 / 200
    time.sleep(max(0, due - time.monotonic()))
PYTHON
open_ms=0 opened_ms=0
open_shop() {
  python3 shop.py &
  shop=$!
  opened_ms=$(date +%s%3N)
}
close_shop() {
  kill "-$1" "$shop"
  wait "$shop" 2>/dev/null || true
  shop=''
  open_ms=$((open_ms + $(date +%s%3N) - opened_ms))
}
start_daemon() {
  "$program" run 2>>daemon.log &
  daemon=$!
  for _ in $(seq 100); do
    [[ ! -S tidemark.toml.socket ]] || break
    sleep 0.1
  done
}
count() {
  printf 'sales in the shop %s, in the copy %s, in the archive %s\n' \
    "$(sqlite3 shop.db 'SELECT count(*) FROM sale')" "$(sqlite3 copy.db 'SELECT count(*) FROM sale')" \
    "$(psql -X -q -A -t -c 'SELECT count(*) FROM sale' 2>/dev/null || echo '(not there)')"
}
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}
sold() { sqlite3 shop.db 'SELECT count(*) FROM sale'; }
# For so many seconds, until the archive and the copy are at most so many sales behind: about what is sold in a second
# while the shop is open, none when it is closed.
catch_up() {
  local end=$((SECONDS + $1)) archived copied
  until archived=$(psql -X -q -A -t -c 'SELECT count(*) FROM sale' 2>/dev/null || echo 0) &&
    copied=$(sqlite3 copy.db 'SELECT count(*) FROM sale') &&
    (($(sold) - (archived < copied ? archived : copied) <= $2)); do
    ((SECONDS < end)) || fail "not within $1 s: $(count)"
    sleep 0.5
  done
}
lag() {
  # It ends with 3 while a node is out of reach.
  (tidemark status 2>&1 || true) | sed -n '/^job .*schedule/,$p'
}

heading 'The daemon follows'
start_daemon
open_shop
for _ in 1 2 3; do
  sleep 1.5
  count
done
lag

heading 'The shop is killed in the middle of its work, and opens again'
close_shop KILL
sleep 1
open_shop
sleep 1.5
count

heading 'The daemon is killed, and starts again'
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
sleep 1
count
start_daemon
sleep 1.5
count

heading 'The archive is stopped for ten seconds: the copy goes on'
stop_server
for _ in 1 2 3 4 5; do
  sleep 2
  count
done
lag
start_server
say 'it is back; nobody does anything'
catch_up 30 200
count
lag
# The archive was away for longer than the five seconds after which somebody wants to know.
told() { grep -c "\"event\":\"$1\"" alerts 2>/dev/null || true; }
[[ $(told begin) -gt 0 ]] || fail 'the archive was away and nobody was told'
for _ in $(seq 40); do
  [[ $(told end) -lt $(told begin) ]] || break
  sleep 0.5
done
show cat alerts
[[ $(told end) -eq $(told begin) ]] || fail 'the archive is back, and the alert has not ended'

heading 'The shop closes, and all are proven equal'
close_shop TERM
catch_up 30 0
count
kill "$daemon"
wait "$daemon" || true
daemon=''
# Nothing has been synced by hand: what is equal, the daemon made equal.
show tidemark verify
rate=$(($(sold) * 1000 / open_ms))
say "the shop was open for $((open_ms / 1000)) s and made $(sold) sales: $rate a second"
((rate >= 150)) || fail 'that is fewer than 150: this machine is too busy, or the shop had to wait'
