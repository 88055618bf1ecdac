#!/usr/bin/env bash
# Builds the benchmark programs and libhakmem.so, then lets bench/compare/compare.py run them under
# each allocator.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

driver=$root/bench/compare/compare.py

find_python() {
    # Debian's own first: one in a home directory may be older or wrapped.
    local python
    for python in /usr/bin/python3 "$(command -v python3 || true)"; do
        if [ -n "$python" ] && [ -x "$python" ]; then
            printf '%s\n' "$python"
            return
        fi
    done
    die "python3 is missing; install it with tools/setup.sh test"
}

main() {
    local python build_programs=1 build_library=1 variant=hakmem flags=() pass=() arg
    python=$(find_python)
    for arg in "$@"; do
        case $arg in
            -h | --help | --list) exec "$python" "$driver" "$@" ;;
            --config=*)
                flags+=("$arg")
                continue
                ;;
            --variant=*)
                variant=${arg#*=}
                continue
                ;;
            --bin | --bin=*) build_programs=0 ;;
            --hakmem | --hakmem=* | --no-hakmem) build_library=0 ;;
        esac
        pass+=("$arg")
    done

    local labels=() bin
    [ "$build_programs" -eq 0 ] || labels+=("//bench:all_programs")
    [ "$build_library" -eq 0 ] || labels+=("//:lib$variant.so")
    if [ ${#labels[@]} -gt 0 ]; then
        "$root/tools/setup.sh" build
        say "building ${labels[*]}"
        build_quietly ${flags[@]+"${flags[@]}"} "${labels[@]}"
        bin=$(bin_folder ${flags[@]+"${flags[@]}"})
        [ "$build_programs" -eq 0 ] || pass+=("--bin=$bin/bench")
        [ "$build_library" -eq 0 ] || pass+=("--hakmem=$bin/lib$variant.so")
    fi
    exec "$python" "$driver" ${pass[@]+"${pass[@]}"}
}

main "$@"
