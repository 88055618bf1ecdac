#!/usr/bin/env bash
# compare_test.sh BIN FAKE LYING: the comparison end to end, with libraries that we know in the
# place of hakmem.
set -euo pipefail

bin=$1
fake=$(realpath "$2")
lying=$(realpath "$3")
compare=bench/compare/compare.py
folder=${TEST_TMPDIR:-$(mktemp -d)}
checks=0

fail() {
    echo "compare_test.sh: $*" >&2
    exit 1
}

# run STATUS ARGUMENTS...: leaves what it prints in $folder/out and $folder/err.
run() {
    local expected=$1 status=0
    shift
    python3 "$compare" --bin "$bin" --no-peers --csv "$folder/runs.csv" "$@" \
        >"$folder/out" 2>"$folder/err" </dev/null || status=$?
    [[ $status == "$expected" ]] ||
        fail "compare $* exits with $status, not $expected: $(cat "$folder/err")"
    checks=$((checks + 1))
}

expect() {
    grep -Eq -- "$2" "$1" || fail "no line matches '$2' in: $(cat "$1")"
    checks=$((checks + 1))
}

# Two allocators, every program once: a table, ratios, a CSV line for each run.
run 0 --smoke --hakmem "$fake" --markdown "$folder/report.md"
expect "$folder/out" '^\| row +\| +glibc \| +hakmem \| +hakmem / glibc \|$'
expect "$folder/out" '^\| larson +\| +[0-9.]+ \| +[0-9.]+ \| +[0-9.]+ \|$'
expect "$folder/out" '^## Peak RSS, MiB$'
expect "$folder/out" '^- hakmem: .*, version 9\.8\.7 \(fake_variant\)$'
cmp -s "$folder/out" "$folder/report.md" || fail "--markdown holds something else than the report"
programs=$(grep -v '^ *\(#\|$\)' bench/rows.txt | awk '{ print $3 }' | sort -u | wc -l)
[[ $(wc -l <"$folder/runs.csv") == $((2 * programs + 1)) ]] ||
    fail "not $programs rows x 2 allocators and a head: $(cat "$folder/runs.csv")"
expect "$folder/runs.csv" "^1,spike,hakmem,[0-9.]+,[0-9]+,[0-9]+,[0-9]+,$(basename "$fake")"

# Every allocator takes every place in the order, so that none is always the first after a pause.
run 0 --smoke --rows pair_64 --rounds 2 --hakmem "$fake"
order=$(cut -d, -f3 "$folder/runs.csv" | tr -d '\r' | tail -n 4 | paste -sd,)
[[ $order == glibc,hakmem,hakmem,glibc ]] ||
    fail "rounds do not interleave: $(cat "$folder/runs.csv")"

# The same figure out of the runs as the caller asked for: of two runs the median lies between.
for figure in median min; do
    run 0 --smoke --rows pair_64 --rounds 2 --no-hakmem --figure "$figure"
    wanted=$(tr -d '\r' <"$folder/runs.csv" | awk -F, -v figure="$figure" '
        NR > 1 { sum += $4; if (NR == 2 || $4 < least) least = $4 }
        END { printf "%.2f", figure == "min" ? least : sum / 2 }')
    shown=$(awk -F'|' '/^\| pair_64/ { print $3 + 0; exit }' "$folder/out")
    # The last digit may round either way.
    awk -v a="$wanted" -v b="$shown" 'BEGIN { exit !(a - b < 0.015 && b - a < 0.015) }' ||
        fail "--figure $figure shows $shown, the runs say $wanted"
done

# A library that does not serve malloc must stop the comparison: figures of glibc under its name.
run 3 --smoke --hakmem "$fake" --peer "impostor=$lying"
expect "$folder/err" 'NOT SERVED: impostor.*libc.*not by .*lying_allocator'
[[ ! -s $folder/out ]] || fail "a comparison that did not hold prints a table"

# A setting of the caller's shell must not reach the programs.
LD_PRELOAD=$fake run 0 --smoke --rows pair_64 --no-hakmem
expect "$folder/runs.csv" '^1,pair_64,glibc,[^/]*,libc[.-]'

# Wrong command lines.
run 2 --smoke --hakmem /no/such/library.so
run 2 --smoke --rows no_such_row
run 2 --smoke --rounds 0
run 2 --smoke --hakmem "$fake" --peer "hakmem=$lying"
run 2 --smoke --hakmem "$fake" --no-hakmem
run 2 --smoke --cpus 0-x
run 2 --smoke --bin /no/such/folder
run 0 --list
expect "$folder/out" '^spike$'
run 0 --help
expect "$folder/out" '--rounds N'

# A program that fails costs its cells, not the others', and the status says so.
mkdir -p "$folder/bin"
cp -f "$bin/pair/pair" "$folder/bin/pair"
printf '#!/bin/sh\necho boom >&2\nexit 7\n' >"$folder/bin/larson"
chmod +x "$folder/bin/larson"
run 1 --smoke --hakmem "$fake" --rows pair_64,larson --bin "$folder/bin"
expect "$folder/out" '^\| larson +\| +failed \| +failed \|'
expect "$folder/out" '^\| pair_64 +\| +[0-9.]+ \| +[0-9.]+ \|'
expect "$folder/err" 'FAILED: larson under hakmem, round 1: exit status 7: boom'
printf '#!/bin/sh\nexec sleep 20\n' >"$folder/bin/larson"
run 1 --smoke --no-hakmem --rows larson --bin "$folder/bin" --timeout 0.5
expect "$folder/err" 'took longer than 0\.5 s'

echo "compare_test.sh: $checks checks"
