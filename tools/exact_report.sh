#!/usr/bin/env bash
# What exact classes save, by the size of blocks: a table, a CSV file and a plot.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOT
usage: tools/exact_report.sh [--config=NAME] [--rounds=N] [--ops=N] [--sizes=LIST]
                             [--peer=NAME=PATH]... --out=DIR

Builds the default variant and bench/liveset, runs 100,000 live blocks of each size with and without
exact classes and under the peers, and writes DIR/exact.csv, exact.md and exact.svg.
  --config=NAME  a configuration of .bazelrc
docs/exact_sizes.md explains exact classes.
EOT
}

main() {
    local flags=() pass=() arg bin
    for arg in "$@"; do
        case $arg in
            -h | --help)
                usage
                exit 0
                ;;
            --config=*) flags+=("$arg") ;;
            --rounds=* | --ops=* | --sizes=* | --peer=* | --out=*) pass+=("$arg") ;;
            *) die "unknown option $arg; see --help" ;;
        esac
    done
    "$root/tools/setup.sh" build
    say "building //bench/liveset //:libhakmem.so"
    build_quietly ${flags[@]+"${flags[@]}"} //bench/liveset //:libhakmem.so
    bin=$(bin_folder ${flags[@]+"${flags[@]}"})
    exec "$root/tests/support/python.sh" "$root/bench/compare/exact_report.py" \
        "--bin=$bin/bench" "--hakmem=$bin/libhakmem.so" ${pass[@]+"${pass[@]}"}
}

main "$@"
