# shellcheck shell=bash disable=SC2034,SC2154
# Every object goes through malloc: Python's own small-object allocator is off in the second half.
title="python3: json, re, sqlite3, threads, multiprocessing"
needs="python3"
main=python3

version() { python3 --version; }

program() {
    run python3 "$input/workload.py" $((full ? 4 : 1))
    run env PYTHONMALLOC=malloc python3 "$input/workload.py" $((full ? 4 : 1))
}
