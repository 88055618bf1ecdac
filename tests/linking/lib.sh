# Shared by the tests beside it; to be sourced.
# shellcheck shell=bash

wrong=0

fail() {
    printf 'FAIL: %s\n' "$*"
    wrong=1
}

pass() {
    printf 'ok: %s\n' "$*"
}

# The exit status of the test.
finish() {
    exit "$wrong"
}

# $1: what, $2: expected, $3: found. Reports the difference between two multi-line texts.
expect_same() {
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1 (< expected, > found)"
        diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") || true
    fi
}

# Prints the names in an export list. $1: the list.
exported() {
    awk 'NF && !/^#/ { print $1 }' "$1" | LC_ALL=C sort
}
