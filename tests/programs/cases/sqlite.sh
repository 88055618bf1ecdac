# shellcheck shell=bash disable=SC2034,SC2154
title="sqlite3: 1 M rows inserted, indexed, deleted"
needs="sqlite3"
main=sqlite3

version() { echo "sqlite3 $(sqlite3 --version | cut -d' ' -f1)"; }

program() {
    sed "s/ROWS/$((full ? 1000000 : 200000))/" "$input/rows.sql" > rows.sql
    run sqlite3 test.db < rows.sql
}
