#!/usr/bin/env bash
# Builds hakmem for 64-bit ARM with Debian's cross compiler and runs the unit tests under qemu.
set -euo pipefail
# Under `bazel run` the script lies in a folder of Bazel's, apart from the others.
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib.sh
. "${BUILD_WORKSPACE_DIRECTORY:-$tools/..}/tools/lib.sh"

usage() {
    cat <<'EOF'
usage: tools/aarch64.sh [LABEL...]

Installs the cross compiler and qemu-aarch64-static, builds the libraries, and runs the C++ tests
among the labels under qemu's user mode. Without labels: the unit tests of every box. The same as
`bazel run //tools:aarch64`. qemu emulates instructions, not memory order: the tests show that the
code is right for the architecture's sizes and addresses, and prove nothing about its weaker order.
Tests that start a program of their own fail, unless the kernel's binfmt_misc hands it to qemu.
So do three that need more of mremap, madvise and mlock than qemu 7.2 has: it locks nothing, and
does not purge what MREMAP_DONTUNMAP left behind. They are Large.LockedBlockDoesNotLeave,
Large.ThreadsGrowToMappingsWhileAnotherPurges and Huge.BlockOfWhichAPartWasChangedIsNotMoved.
EOF
}

main() {
    case ${1:-} in
        -h | --help)
            usage
            exit 0
            ;;
    esac
    "$root/tools/setup.sh" build test aarch64
    local labels=("$@") layer
    if [ ${#labels[@]} -eq 0 ]; then
        for layer in base config core registry boxes backends front; do
            labels+=("//$layer/...")
        done
    fi
    run_bazel build --config=aarch64 //:libhakmem.so //:libhakmem.a
    local library
    library=$(bin_folder --config=aarch64)/libhakmem.so
    file -L "$library" | grep -q 'ARM aarch64' || die "$library is not for aarch64"
    say "built $library"
    # Scripts among the tests look at files, not at the architecture. Where a box has a fake beneath
    # it, the test is a rule of ours, and the program that it runs is tagged manual.
    local every tests
    every="tests(set(${labels[*]}))"
    tests=$(run_bazel query --noshow_progress \
        "kind('(cc|_hak_on_fake)_test rule', $every) except attr(tags, '\\bmanual\\b', $every)")
    [ -n "$tests" ] || die "no C++ test among ${labels[*]}"
    say "$(wc -l <<<"$tests") tests"
    # shellcheck disable=SC2086 # a label has no spaces
    run_bazel test --config=aarch64 --build_tests_only --keep_going $tests
}

main "$@"
