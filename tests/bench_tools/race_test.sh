#!/usr/bin/env bash
# race_test.sh BIN FAKE LYING HAKMEM: a race end to end, with libraries that we know in the place of
# hakmem, and once with hakmem itself.
set -euo pipefail

bin=$1
fake=$(realpath "$2")
lying=$(realpath "$3")
hakmem=$(realpath "$4")
race=bench/compare/race.py
folder=${TEST_TMPDIR:-$(mktemp -d)}
out=$folder/race
peers=--no-peers
here=$(dirname "$0")
checks=0

fail() {
    echo "race_test.sh: $*" >&2
    exit 1
}

# run STATUS ARGUMENTS...: leaves what it prints in $folder/out and $folder/err.
run() {
    local expected=$1 status=0
    shift
    python3 "$race" --bin "$bin" ${peers:+"$peers"} --out "$out" "$@" \
        >"$folder/out" 2>"$folder/err" </dev/null || status=$?
    [[ $status == "$expected" ]] ||
        fail "race.py $* exits with $status, not $expected: $(cat "$folder/err")"
    checks=$((checks + 1))
}

expect() {
    grep -Eq -- "$2" "$1" || fail "no line matches '$2' in: $(cat "$1")"
    checks=$((checks + 1))
}

# Two allocators, every program once: a table, ratios, a CSV line for each run.
run 0 --smoke --hakmem "$fake"
expect "$folder/out" '^\| row +\| +glibc \| +hakmem \| +hakmem / glibc \|$'
expect "$folder/out" '^\| larson +\| +[0-9.]+ \| +[0-9.]+ \| +[0-9.]+ \|$'
expect "$folder/out" '^## Peak RSS, MiB$'
expect "$folder/out" '^- hakmem: .*, version 9\.8\.7 \(fake_variant\)$'
cmp -s "$folder/out" "$out/race.md" || fail "race.md holds something else than was printed"
python3 "$here/page_check.py" "$out" || fail "the report does not hold"
served=$(basename "$fake")
expect "$out/race.csv" "^1,spike,[a-z_]+,hakmem,[0-9.]+,[0-9]+,[0-9]+,[0-9]+,$served,[0-9.]+,"

# Every allocator takes every place in the order, so that none is always the first after a pause.
run 0 --smoke --rows pair_64 --rounds 2 --hakmem "$fake"
order=$(cut -d, -f4 "$out/race.csv" | tail -n 4 | paste -sd,)
[[ $order == glibc,hakmem,hakmem,glibc ]] ||
    fail "rounds do not interleave: $(cat "$out/race.csv")"

# A build with other flags is told from the usual one.
! grep -q 'build flags' "$folder/out" || fail "flags that nobody gave"
run 0 --smoke --rows pair_64 --no-hakmem --flags=--config=lto
expect "$folder/out" '^- build flags: --config=lto$'
expect "$out/race.html" '<td>build flags</td><td class="command">--config=lto</td>'

