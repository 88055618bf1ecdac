#!/usr/bin/env bash
# Builds the benchmark programs and the variants of hakmem, then lets bench/compare/race.py race
# them against the other allocators.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

driver=$root/bench/compare/race.py

# Debian's own Python first: one in a home directory may be older or wrapped.
find_python() {
    local python
    for python in /usr/bin/python3 "$(command -v python3 || true)"; do
        if [ -n "$python" ] && [ -x "$python" ]; then
            printf '%s\n' "$python"
            return
        fi
    done
    say "error: python3 is missing; install it with tools/setup.sh test"
    exit 2
}

# Sets flags, variants, pass and the two switches from the command line.
parse() {
    local arg value
    while [ $# -gt 0 ]; do
        arg=$1
        shift
        case $arg in
            --config | --variant)
                if [ $# -eq 0 ]; then
                    say "error: $arg needs a name; see --help"
                    exit 2
                fi
                value=$1
                shift
                ;;
            *) value=${arg#*=} ;;
        esac
        case $arg in
            --config | --config=*) flags+=("--config=$value") ;;
            --variant | --variant=*) variants+=("$value") ;;
            --bin | --bin=*) build_programs=0 && pass+=("$arg") ;;
            # A library that is given takes the place of the default variant.
            --hakmem | --hakmem=* | --no-hakmem) build_default=0 && pass+=("$arg") ;;
            *) pass+=("$arg") ;;
        esac
    done
}

main() {
    local python arg variant bin
    local build_programs=1 build_default=1 flags=() variants=() pass=() labels=()
    python=$(find_python)
    for arg in "$@"; do
        case $arg in
            # Nothing is built for these.
            -h | --help | --list | --from | --from=*) exec "$python" "$driver" "$@" ;;
        esac
    done
    parse "$@"
    if [ ${#variants[@]} -eq 0 ] && [ "$build_default" -eq 1 ]; then
        variants=(hakmem)
    fi
    [ "$build_programs" -eq 0 ] || labels+=("//bench:all_programs")
    for variant in ${variants[@]+"${variants[@]}"}; do
        labels+=("//:lib$variant.so")
    done
    if [ ${#labels[@]} -gt 0 ]; then
        "$root/tools/setup.sh" build
        for variant in ${variants[@]+"${variants[@]}"}; do
            require_variant 2 "$variant"
        done
        say "building ${labels[*]}"
        build_quietly ${flags[@]+"${flags[@]}"} "${labels[@]}"
        bin=$(bin_folder ${flags[@]+"${flags[@]}"})
        [ ${#flags[@]} -eq 0 ] || pass+=("--flags=${flags[*]}")
        [ "$build_programs" -eq 0 ] || pass+=("--bin=$bin/bench")
        for variant in ${variants[@]+"${variants[@]}"}; do
            pass+=("--hakmem=$variant=$bin/lib$variant.so")
        done
    fi
    exec "$python" "$driver" ${pass[@]+"${pass[@]}"}
}

main "$@"
