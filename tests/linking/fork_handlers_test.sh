#!/usr/bin/env bash
# Handlers of fork that are older than the library's run while its locks are free.
# usage: fork_handlers_test.sh LIBRARY PROGRAM
set -euo pipefail
output=$(HAKMEM_STATS=summary LD_PRELOAD=$PWD/$1 "$2" 2>&1) || {
    echo "status $?: $output"
    exit 1
}
echo "$output"
grep -q "all children came back" <<<"$output"
grep -q "^hakmem\[" <<<"$output" # it was hakmem that served
