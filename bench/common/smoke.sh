#!/usr/bin/env bash
# smoke.sh PROGRAM: runs a benchmark program as a quick check of itself and of its command line.
set -euo pipefail

program=$1
name=$(basename "$program")

fail() {
    echo "smoke.sh: $name: $*" >&2
    exit 1
}

# Every row does its checks on every block; a fault ends the program with status 1.
text=$("$program" --smoke) || fail "--smoke exits with $?"
json=$("$program" --smoke --json) || fail "--smoke --json exits with $?"
rows=$("$program" --list)
[[ -n $rows ]] || fail "--list prints nothing"

# The report has every row in both forms, and JSON that was written to its end.
while read -r row; do
    grep -q "^$row " <<<"$text" || fail "the text report lacks row $row"
    grep -qF "{\"row\":\"$row\"," <<<"$json" || fail "the JSON report lacks row $row"
done <<<"$rows"
[[ $json == '{"program":"'"$name"'",'*'"finished":true}' ]] || fail "incomplete JSON: $json"

# One row alone.
first=${rows%%$'\n'*}
[[ $("$program" --smoke --json --rows="$first" | grep -o '"row":' | wc -l) == 1 ]] ||
    fail "--rows=$first runs another number of rows than one"

"$program" --help | grep -q "^Usage: $name " || fail "--help has no usage line"

# A wrong command line: status 2, a reason on stderr, nothing measured.
for wrong in --no-such-option --rows=no_such_row --rows= --rounds=0 --rounds=-1 --rounds=1x \
    "1 2 3 4 5 6 7 8 9 10" word; do
    status=0
    # shellcheck disable=SC2086 # the list of words is meant to split
    reason=$("$program" --smoke $wrong 2>&1 >/dev/null) || status=$?
    [[ $status == 2 ]] || fail "'$wrong' exits with $status, not 2"
    [[ -n $reason ]] || fail "'$wrong' gives no reason"
done
echo "$name: $(wc -l <<<"$rows") rows checked"
