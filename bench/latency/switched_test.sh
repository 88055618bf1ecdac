#!/usr/bin/env bash
# switched_test.sh PROGRAM: samples during which a thread was switched out are found, and told apart
# from the others. Threads that share one CPU are switched out for certain.
set -euo pipefail

program=$1

fail() {
    echo "switched_test.sh: $*" >&2
    exit 1
}

cpu=$(taskset -cp $$ | sed -E 's/.*: *([0-9]+).*/\1/')
json=$(taskset -c "$cpu" "$program" --json --threads=4 --ops=200000 --generations=2)

# sum SUFFIX: of that note over both rows and all kinds of calls.
sum() {
    echo $(($(grep -oE "_$1\":[0-9]+" <<<"$json" | cut -d: -f2 | paste -sd+)))
}

[[ $(sum switched_count) -gt 0 ]] || fail "four threads on one CPU were never switched out: $json"
[[ $(sum switched_max_ns) -gt 0 ]] || fail "a switch took no time: $json"
[[ $(sum stolen_count) -lt $(sum switched_count) ]] || fail "the host took all of them: $json"

# In each row and kind the percentiles rise, and there are some.
count=0
while IFS=: read -r p50 p99 p999 max; do
    [[ $p50 -gt 0 && $p50 -le $p99 && $p99 -le $p999 && $p999 -le $max ]] ||
        fail "percentiles $p50 $p99 $p999 $max do not rise: $json"
    count=$((count + 1))
done < <(grep -oE '"(malloc|free|nothing)_(p50|p99|p999|max)_ns":[0-9]+' <<<"$json" |
    cut -d: -f2 | paste -d: - - - -)
[[ $count -eq 6 ]] || fail "$count sets of percentiles in place of 6: $json"
echo "switched_test.sh: $(sum switched_count) samples apart"
