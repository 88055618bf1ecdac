#!/usr/bin/env bash
# The examples run on hakmem in each way that Bazel can link them, and on the C library in none.
# args: the library, then the programs service_malloc service_dep service_custom service_plain words
#       absl_service
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
library=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# $1: what, $2: beginning of the first line that is expected, the rest: the command.
expect_served() {
    local what=$1 expected=$2 out status=0
    shift 2
    out=$("$@" 2>&1) || status=$?
    if [ "$status" -eq 0 ] && [[ $out == "$expected"* ]]; then
        pass "$what: $(tr '\n' ';' <<<"$out")"
    else
        fail "$what: exit status $status, expected '$expected...', got: $out"
    fi
}

expect_served "malloc = //:hakmem" "allocator: hakmem" "$2"
expect_served "deps = //:hakmem" "allocator: hakmem" "$3"
expect_served "--custom_malloc=//:hakmem" "allocator: hakmem" "$4"
expect_served "LD_PRELOAD" "allocator: hakmem" env LD_PRELOAD="$library" "$5"
expect_served "nothing linked" "allocator: libc" "$5"
expect_served "C++ with deps = //:hakmem" "allocator: hakmem" "$6"
expect_served "abseil with malloc = //:hakmem" "allocator: hakmem" "$7"
finish
