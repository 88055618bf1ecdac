#!/usr/bin/env bash
# Runs a program on hakmem: builds libhakmem.so if needed and preloads it.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'EOF'
usage: tools/run.sh [--stats] [--variant=NAME] [--config=NAME] [--] PROGRAM [ARGS...]

Runs PROGRAM with hakmem in place of the C library's malloc. The first call installs what the build
needs and builds the library; later calls build only what has changed. Output and exit status are
the program's own.
  --stats          print one line about the use of memory on stderr when the program ends
  --variant=NAME   use lib<NAME>.so instead of libhakmem.so (the variants stand in BUILD.bazel)
  --config=NAME    build with a configuration of .bazelrc, such as debug, stats or release
  --print          print the path of the library instead of running anything
Options of the allocator go in the environment: HAKMEM_HELP=1 tools/run.sh true prints them.
EOF
}

main() {
    local variant=hakmem flags=() stats=0 print=0
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --stats) stats=1 ;;
            --print) print=1 ;;
            --variant=*) variant=${1#*=} ;;
            --config=*) flags+=("$1") ;;
            --)
                shift
                break
                ;;
            -*)
                usage >&2
                die "unknown option: $1"
                ;;
            *) break ;;
        esac
        shift
    done
    if [ $# -eq 0 ] && [ "$print" -eq 0 ]; then
        usage >&2
        die "no program given"
    fi

    "$root/tools/setup.sh" build
    [ "$variant" = hakmem ] || require_variant 1 "$variant"
    [ -e "$root/bazel-bin" ] || say "building lib$variant.so, the first time takes about a minute"
    build_quietly ${flags[@]+"${flags[@]}"} "//:lib$variant.so"
    local library
    library=$(bin_folder ${flags[@]+"${flags[@]}"})/lib$variant.so
    [ -f "$library" ] || die "the build left no $library"
    if [ "$print" -eq 1 ]; then
        printf '%s\n' "$library"
        exit 0
    fi
    local setting=("LD_PRELOAD=$library${LD_PRELOAD:+:$LD_PRELOAD}")
    [ "$stats" -eq 0 ] || setting+=("HAKMEM_STATS=summary")
    exec env -- "${setting[@]}" "$@"
}

main "$@"
