#!/usr/bin/env bash
# Prints how many superslabs each slot policy creates for random_mixed, side by side.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOT
usage: tools/superslab_report.sh [--check] [--config=NAME] [ITERS WS SEED]

Builds the variants with the slot policies per_class, shared and sp_slot, and the default, runs
bench/random_mixed under each with the thread cache drained and not, and prints a table in Markdown:
superslabs, slabs, stages, hits of the superslab cache, system calls. Default: 200000 4096 1234567.
  --check        also the checks of //tests/tiny:superslabs_test; exit status 1 if one fails
  --config=NAME  a configuration of .bazelrc
docs/tiny.md explains the policies.
EOT
}

main() {
    local flags=() pass=() arg bin variant
    local labels=(//bench/random_mixed)
    for arg in "$@"; do
        case $arg in
            -h | --help)
                usage
                exit 0
                ;;
            --config=*) flags+=("$arg") ;;
            --check) pass+=("$arg") ;;
            -*) die "unknown option $arg; see --help" ;;
            *) pass+=("$arg") ;;
        esac
    done
    for variant in hakmem hakmem_per_class_ss hakmem_shared_ss hakmem_sp_slot; do
        labels+=("//:lib$variant.so")
    done
    "$root/tools/setup.sh" build
    say "building ${labels[*]}"
    build_quietly ${flags[@]+"${flags[@]}"} "${labels[@]}"
    bin=$(bin_folder ${flags[@]+"${flags[@]}"})
    exec "$root/tests/support/python.sh" "$root/bench/compare/superslab_report.py" \
        "--bin=$bin/bench" "--lib=$bin" ${pass[@]+"${pass[@]}"}
}

main "$@"
