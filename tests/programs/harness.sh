#!/usr/bin/env bash
# Runs a real program without and with hakmem and compares.
#   harness.sh [--full] [--row] CASE.sh LIBRARY WITNESS
#
# A case is a file that defines
#   title        what the table in docs/PROGRAMS.md calls it
#   needs        commands that it needs, apart by spaces
#   optional     1 if the case may be skipped where a command is missing
#   main         the name of the process that must have been served by hakmem
#   version()    prints the version of the program, one line
#   program()    does the work in an empty folder, printing what must be equal in both runs; it
#                starts the program under test by `run COMMAND...` and may look at $full (1 in
#                --full) and $input (the folder of input files)
#
# Equal are stdout and exit status. What hakmem served is told by the witness: in each process that
# ended normally the C library's malloc must hold nothing. --full takes more work; --row prints a
# row of the table instead. Exit status: 0 equal and served, 1 not, 2 wrong use or a missing
# program.
# What a case defines and uses is invisible here.
# shellcheck disable=SC2034,SC2154
set -euo pipefail

full=0 row=0 optional=0
while [[ ${1:-} == --* ]]; do
    case $1 in
    --full) full=1 ;;
    --row) row=1 ;;
    *) echo "harness.sh: unknown option $1" >&2 && exit 2 ;;
    esac
    shift
done
if (($# != 3)); then
    sed -n '2,3p' "$0" >&2
    exit 2
fi
case_file=$(realpath "$1") library=$(realpath "$2") witness=$(realpath "$3")
input=$(realpath "$(dirname "$case_file")/../input")
work=$(mktemp -d)
preload=
# shellcheck source=/dev/null
source "$case_file"

export LC_ALL=C.UTF-8 TZ=UTC HOME=$work
# Debian's own programs, not what a developer has first on the PATH.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
for command in $needs; do
    if ! command -v "$command" > /dev/null; then
        if ((optional)); then
            echo "skipped: $title: $command is not installed"
            exit 0
        fi
        echo "harness.sh: $command is not installed: tools/setup.sh test installs it" >&2
        exit 2
    fi
done

# Servers that a case started and did not stop end with it, also when it fails.
cleanup() {
    local pid
    if [[ -f $work/servers ]]; then
        while read -r pid; do kill "$pid" 2> /dev/null || true; done < "$work/servers"
    fi
    rm -rf "$work"
}
trap cleanup EXIT

# The program under test. The harness itself never runs on hakmem.
run() {
    if [[ -n $preload ]]; then
        env LD_PRELOAD="$preload" HAK_WITNESS="$work/witness" "$@"
    else
        "$@"
    fi
}

# The same in the background; the case must make it stop and then call `wait`.
serve() {
    # No function here: $! must be the server itself.
    if [[ -n $preload ]]; then
        env LD_PRELOAD="$preload" HAK_WITNESS="$work/witness" "$@" > server.log 2>&1 &
    else
        "$@" > server.log 2>&1 &
    fi
    echo $! >> "$work/servers"
}

# Waits up to 10 s until a command succeeds.
wait_for() {
    local i
    for ((i = 0; i < 200; i++)); do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    echo "waited in vain for: $*" >&2
    return 1
}

# One run in a folder of its own; leaves stdout, stderr and the status in $work.
one_run() {
    local name=$1
    mkdir "$work/$name"
    # Not behind `||`: that would switch off -e in the case.
    set +e
    (
        set -e
        cd "$work/$name"
        program
    ) > "$work/$name.out" 2> "$work/$name.err"
    echo $? > "$work/$name.status"
    set -e
}

verdict() {
    if ! cmp -s "$work/plain.status" "$work/hakmem.status"; then
        echo "exit status $(cat "$work/plain.status") without," \
            "$(cat "$work/hakmem.status") with hakmem"
    elif ! cmp -s "$work/plain.out" "$work/hakmem.out"; then
        echo "different output"
    elif [[ $(cat "$work/plain.status") != 0 ]]; then
        echo "exit status $(cat "$work/plain.status") in both runs: the case shows nothing"
    elif [[ ! -s $work/plain.out ]]; then
        echo "no output: the case shows nothing"
    elif [[ ! -s $work/witness ]] || ! grep -q " program $main " "$work/witness"; then
        echo "no process $main ended under the witness"
    elif grep -qv ' libc_bytes 0 ' "$work/witness"; then
        echo "the C library's malloc served: $(grep -v ' libc_bytes 0 ' "$work/witness" | head -1)"
    elif awk '$8 > 65536 { found = 1 } END { exit !found }' "$work/witness"; then
        echo "jemalloc served: $(awk '$8 > 65536' "$work/witness" | head -1)"
    elif grep -q ' version none' "$work/witness"; then
        echo "a process ran without hakmem: $(grep ' version none' "$work/witness" | head -1)"
    fi
}

one_run plain
preload=$library:$witness
started=$SECONDS
one_run hakmem
seconds=$((SECONDS - started))
wrong=$(verdict)
touch "$work/witness" # one that no process wrote to has been judged already
served="$(wc -l < "$work/witness") processes, \
$(awk '{ n += $10 } END { print n + 0 }' "$work/witness") blocks refilled"
if grep -q 'calls [0-9]' "$work/witness"; then
    served+=", $(awk '{ n += $12 } END { print n }' "$work/witness") malloc calls"
fi
if ((row)); then
    echo "| $title | $(version) | ${wrong:-same output and status} | $served |"
elif [[ -z $wrong ]]; then
    echo "ok: $title: $served, ${seconds} s"
fi
if [[ -n $wrong ]]; then
    echo "FAIL $title: $wrong" >&2
    diff "$work/plain.out" "$work/hakmem.out" | head -20 >&2 || true
    tail -20 "$work/hakmem.err" >&2
    exit 1
fi
