#!/usr/bin/env bash
# Memory checkers and hakmem: each works, or refuses with one line that says why.
#   checkers_test.sh PROGRAM ASAN_PROGRAM LIBRARY
# The conditions that `expect` evaluates use the variables.
# shellcheck disable=SC2034
set -euo pipefail
program=$1 asan_program=$2 library=$(realpath "$3")
failed=0
out=$(mktemp) err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT
expected=$("$program")

# Runs a command on hakmem; leaves its status in $status.
on_hakmem() {
    status=0
    env LD_PRELOAD="$library" "$@" > "$out" 2> "$err" || status=$?
}

expect() { # condition, message
    if ! eval "$1"; then
        echo "FAIL $2 (status $status)"
        head -20 "$err"
        failed=1
    else
        echo "ok   $2"
    fi
}

if ! command -v valgrind > /dev/null; then
    echo "valgrind is not installed: tools/setup.sh test installs it"
    exit 2
fi
# memcheck puts its own malloc before any library's, also before hakmem's: it works as always.
on_hakmem valgrind --leak-check=full --error-exitcode=9 "$program"
expect '[[ $status == 0 && $(cat "$out") == "$expected" ]]' "memcheck, its own malloc"
expect 'grep -q "ERROR SUMMARY: 0 errors" "$err"' "memcheck finds no error"
# Told not to, it lets hakmem serve, and sees what hakmem itself does.
on_hakmem valgrind --soname-synonyms=somalloc=nouserintercepts --error-exitcode=9 "$program"
expect '[[ $status == 0 && $(cat "$out") == "$expected" ]]' "memcheck, hakmem's malloc"
expect 'grep -q "ERROR SUMMARY: 0 errors" "$err"' "memcheck finds no error in hakmem"
expect 'grep -q "total heap usage: 0 allocs" "$err"' "memcheck left the calls to hakmem"

# A program with AddressSanitizer's runtime as a library refuses by itself, since the runtime must
# come first. It says so in one line; asked to come first, it works and serves.
on_hakmem "$asan_program"
expect '[[ $status != 0 && $(wc -l < "$err") == 1 ]]' "AddressSanitizer refuses with one line"
expect 'grep -q "ASan runtime does not come first" "$err"' "and the line says why"
runtime=$(ldd "$asan_program" | awk '/libasan/ { print $3 }')
on_hakmem env LD_PRELOAD="$runtime:$library" "$asan_program"
expect '[[ $status == 0 && $(cat "$out") == "$expected" ]]' \
    "AddressSanitizer first, hakmem behind it"
exit $failed
