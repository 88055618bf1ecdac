#!/usr/bin/env bash
# The simulator's trajectories: into the band and at rest there, within the budget, to the hot size;
# the same again for the same stream, recorded or made; a plot that is XML.
set -euo pipefail

sim=$1
plot=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0

fail() {
    printf 'learner_sim_test: %s\n' "$*" >&2
    faults=$((faults + 1))
}

# The mean of a column over the last N seconds, in thousandths.
mean_of() {
    awk -F, -v name="$2" -v last="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i; next }
        { value[NR] = $column }
        END { for (i = NR - last + 1; i <= NR; i++) sum += value[i]; print int(1000 * sum / last) }
    ' "$1"
}

expect() { # FILE COLUMN LOW HIGH
    local found
    found=$(mean_of "$1" "$2" 50)
    if [ "$found" -lt "$3" ] || [ "$found" -gt "$4" ]; then
        fail "$(basename "$1"): $2 is $found, not in $3..$4"
    fi
}

for target in 650 750; do
    csv=$work/swing_$target.csv
    "$sim" --stream=swing --seconds=900 --target=$target >"$csv"
    expect "$csv" hit_32768 $((target - 50)) $((target + 50))
    expect "$csv" changes 0 20 # one in 50 seconds, at most
done

"$sim" --stream=swing --seconds=300 --dwell-ms=0 --budget=200 >"$work/budget.csv"
awk -F, 'NR > 2 && $3 + $6 + $9 + $12 + $15 > 200 { exit 1 }' "$work/budget.csv" ||
    fail "the caps exceed the budget"

"$sim" --stream=phases --seconds=300 --log >"$work/phases.csv" 2>"$work/phases.log"
grep -q '\[Learner\] CAP mid 32768: ' "$work/phases.log" || fail "no decision on 32 KiB"
grep -q '\[Learner\] CAP mid 16384: ' "$work/phases.log" || fail "no decision on 16 KiB"

"$sim" --stream=hot --seconds=400 --dyn --log >"$work/hot.csv" 2>"$work/hot.log"
awk -F, '$18 == 14336 { seen = 1 } END { exit !(seen && $18 == 10240) }' "$work/hot.csv" ||
    fail "DYN1 does not follow the hot size: $(cut -d, -f18 "$work/hot.csv" | uniq | tr '\n' ' ')"

"$sim" --stream=uniform --seconds=600 --w-max --log >"$work/uniform.csv" 2>"$work/uniform.log"
grep -q '\[Learner\] W_MAX mid canary start: 1\.[457]0$' "$work/uniform.log" || fail "no trial"
grep -q '\[Learner\] W_MAX mid canary \(adopt\|revert to 1\.[4-7]0\)$' "$work/uniform.log" ||
    fail "no end of a trial"

# What is printed is a function of the stream.
"$sim" --stream=uniform --seconds=600 --w-max >"$work/again.csv"
cmp -s "$work/uniform.csv" "$work/again.csv" || fail "two runs differ"

# A recorded stream: five seconds of 32 KiB blocks, 100 of them live.
awk 'BEGIN { for (ms = 0; ms < 5000; ms++) print ms, ms % 200 < 100 ? "+" : "-", 32768 }' \
    >"$work/recorded"
"$sim" --file="$work/recorded" >"$work/recorded.csv"
[ "$(wc -l <"$work/recorded.csv")" -ge 6 ] || fail "the recorded stream has no five seconds"

if "$sim" --stream=nosuch 2>/dev/null || "$sim" --nosuch 2>/dev/null; then
    fail "a wrong argument is accepted"
fi

python3 "$plot" "$work/hot.csv" "$work/hot.svg"
python3 - "$work/hot.svg" <<'PY' || fail "the plot is not well-formed"
import sys
import xml.dom.minidom
lines = xml.dom.minidom.parse(sys.argv[1]).getElementsByTagName("polyline")
sys.exit(0 if len(lines) >= 5 else 1)
PY

exit $((faults != 0))
