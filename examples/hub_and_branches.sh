#!/bin/bash
# A PostgreSQL head office and two SQLite branches: starts a private server, puts a music shop's tables into the
# office, has them made in the branches, works on all three, cuts one branch off for a while, and shows how all
# come to agree: a conflict with both of its sides, and the proof of equality.
#
#   bash examples/hub_and_branches.sh
#
# Everything happens in ./tidemark-hub, made anew by every run; the server stops at the end. With TIDEMARK=PATH in
# the environment that program is used and nothing is installed or built.
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

if [[ -e tidemark-hub && ! -e tidemark-hub/tidemark.toml ]]; then
  say "the folder tidemark-hub is in the way and was not made by this script" >&2
  say "HINT: move it, or run the script in another folder" >&2
  exit 1
fi
rm -rf tidemark-hub
mkdir tidemark-hub
cd tidemark-hub

heading 'A PostgreSQL server of our own'
# The server does not run as root: then it runs as the user postgres, who came with the package.
server=$(mktemp -d /tmp/tidemark-hub-XXXXXX)
as_server=()
if [[ $(id -u) -eq 0 ]]; then
  chown postgres "$server"
  as_server=(runuser -u postgres --)
fi
binaries=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
stop_server() {
  "${as_server[@]}" "$binaries/pg_ctl" -s -D "$server/data" -m fast stop >/dev/null 2>&1 || true
  rm -rf "$server"
}
trap stop_server EXIT
(
  cd "$server"
  "${as_server[@]}" "$binaries/initdb" --no-sync -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >/dev/null
  "${as_server[@]}" "$binaries/pg_ctl" -s -w -D data -l log \
    -o "-c listen_addresses='' -c unix_socket_directories='$server'" start
)
export PGHOST=$server PGUSER=shop PGDATABASE=shop
psql -X -q -U postgres -d postgres -c 'CREATE ROLE shop LOGIN' -c 'CREATE DATABASE shop OWNER shop'
say "it listens on a socket in $server"

hub() {
  printf '%shub:%s %s\n' "$bold" "$plain" "$1"
  psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}
branch() {
  printf '%s%s:%s %s\n' "$bold" "$1" "$plain" "$2"
  sqlite3 -cmd '.timeout 10000' "$1.db" "$2"
}

psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE TABLE artist(artist_id integer PRIMARY KEY, name varchar(120) NOT NULL);
CREATE TABLE album(album_id integer PRIMARY KEY, title varchar(160) NOT NULL, artist_id integer NOT NULL REFERENCES artist);
CREATE TABLE track(track_id integer PRIMARY KEY, name varchar(200) NOT NULL, album_id integer REFERENCES album,
                   unit_price numeric(10,2) NOT NULL);
CREATE TABLE invoice(invoice_id integer PRIMARY KEY, branch text NOT NULL, sold_at timestamp NOT NULL, total numeric(10,2) NOT NULL);
CREATE TABLE invoice_line(invoice_id integer REFERENCES invoice, line integer, track_id integer NOT NULL REFERENCES track,
                          quantity integer NOT NULL, PRIMARY KEY (invoice_id, line));
INSERT INTO artist SELECT i, 'Artist ' || i FROM generate_series(1, 200) AS i;
INSERT INTO album SELECT i, 'Album ' || i, 1 + i % 200 FROM generate_series(1, 600) AS i;
INSERT INTO track SELECT i, 'Track ' || i, 1 + i % 600, 0.99 + (i % 3) * 0.5 FROM generate_series(1, 5000) AS i;
SQL

cat >tidemark.toml <<'TOML'
[node.hub]
url = "postgresql:///shop"      # host and user come from libpq's environment

[node.north]
url = "sqlite:north.db"

[node.south]
url = "sqlite:south.db"

[job.branches]
nodes = ["hub", "north", "south"]   # the first is the hub
mode  = "two-way"
TOML

heading 'The branches get tables and rows'
show tidemark activate --create-tables
show tidemark sync

heading 'Everybody works'
branch north "INSERT INTO invoice VALUES (10001, 'north', '2024-03-01 10:15:00', 2.98);
  INSERT INTO invoice_line VALUES (10001, 1, 17, 1), (10001, 2, 18, 1);"
branch south "INSERT INTO invoice VALUES (20001, 'south', '2024-03-01 10:20:00', 1.49);
  INSERT INTO invoice_line VALUES (20001, 1, 19, 1);"
hub "UPDATE track SET unit_price = 1.29 WHERE track_id = 17"
show tidemark sync

heading 'South is cut off: its file is not there, the others go on'
mv south.db south.db.away
branch north "UPDATE track SET name = 'Track 42 (live)' WHERE track_id = 42;
  INSERT INTO invoice VALUES (10002, 'north', '2024-03-02 09:00:00', 0.99);
  INSERT INTO invoice_line VALUES (10002, 1, 42, 1);"
hub "DELETE FROM invoice_line WHERE invoice_id = 20001; DELETE FROM invoice WHERE invoice_id = 20001"
printf '%s$ tidemark sync%s\n' "$bold" "$plain"
status=0
tidemark sync || status=$?
say "(exit code $status: one branch was not reached)"

heading 'Meanwhile south went on selling, and changed a track that north had changed'
mv south.db.away south.db
sleep 0.01
branch south "UPDATE track SET name = 'Track 42 (remastered)' WHERE track_id = 42;
  INSERT INTO invoice VALUES (20002, 'south', '2024-03-02 11:00:00', 1.99);
  INSERT INTO invoice_line VALUES (20002, 1, 20, 1);"
show tidemark sync

heading 'Two people changed one track: the later change won, the other is kept'
show tidemark conflicts
show tidemark conflicts show "$(tidemark conflicts list --json | sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' | head -n 1)"

heading 'The proof'
show tidemark verify
hub "SELECT 'hub has ' || count(*) || ' invoices, ' || sum(total) FROM invoice"
for name in north south; do
  branch "$name" "SELECT '$name has ' || count(*) || ' invoices, ' || printf('%.2f', sum(total)) FROM invoice"
done
