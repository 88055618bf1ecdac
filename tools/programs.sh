#!/usr/bin/env bash
# Runs the real programs of tests/programs without and with hakmem, with all the work, and writes
# the table of docs/PROGRAMS.md.
#   tools/programs.sh [--quick] [--stats] [--stdout] [CASE...]
#     --quick    the amount of work of the tests
#     --stats    uses a build that counts calls, so that the table tells how many hakmem served
#     --stdout   prints the table and leaves docs/PROGRAMS.md alone
# The cases are the files of tests/programs/cases; all by default. Exit status 1 if one failed.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

full=(--full) flags=() to_stdout=0 cases=()
while (($#)); do
    case $1 in
    --quick) full=() ;;
    --stats) flags=(--config=stats) ;;
    --stdout) to_stdout=1 ;;
    --help | -h) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 0 ;;
    -*) die "unknown option $1; --help lists them" ;;
    *) cases+=("$1") ;;
    esac
    shift
done
# shellcheck disable=SC2154 # lib.sh sets it
programs=$root/tests/programs
if ((${#cases[@]} == 0)); then
    mapfile -t cases < <(cd "$programs/cases" && printf '%s\n' *.sh | sed 's/\.sh$//')
else
    to_stdout=1 # a table with some of the rows is not the table
fi
for one in "${cases[@]}"; do
    [[ -f $programs/cases/$one.sh ]] || die "no case $one in tests/programs/cases"
done

build_quietly ${flags[@]+"${flags[@]}"} //:libhakmem.so //tests/programs:witness.so
bin=$(bin_folder ${flags[@]+"${flags[@]}"})
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
failed=0
for one in "${cases[@]}"; do
    say "$one"
    "$programs/harness.sh" ${full[@]+"${full[@]}"} --row "$programs/cases/$one.sh" \
        "$bin/libhakmem.so" "$bin/tests/programs/witness.so" >> "$rows" || failed=1
done

table() {
    cat "$programs/PROGRAMS.head.md"
    printf '%s\n' '| work | version | result | served by hakmem |' '|---|---|---|---|'
    cat "$rows"
    cat "$programs/PROGRAMS.tail.md"
}
if ((to_stdout)); then
    table
else
    table > "$root/docs/PROGRAMS.md"
    say "wrote docs/PROGRAMS.md"
fi
exit $failed