# The same figure out of the runs as the caller asked for: of two runs the median lies between.
for figure in median min; do
    run 0 --smoke --rows pair_64 --rounds 2 --no-hakmem --figure "$figure"
    wanted=$(awk -F, -v figure="$figure" '
        NR > 1 { sum += $5; if (NR == 2 || $5 < least) least = $5 }
        END { printf "%.2f", figure == "min" ? least : sum / 2 }' "$out/race.csv")
    shown=$(awk -F'|' '/^\| pair_64/ { print $3 + 0; exit }' "$folder/out")
    # The last digit may round either way.
    awk -v a="$wanted" -v b="$shown" 'BEGIN { exit !(a - b < 0.015 && b - a < 0.015) }' ||
        fail "--figure $figure shows $shown, the runs say $wanted"
done

# A library that does not serve malloc must stop the race: figures of glibc under its name.
run 3 --smoke --hakmem "$fake" --peer "impostor=$lying"
expect "$folder/err" 'NOT SERVED: impostor.*libc.*not by .*lying_allocator'
[[ ! -s $folder/out ]] || fail "a race that did not hold prints a table"
[[ ! -e $out/race.html ]] || fail "a race that did not hold leaves a report"

# A setting of the caller's shell must not reach the programs.
LD_PRELOAD=$fake run 0 --smoke --rows pair_64 --no-hakmem
expect "$out/race.csv" '^1,pair_64,[a-z_]+,glibc,[^/]*,libc[.-]'

# Wrong command lines.
run 2 --smoke --hakmem /no/such/library.so
run 2 --smoke --rows no_such_row
run 2 --smoke --rounds 0
for seconds in 0 inf nan 10000000; do
    run 2 --smoke --timeout $seconds
done
run 2 --smoke --sample-ms inf
run 2 --smoke --hakmem "$fake" --peer "hakmem=$lying"
run 2 --smoke --hakmem "$fake" --no-hakmem
run 2 --smoke --cpus 0-x
run 2 --smoke --cpus 1-0
expect "$folder/err" "'1-0' is no list of CPUs"
run 2 --smoke --bin /no/such/folder
run 0 --list
expect "$folder/out" '^spike$'
run 0 --help
expect "$folder/out" '^usage: tools/race\.sh '
for option in rows rounds peer hakmem variant config flags figure cpus timeout sample-ms out from \
    no-hakmem no-peers bin smoke list; do
    expect "$folder/out" "^  --$option( |$)"
done
expect "$folder/out" '^  3 +another allocator than intended served a run'

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

# A program that prints something beside its report.
printf '#!/bin/sh\necho hello\nexec %s/larson/larson "$@"\n' "$(realpath "$bin")" \
    >"$folder/bin/larson"
run 1 --smoke --no-hakmem --rows larson --bin "$folder/bin"
expect "$folder/err" 'round 1: exit status 0, but what it printed is no report$'

# So it is if what hangs is a child that has its output.
printf '#!/bin/sh\nsleep 50\n' >"$folder/bin/larson"
SECONDS=0
run 1 --smoke --no-hakmem --rows larson --bin "$folder/bin" --timeout 0.5
expect "$folder/err" 'took longer than 0\.5 s'
((SECONDS < 40)) || fail "a race waits for a child of a program that it ended"

# A line that is no row: a word about it, and no table.
cp -RL bench "$folder/bench_copy"
for line in 'pair short' 'pair many pair --threads=4k'; do
    printf '\n%s\n' "$line" >>"$folder/bench_copy/rows.txt"
    status=0
    python3 "$folder/bench_copy/compare/race.py" --list >"$folder/out" 2>"$folder/err" || status=$?
    [[ $status == 2 && ! -s $folder/out ]] || fail "a wrong row: status $status"
    expect "$folder/err" '^error: line [0-9]+ of the rows: '
    cp -fL bench/rows.txt "$folder/bench_copy/rows.txt"
done

# A program that sheds the preloaded library in the middle of a race ends it, whatever it prints.
printf '#!/bin/sh\nexec env -u LD_PRELOAD %s/larson/larson "$@"\n' "$(realpath "$bin")" \
    >"$folder/bin/larson"
run 3 --smoke --rows pair_64,larson --hakmem "$fake" --bin "$folder/bin"
expect "$folder/err" 'NOT SERVED: hakmem, row larson'
[[ ! -e $out/race.html ]] || fail "the report of an earlier race is still there"
! grep -q '^1,larson,[a-z_]*,hakmem' "$out/race.csv" || fail "a run of another allocator is a row"

# A file that cannot be written costs neither the tables nor the runs, and leaves no half of it.
(ulimit -f 16 && run 2 --smoke --rows pair_64 --hakmem "$fake")
expect "$folder/err" 'error: .*race\.html'
expect "$folder/out" '^\| pair_64 +\| +[0-9.]+ \| +[0-9.]+ \|'
[[ -s $out/race.json && ! -e $out/race.html ]] || fail "other files than could be written"

# Nor does a log that cannot be written.
rm -rf "$out"
python3 "$race" --bin "$bin" --no-peers --no-hakmem --out "$out" --smoke --rows pair_64 --rounds 3 \
    >/dev/null 2>/dev/full </dev/null || true
[[ -s $out/race.html ]] || fail "a race ends because nobody can read how far it is"

# Control-C ends a race with a report on the runs that were made, and a status that says so. The
# shell has a job in the background ignore it, which env undoes.
rm -rf "$out"
env --default-signal=INT python3 "$race" --bin "$bin" --no-peers --out "$out" --smoke \
    --rows pair_64 --rounds 5000 --hakmem "$fake" >"$folder/out" 2>"$folder/err" </dev/null &
pid=$!
while kill -0 "$pid" 2>/dev/null && ! grep -q '^\[6/' "$folder/err"; do
    sleep 0.1
done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[[ $status == 130 ]] || fail "an interrupted race exits with $status: $(tail -n 3 "$folder/err")"
expect "$folder/out" '^Interrupted: only the runs that were made are here\.$'
expect "$out/race.html" 'The race was interrupted'
python3 "$here/page_check.py" "$out" || fail "the report of an interrupted race does not hold"

# So does a race that is told to end, and the program that runs ends with it.
printf '#!/bin/sh\necho $$ >%s/program\nexec sleep 60\n' "$folder" >"$folder/bin/larson"
python3 "$race" --bin "$folder/bin" --no-peers --out "$out" --smoke --rows pair_64,larson \
    --hakmem "$fake" >"$folder/out" 2>"$folder/err" </dev/null &
pid=$!
until [[ -s $folder/program ]]; do
    kill -0 "$pid" 2>/dev/null || fail "no program runs: $(cat "$folder/err")"
    sleep 0.1
done
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
[[ $status == 130 ]] || fail "a race that was told to end exits with $status"
expect "$out/race.html" 'The race was interrupted'
! kill -0 "$(cat "$folder/program")" 2>/dev/null || fail "the program of a race that ended runs on"

# Everything once: every program under every allocator that is here.
peers=
run 0 --smoke --hakmem "$hakmem"
python3 "$here/page_check.py" "$out" || fail "the report of everything does not hold"
expect "$folder/err" '^\[2/[0-9]+\] round 1/1 [a-z0-9_]+ [a-z]+, [0-9]+ (s|min) left$'

# The same page out of the JSON file alone, and nothing out of another one.
cp "$out/race.html" "$folder/first.html"
run 0 --from "$out/race.json"
cmp -s "$out/race.html" "$folder/first.html" || fail "--from gives another report"
echo '{"format": 0}' >"$folder/other.json"
run 2 --from "$folder/other.json"
run 2 --from "$out/race.html"
expect "$folder/err" 'error: .*/race\.html is no race\.json: '

echo "race_test.sh: $checks checks"
