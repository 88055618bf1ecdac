#!/usr/bin/env bash
# What the dynamic linker sees of libhakmem.so.
# args: the library, bazel/exports.txt, include/hakmem.h
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
library=$1
exports=$2
header=$3

dynamic=$(readelf -dW "$library")
segments=$(readelf -lW "$library")

soname=$(sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p' <<<"$dynamic")
expect_same "the SONAME" "$(basename "$library")" "$soname"

# No libstdc++: a C program must not be made to load it. The loader itself may be named, as TLS code
# needs it on some machines.
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic" | grep -v '^ld-linux' || true)
expect_same "the libraries it needs" "libc.so.6" "$needed"

expect_same "the exported symbols are those of bazel/exports.txt" "$(exported "$exports")" \
    "$(nm -D -g --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort)"

# The list itself: every function of the header is in it, and no hak_ name that the header lacks.
expect_same "the hak_ names in the list are the functions of hakmem.h" \
    "$(grep -E '^HAKMEM_API ' "$header" | grep -oE 'hak_[a-z_]+\(' | tr -d '(' | LC_ALL=C sort)" \
    "$(exported "$exports" | grep '^hak_')"

# Functions only: an exported variable could be copied into a program and would then be there twice.
expect_same "it exports no variable" "" \
    "$(nm -D -g --defined-only "$library" | awk '$2 !~ /^[TWi]$/ { print $3 }')"

if grep -qE '\(FLAGS_1\).*NODELETE' <<<"$dynamic"; then
    pass "it stays loaded (nodelete)"
else
    fail "it may be unloaded: no NODELETE in FLAGS_1"
fi
if grep -qE '\(FLAGS\).*BIND_NOW|\(FLAGS_1\).* NOW' <<<"$dynamic"; then
    pass "symbols are bound at start"
else
    fail "symbols are bound lazily"
fi
if grep -qE '\(TEXTREL\)' <<<"$dynamic"; then
    fail "it has text relocations"
else
    pass "no text relocations"
fi
if grep -qE 'GNU_RELRO' <<<"$segments"; then
    pass "tables are read-only after start (relro)"
else
    fail "no GNU_RELRO segment"
fi
if grep -qE 'GNU_STACK .* RWE' <<<"$segments"; then
    fail "the stack is executable"
else
    pass "the stack is not executable"
fi

# A fork writes to the locks, which are initialized data: parent and child copy each page of it.
data=$((16#$(readelf -SW "$library" | sed -n 's/^.* \.data  *PROGBITS  *//p' | awk '{ print $3 }')))
if [ "$data" -gt 0 ] && [ "$data" -le 8192 ]; then
    pass ".data has $data bytes, at most two pages"
else
    fail ".data has $data bytes, expected 1 to 8192"
fi

# glibc 2.36 lets a library that dlopen() loads have about 1,600 B of initial-exec TLS.
tls=$(awk '$1 == "TLS" { print $6 }' <<<"$segments")
tls=$((${tls:-0}))
if [ "$tls" -gt 0 ] && [ "$tls" -le 1536 ]; then
    pass "PT_TLS has $tls bytes, at most 1536"
else
    fail "PT_TLS has $tls bytes, expected 1 to 1536"
fi
if grep -qE '\(FLAGS\).*STATIC_TLS' <<<"$dynamic"; then
    pass "TLS is reached without a call (initial-exec)"
else
    fail "no STATIC_TLS: the TLS model is not initial-exec"
fi
if nm -D --undefined-only "$library" | grep -qE '__tls_get_addr'; then
    fail "it calls __tls_get_addr, which may allocate"
else
    pass "no call of __tls_get_addr"
fi
finish
