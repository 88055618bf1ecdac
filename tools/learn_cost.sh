#!/usr/bin/env bash
# What HAKMEM_LEARN=1 costs: instructions of rows with one thread, CPU time of those with more.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOT
usage: tools/learn_cost.sh [--config=NAME] [--variant=NAME]... [--check=PERCENT] [--rows=LIST]
                           [--also=ROW] [--scale=N] [--time=ROUNDS] [--off=ENV] [--on=ENV]
                           [--out=FILE]

Builds the benchmarks and the variants (hakmem, hakmem_midpool and hakmem_mf2 if none is named) and
runs rows of bench/rows.txt without and with the learner: under callgrind, or with --time by CPU
time, interleaved. The table is in Markdown.
  --config=NAME    a configuration of .bazelrc
  --check=PERCENT  exit status 1 if a row takes more instructions by so much
  --scale=N        one in so many of the operations; 20, with --time 1
  --also=ROW       one more row, written as in bench/rows.txt
  --on=ENV         what is measured [HAKMEM_LEARN=1]; any options, as NAME=VALUE NAME=VALUE
docs/learner.md has the results.
EOT
}

main() {
    local flags=() pass=() variants=() labels=() arg bin variant program
    for arg in "$@"; do
        case $arg in
            -h | --help)
                usage
                exit 0
                ;;
            --config=*) flags+=("$arg") ;;
            --variant=*) variants+=("${arg#*=}") ;;
            --check=* | --rows=* | --also=* | --scale=* | --time=* | --off=* | --on=* | --out=*)
                pass+=("$arg")
                ;;
            *) die "unknown option $arg; see --help" ;;
        esac
    done
    [[ ${#variants[@]} -gt 0 ]] || variants=(hakmem hakmem_midpool hakmem_mf2)
    while read -r program; do
        labels+=("//bench/$program")
    done < <(awk '!/^#/ && NF {print $3}' "$root/bench/rows.txt" | sort -u)
    for variant in "${variants[@]}"; do
        labels+=("//:lib$variant.so")
    done
    "$root/tools/setup.sh" build
    say "building ${labels[*]}"
    build_quietly ${flags[@]+"${flags[@]}"} "${labels[@]}"
    bin=$(bin_folder ${flags[@]+"${flags[@]}"})
    for variant in "${variants[@]}"; do
        pass+=("--library=$variant=$bin/lib$variant.so")
    done
    exec "$root/tests/support/python.sh" "$root/bench/compare/learn_cost.py" \
        "--bin=$bin/bench" "${pass[@]}"
}

main "$@"
