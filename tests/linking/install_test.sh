#!/usr/bin/env bash
# Installs into an empty prefix, then builds and runs the example outside Bazel in each way that the
# installed files offer.
# args: tools/install.sh, the folder of the libraries' .so file, examples/service/service.c
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
install=$1
built=$(dirname "$2")
source=$(cd "$(dirname "$3")" && pwd)
compiler=${CC:-gcc}
prefix=${TEST_TMPDIR:?}/first
work=$TEST_TMPDIR/work
mkdir -p "$work"

"$install" --prefix "$prefix" --built "$built"
# The tree may be moved: nothing in it names the prefix.
mv "$prefix" "$TEST_TMPDIR/moved"
prefix=$TEST_TMPDIR/moved
for file in include/hakmem.h lib/libhakmem.so lib/libhakmem.a lib/pkgconfig/hakmem.pc \
    lib/cmake/hakmem/hakmemConfig.cmake lib/cmake/hakmem/hakmemConfigVersion.cmake; do
    [ -f "$prefix/$file" ] || fail "not installed: $file"
done

# $1: what, $2: the program, $3: yes if it must need libhakmem.so, else no.
expect_served() {
    local out needs=no
    if ! out=$(LD_LIBRARY_PATH="$prefix/lib" "$2" 2>&1); then
        fail "$1: $out"
        return
    fi
    readelf -d "$2" | grep -q 'NEEDED.*libhakmem.so' && needs=yes
    [ "$needs" = "$3" ] || fail "$1: needs libhakmem.so: $needs"
    case $out in
        "allocator: hakmem"*) pass "$1" ;;
        *) fail "$1: $out" ;;
    esac
}

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
version=$(sed -n 's/^#define HAKMEM_VERSION_STRING "\(.*\)"$/\1/p' "$prefix/include/hakmem.h")
expect_same "the version that pkg-config knows" "$version" "$(pkg-config --modversion hakmem)"
read -r -a flags < <(pkg-config --cflags --libs hakmem)
"$compiler" -O1 -o "$work/shared" "$source/service.c" "$source/allocator.c" -pthread "${flags[@]}"
expect_served "pkg-config, shared" "$work/shared" yes

"$compiler" -O1 -o "$work/static" "$source/service.c" "$source/allocator.c" -pthread \
    "$prefix/lib/libhakmem.a"
expect_served "the archive" "$work/static" no

# A program that calls malloc nowhere itself keeps the library, for those that it is linked with.
printf '#include "hakmem.h"\nint main(void) { return 0; }\n' >"$work/empty.c"
"$compiler" -Wl,--as-needed -o "$work/empty" "$work/empty.c" "${flags[@]}"
readelf -d "$work/empty" | grep -q 'NEEDED.*libhakmem.so' ||
    fail "pkg-config: a program without a call of malloc is linked without the library"

if cmake -S "$source" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1 &&
    cmake --build "$work/cmake" >>"$work/log" 2>&1; then
    expect_served "CMake, shared" "$work/cmake/service_shared" yes
    expect_served "CMake, archive" "$work/cmake/service_static" no
else
    fail "CMake"
    cat "$work/log"
fi

# Wrong calls say what is wrong.
for arguments in "" "--prefix" "--prefix $work/x --built $work" "--nonsense"; do
    # shellcheck disable=SC2086 # several words on purpose
    if out=$("$install" $arguments 2>&1); then
        fail "install.sh $arguments: no error"
    else
        [[ $out == *"error: "* ]] || fail "install.sh $arguments: no message: $out"
    fi
done
finish
