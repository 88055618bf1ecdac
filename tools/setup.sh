#!/usr/bin/env bash
# Installs the Debian packages that the other scripts need. Doing it twice does nothing the second
# time.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: tools/setup.sh [--list] [build|test|aarch64|browser|all]

Installs what is missing of the Debian 12 packages that hakmem needs, with apt-get, as root or
through sudo:
  build     what tools/run.sh needs: Bazel and a C++ compiler
  test      what the tests need on top: GoogleTest, clang, valgrind, other allocators, programs
  aarch64   a cross compiler and qemu, for tools/aarch64.sh
  browser   chromium, for //tests/bench_tools:browser_test
  all       build and test; this is the default
  --list    print the packages instead of installing anything
HAK_SETUP=skip in the environment makes this script do nothing, for machines that were set up in
another way.
EOF
}

# The Java and protobuf rules are not used, but Bazel's C++ rules load them.
build_packages=(
    bazel-bootstrap bazel-platforms bazel-rules-java bazel-rules-proto bazel-skylib
    binutils g++
)
# clang: the layer check. libclang-rt: a test builds a program with clang's sanitizer. cmake,
# pkg-config: the installed package is linked each way. libjemalloc ... libtcmalloc: what
# tools/race.sh runs. libpython3.11-testsuite: CPython's own tests. redis-tools: has the server
# program too, under another name.
test_packages=(
    clang libclang-rt-14-dev libabsl-dev libgtest-dev googletest valgrind
    cmake file make pkg-config strace
    libjemalloc2 libmimalloc2.0 libtbbmalloc2 libtcmalloc-minimal4
    git libpython3.11-testsuite memcached perl procps python3 redis-tools sqlite3
)
aarch64_packages=(g++-aarch64-linux-gnu gcc-aarch64-linux-gnu qemu-user-static)
browser_packages=(chromium fonts-dejavu-core)

say() {
    printf 'setup: %s\n' "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# Prints those of the arguments that are not installed.
missing() {
    local package
    for package in "$@"; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) in
            installed) ;;
            *) printf '%s\n' "$package" ;;
        esac
    done
}

# True if apt knows a version of every argument.
all_known() {
    local package
    for package in "$@"; do
        apt-cache show --no-all-versions "$package" >/dev/null 2>&1 || return 1
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo -- "$@"
    else
        sudo -n -- "$@"
    fi
}

# Servers among the packages are for tests: none of them is to run as a service of this machine.
# Debian asks this file before it starts one; an administrator's own file stays.
policy=/usr/sbin/policy-rc.d
policy_is_ours=0

forbid_services() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    policy_is_ours=1
    as_root chmod 755 "$policy"
}

allow_services() {
    [ "$policy_is_ours" -eq 0 ] || as_root rm -f "$policy"
    policy_is_ours=0
}

apt_get() {
    # Output goes to stderr: a program started by tools/run.sh has stdout for itself.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

main() {
    local list=0 wanted=() packages=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --list) list=1 ;;
            build | test | aarch64 | browser | all) wanted+=("$1") ;;
            *)
                usage >&2
                die "unknown argument: $1"
                ;;
        esac
        shift
    done
    [ ${#wanted[@]} -gt 0 ] || wanted=(all)
    local what
    for what in "${wanted[@]}"; do
        case $what in
            build) packages+=("${build_packages[@]}") ;;
            test) packages+=("${test_packages[@]}") ;;
            aarch64) packages+=("${aarch64_packages[@]}") ;;
            browser) packages+=("${browser_packages[@]}") ;;
            all) packages+=("${build_packages[@]}" "${test_packages[@]}") ;;
        esac
    done
    if [ "$list" -eq 1 ]; then
        printf '%s\n' "${packages[@]}"
        exit 0
    fi
    [ "${HAK_SETUP:-}" != skip ] || exit 0

    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        die "this is no Debian, there is no apt-get. Install the like of these packages and set" \
            "HAK_SETUP=skip: ${packages[*]}"
    fi
    local need=()
    mapfile -t need < <(missing "${packages[@]}")
    [ ${#need[@]} -gt 0 ] || exit 0

    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "installing these missing packages needs root or sudo: ${need[*]}"
    fi
    say "installing ${#need[@]} missing packages: ${need[*]}"
    if ! all_known "${need[@]}"; then
        say "refreshing the package lists first"
        apt_get update || die "apt-get update failed (see above)"
        local package
        for package in "${need[@]}"; do
            all_known "$package" ||
                die "this system has no package $package; the set-up is for Debian 12 (bookworm)"
        done
    fi
    trap allow_services EXIT
    forbid_services
    # Lists that are out of date name files that are gone: refresh them and try once more.
    if ! apt_get install --no-install-recommends "${need[@]}"; then
        say "that failed; refreshing the package lists and trying once more"
        apt_get update || die "apt-get update failed (see above)"
        apt_get install --no-install-recommends "${need[@]}" ||
            die "apt-get failed (see above); whoever has the right may install: ${need[*]}"
    fi
    mapfile -t need < <(missing "${packages[@]}")
    [ ${#need[@]} -eq 0 ] || die "still missing after the installation: ${need[*]}"
    say "done"
}

main "$@"
