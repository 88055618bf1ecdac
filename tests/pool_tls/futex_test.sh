#!/usr/bin/env bash
# futex_test.sh XTHREAD LOCKFREE_LIBRARY MUTEX_LIBRARY: threads that free each other's blocks of 2
# to 32 KiB. With a mutex before each heap's queue they meet in the kernel; without it they do not. The
# figures are counts of system calls, which depend little on how fast the machine is.
set -euo pipefail

program=$1
declare -A library=([lockfree]=$PWD/$2 [mutex]=$PWD/$3)
arguments=(--rows=xthread_churn --rounds=1 --threads=8 --blocks=200 --ops=150000 --min=2048
    --max=32768)
least=1000

skip() {
    echo "futex_test.sh: skipped: $*"
    exit 0
}

fail() {
    echo "futex_test.sh: $*" >&2
    exit 1
}

command -v strace >/dev/null || skip "there is no strace; tools/setup.sh installs it"
strace -f -qq -o /dev/null true 2>/dev/null || skip "this system does not let strace trace"

# Prints the number of futex calls under the library of $1.
count() {
    local table=$TEST_TMPDIR/$1.strace
    # The variable is for the traced program: strace's own allocator stays.
    strace -f -c -e trace=futex -E "LD_PRELOAD=${library[$1]}" -o "$table" \
        "$program" "${arguments[@]}" >"$TEST_TMPDIR/$1.out" || fail "$1: the program failed"
    grep -q hakmem "$TEST_TMPDIR/$1.out" || fail "$1: hakmem did not serve the program"
    awk '$NF == "futex" { calls = $4 } END { print calls + 0 }' "$table"
}

lockfree=$(count lockfree)
mutex=$(count mutex)
echo "futex calls: mutex $mutex, lockfree $lockfree"
[ "$mutex" -ge "$least" ] || fail "the mutex shows $mutex futex calls, fewer than $least"
[ $((lockfree * 10)) -le "$mutex" ] || fail "lockfree shows more than a tenth of that: $lockfree"
