#!/usr/bin/env bash
# futex_test.sh XTHREAD LOCKFREE_LIBRARY MUTEX_LIBRARY: eight threads that free each other's blocks
# of 2 to 4 KiB. With a mutex before each heap's queue they meet in the kernel; without it they do
# not. How often they meet depends on how many of them run at a time, so the work grows until they
# met often enough to compare.
set -euo pipefail

program=$1
declare -A library=([lockfree]=$PWD/$2 [mutex]=$PWD/$3)
arguments=(--rows=xthread_churn --rounds=1 --threads=8 --blocks=25 --min=2048 --max=4096)
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

# Prints the number of futex calls under the library of $1 with $2 swaps a thread.
count() {
    local table=$TEST_TMPDIR/$1.strace
    # The variable is for the traced program: strace's own allocator stays.
    strace -f -c -e trace=futex -E "LD_PRELOAD=${library[$1]}" -o "$table" \
        "$program" "${arguments[@]}" "--ops=$2" >"$TEST_TMPDIR/$1.out" ||
        fail "$1: the program failed"
    grep -q hakmem "$TEST_TMPDIR/$1.out" || fail "$1: hakmem did not serve the program"
    awk '$NF == "futex" { calls = $4 } END { print calls + 0 }' "$table"
}

# Starting and joining the threads costs some calls in both; they weigh less the longer it runs.
for ops in 4000000 8000000 16000000; do
    mutex=$(count mutex "$ops")
    lockfree=$(count lockfree "$ops")
    echo "futex calls in $ops swaps of each thread: mutex $mutex, lockfree $lockfree"
    if [ "$mutex" -ge "$least" ] && [ $((lockfree * 10)) -le "$mutex" ]; then
        exit 0
    fi
done
[ "$mutex" -ge "$least" ] || fail "the mutex shows $mutex futex calls, fewer than $least"
fail "lockfree shows more than a tenth of the mutex's calls: $lockfree"
