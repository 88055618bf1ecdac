#!/usr/bin/env bash
# T-26: a library built for release says nothing unless asked, and holds no text of a debug check.
#   silence_test.sh PROGRAM LIBRARY...
set -euo pipefail
program=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for library in "$@"; do
    library=$(realpath "$library")
    env -i "LD_PRELOAD=$library" "$program" --smoke > "$log.out" 2> "$log" || {
        cat "$log"
        echo "FAIL: $library: the program failed"
        exit 1
    }
    grep -q '^allocator: hakmem' "$log.out" || {
        echo "FAIL: $library did not serve the program"
        exit 1
    }
    rm -f "$log.out"
    [[ ! -s $log ]] || {
        cat "$log"
        echo "FAIL: $library writes on stderr"
        exit 1
    }
    # What hak_debug_assert and the lock ranks print.
    if grep -c -a -e 'internal error' -e 'DEBUG' "$library" > "$log"; then
        echo "FAIL: $library holds debug texts"
        exit 1
    fi
done
echo "$# libraries are silent"
