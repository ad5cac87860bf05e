#!/bin/bash
# Two shops that both write, brought into agreement: builds Tidemark, makes two databases, edits both, and shows
# a session, a conflict with both of its sides, how the loser is reinstated, and the proof of equality.
#
#   bash examples/quickstart.sh
#
# Everything happens in ./tidemark-demo, which stays for playing and is made anew by the next run. With
# TIDEMARK=PATH in the environment that program is used and nothing is installed or built.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bold='' plain=''
if [[ -t 1 ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
fi

heading() { printf '\n%s== %s%s\n\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$*"; }
# Shows a command as one would type it, then runs it.
show() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
  printf '\n'
}
# The same for SQL that an application would send.
edit() {
  printf '%s%s:%s %s\n' "$bold" "$1" "$plain" "$2"
  sqlite3 -cmd '.timeout 10000' "$1.db" "$2"
}

program=${TIDEMARK:-}
if [[ -z $program ]]; then
  heading 'Building the program (some minutes at the first time)'
  "$root/scripts/install_packages.sh" build
  (
    cd "$root"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! cmake --preset release >"$log" 2>&1; then
      cat "$log" >&2
      exit 1
    fi
    cmake --build --preset release --target tidemark
  )
  program=$root/build/release/tidemark
fi
program=$(realpath "$program")
tidemark() { "$program" "$@"; }

heading 'Two shops, each with a database of its own'
if [[ -e tidemark-demo && ! -e tidemark-demo/tidemark.toml ]]; then
  say "the folder tidemark-demo is in the way and was not made by this script" >&2
  say "HINT: move it, or run the script in another folder" >&2
  exit 1
fi
rm -rf tidemark-demo
mkdir tidemark-demo
cd tidemark-demo

cat >tidemark.toml <<'TOML'
[node.berlin]
url = "sqlite:berlin.db"

[node.lisbon]
url = "sqlite:lisbon.db"

[job.shops]
nodes = ["berlin", "lisbon"]
mode  = "two-way"
TOML

# One list of products; customers and sales of each shop have keys of their own.
make_shop() {
  sqlite3 "$1.db" >/dev/null <<SQL
PRAGMA journal_mode = wal;
CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE sale(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer(id),
                  product INTEGER NOT NULL REFERENCES product(id), pieces INTEGER NOT NULL, day TEXT NOT NULL);
CREATE INDEX sale_by_customer ON sale(customer);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400),
  kind(k, name) AS (VALUES (0, 'lamp'), (1, 'table'), (2, 'clock'), (3, 'chair'), (4, 'shelf'))
INSERT INTO product SELECT i, name || ' no. ' || i, 5 + i * 37 % 9000 / 100.0, i % 50 FROM n JOIN kind ON k = i % 5;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
INSERT INTO customer SELECT $3 + i, printf('customer %d of %s', i, '$2'), '$2' FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
INSERT INTO sale SELECT $3 + i, $3 + 1 + i * 7 % 1500, 1 + i * 13 % 400, 1 + i % 5, date('2024-01-01', (i % 365) || ' days') FROM n;
COMMIT;
SQL
}
make_shop berlin Berlin 0
make_shop lisbon Lisbon 1000000

show cat tidemark.toml
for shop in berlin lisbon; do
  say "$shop.db: $(sqlite3 "$shop.db" "SELECT (SELECT count(*) FROM product) || ' products, ' ||
    (SELECT count(*) FROM customer) || ' customers, ' || (SELECT count(*) FROM sale) || ' sales'")"
done

heading 'Capture is installed, and the shops meet for the first time'
show tidemark check
show tidemark activate
show tidemark sync
say "Products were equal and stayed where they are; customers and sales of each shop are now in both."

heading 'Both shops go on working, each by itself'
edit berlin "INSERT INTO sale SELECT 6000 + id, id, 1 + id % 400, 2, '2025-01-02' FROM customer WHERE id <= 800"
edit berlin "UPDATE product SET stock = stock - 1 WHERE id BETWEEN 10 AND 60"
edit berlin "UPDATE product SET price = 19.90 WHERE id = 7"
sleep 0.05
edit lisbon "UPDATE product SET price = 24.50, stock = 3 WHERE id = 7"
edit lisbon "UPDATE customer SET city = 'Porto' WHERE id BETWEEN 1000100 AND 1000350"
edit lisbon "DELETE FROM sale WHERE id BETWEEN 1005001 AND 1005040"
say
say "Product 7 was changed by both, and neither had seen the other's change."

heading 'What a session would do, the session, and what it left'
show tidemark status
show tidemark sync --dry-run
show tidemark sync
show tidemark status

heading 'The conflict: Lisbon was later and won, but the price from Berlin is kept'
show tidemark conflicts list
# Its id, out of the JSON that every command prints when asked.
id=$(tidemark conflicts list --json | sed -nE 's/^[^[]*\[\{"id":"([0-9a-f]{8}).*/\1/p')
show tidemark conflicts show "$id"

heading 'Berlin was right after all: its row is reinstated, and wins everywhere'
show tidemark conflicts reinstate "$id"
show tidemark sync
for shop in berlin lisbon; do
  say "$shop: $(sqlite3 "$shop.db" "SELECT 'product 7 costs ' || printf('%.2f', price) FROM product WHERE id = 7")"
done

heading 'The proof: both databases are read and compared, row by row'
show tidemark verify

heading 'Now play'
cat <<TEXT
The folder $PWD stays as it is. In it:

  alias tidemark=$program
  sqlite3 berlin.db "DELETE FROM product WHERE id = 400"      any program may write
  sqlite3 lisbon.db "UPDATE product SET price = 1 WHERE id = 400"
  tidemark status                                             what waits to be carried
  tidemark sync                                               one session; run it again: nothing moves
  tidemark conflicts list --all                               delete here, update there: both are kept
  tidemark verify --json                                      every command speaks JSON
  tidemark sessions                                           what happened, table by table
  tidemark deactivate berlin lisbon                           not a trace is left
  tidemark --help
TEXT
