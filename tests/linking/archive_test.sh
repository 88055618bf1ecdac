#!/usr/bin/env bash
# What a linker sees of libhakmem.a, and that its internal names do not clash with a program's own.
# args: the archive, bazel/exports.txt, exceptions.cc
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
archive=$1
exports=$2
exceptions=$3
compiler=${CC:-gcc}
cxx_compiler=${CXX:-g++}
work=${TEST_TMPDIR:?}

expect_same "it holds one object" "hakmem.o" "$(ar t "$archive")"
expect_same "its global symbols are those of bazel/exports.txt" "$(exported "$exports")" \
    "$(nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort)"

# //config chooses between the kernel and a fake of it.
expect_same "nothing of a fake is in it" "" "$(nm "$archive" | grep -i fake || true)"

# Internal names, taken from the archive itself, defined a second time by the program.
internal=$(nm --defined-only "$archive" | awk '$2 == "t" && $3 ~ /^hak_[a-z_]+$/ { print $3 }' |
    sort -u | awk 'NR <= 5')
if [ -n "$internal" ]; then
    pass "internals are local: $(tr '\n' ' ' <<<"$internal")"
else
    fail "no local hak_ function in the archive"
fi
{
    printf '#include <stdlib.h>\n'
    for name in $internal; do
        printf 'int %s(void);\nint %s(void) { return 0; }\n' "$name" "$name"
    done
    printf 'extern const char *hak_version(void);\n'
    printf 'extern _Bool hak_owns(const void *);\n'
    # fork and the C library's own names reach its malloc.o, if anything does.
    printf 'extern void *__libc_memalign(size_t, size_t);\n#include <unistd.h>\n'
    printf 'int main(void) { void *volatile p = malloc(100); int ok = hak_owns(p);'
    printf ' free(p); p = __libc_memalign(64, 100); ok &= hak_owns(p); free(p);'
    printf ' if (fork() == 0) _exit(0); return !(ok && hak_version()); }\n'
} >"$work/clash.c"
if "$compiler" -o "$work/clash" "$work/clash.c" "$archive" -pthread && "$work/clash"; then
    pass "a program with functions of the same names links and is served"
else
    fail "a program with functions of the same names"
fi
if "$compiler" -static -o "$work/static" "$work/clash.c" "$archive" -pthread &&
    "$work/static"; then
    pass "so does a wholly static one"
else
    fail "a wholly static program"
fi

# Groups of sections that are in both the archive and a C++ program.
expect_same "no group of sections is left in it" "" \
    "$(readelf -gW "$archive" | grep COMDAT || true)"
# $1: what; the others: arguments of the linking compiler.
throws() {
    local what=$1
    shift
    if "$cxx_compiler" -o "$work/exceptions" "$@" -pthread && "$work/exceptions"; then
        pass "exceptions, $what"
    else
        fail "exceptions, $what"
    fi
}
throws "archive last" -O1 "$exceptions" "$archive"
throws "archive first" -O1 -Wl,-u,malloc "$archive" "$exceptions"
throws "static" -O1 -static "$exceptions" "$archive"
throws "link-time optimisation" -O1 -flto "$exceptions" "$archive"
throws "link-time optimisation at a fixed place" -O1 -flto -no-pie "$exceptions" "$archive"
for linker in gold lld; do
    if command -v "ld.$linker" >/dev/null; then
        throws "$linker" -O1 "-fuse-ld=$linker" "$exceptions" "$archive"
    else
        printf 'not tried: %s is not installed\n' "$linker"
    fi
done
finish
