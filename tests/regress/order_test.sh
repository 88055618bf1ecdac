#!/usr/bin/env bash
# T-27: runs order_main with the malloc override linked in, with the library preloaded and, to know
# what is right, with the C library alone; the lines must be the same.
#   order_test.sh PLAIN_PROGRAM LINKED_PROGRAM PLUGIN LIBRARY
set -euo pipefail
plain=$1 linked=$2 plugin=$(realpath "$3") library=$(realpath "$4")
failed=0
err=$(mktemp)
trap 'rm -f "$err"' EXIT

compare() { # name, expected, program and arguments
    local name=$1 expected=$2 got
    shift 2
    if ! got=$("$@" 2> "$err"); then
        echo "FAIL $name: exit status $?: $got"
        cat "$err"
        failed=1
    elif [[ $got != "$expected" ]]; then
        printf 'FAIL %s:\n%s\nexpected:\n%s\n' "$name" "$got" "$expected"
        failed=1
    else
        echo "ok   $name"
    fi
}

for mode in "" quick; do
    expected=$("$plain" "$plugin" $mode)
    if [[ $expected == *BAD* ]]; then
        echo "FAIL the program is wrong by itself: $expected"
        exit 1
    fi
    compare "preload $mode" "$expected" env LD_PRELOAD="$library" "$plain" "$plugin" $mode
    compare "linked $mode" "$expected" "$linked" "$plugin" $mode
    compare "statistics at exit $mode" "$expected" \
        env LD_PRELOAD="$library" HAKMEM_STATS=json "$plain" "$plugin" $mode
    # quick_exit runs no destructor, and so prints none.
    if [[ -z $mode ]] && ! grep -q '"live_bytes"' "$err"; then
        echo "FAIL no statistics were printed at exit: $(cat "$err")"
        failed=1
    fi
done
exit $failed
