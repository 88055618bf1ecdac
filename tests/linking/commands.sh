#!/usr/bin/env bash
# The commands that the README promises, typed as a user types them. It calls Bazel, so it is no
# test of `bazel test`; tools/test.sh runs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=../../tools/lib.sh
. "$here/../../tools/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# $1: what, $2: expected status, $3: expected stdout, the rest: the command. Leaves stderr in
# $work/stderr.
expect_run() {
    local what=$1 status=$2 text=$3 got=0 out
    shift 3
    out=$("$@" 2>"$work/stderr") || got=$?
    if [ "$got" -eq "$status" ] && [ "$out" = "$text" ]; then
        pass "$what"
    else
        fail "$what: exit status $got, expected $status; stdout: $out"
        cat "$work/stderr"
    fi
}

run=$root/tools/run.sh
sum='print(sum(len(str(i)) for i in range(10**6)))'
served='import ctypes; print(ctypes.CDLL(None).hak_owns is not None)'

# From a folder outside the checkout: the script finds its own way.
cd "$work"
expect_run "run.sh: output of a program" 0 5888890 "$run" -- /usr/bin/python3 -c "$sum"
expect_same "run.sh: nothing on stderr once it is built" "" "$(cat "$work/stderr")"
expect_run "run.sh: hakmem is in the program" 0 True "$run" /usr/bin/python3 -c "$served"
expect_run "run.sh: the exit status of a program" 7 "" "$run" -- sh -c 'exit 7'
expect_run "run.sh: arguments with spaces" 0 "a  b|c" "$run" -- printf '%s|%s' 'a  b' c
expect_run "run.sh: no such program" 127 "" "$run" -- ./no-such-program
expect_run "run.sh: no program" 1 "" "$run" --
expect_run "run.sh: unknown option" 1 "" "$run" --nonsense
expect_run "run.sh: unknown variant" 1 "" "$run" --variant=nonsense -- true
grep -q 'hakmem_mf2' "$work/stderr" || fail "run.sh: unknown variant: $(cat "$work/stderr")"
expect_run "race.sh: unknown variant" 2 "" "$root/tools/race.sh" --variant=nonsense
expect_run "run.sh --stats: output of a program" 0 hello "$run" --stats -- echo hello
expect_same "run.sh --stats: one line on stderr" 1 "$(wc -l <"$work/stderr" | tr -d ' ')"
grep -q hakmem "$work/stderr" || fail "run.sh --stats: the line does not name hakmem"

expect_run "install.sh" 0 "" "$root/tools/install.sh" --prefix "$work/prefix"
expect_run "preloading what was installed" 0 True \
    env LD_PRELOAD="$work/prefix/lib/libhakmem.so" /usr/bin/python3 -c "$served"

for script in run test install setup tidy aarch64 race; do
    "$root/tools/$script.sh" --help >"$work/help" || fail "$script.sh --help fails"
    grep -q "^usage: tools/$script.sh" "$work/help" || fail "$script.sh --help does not say usage"
done
"$root/tools/setup.sh" --list >"$work/list" || fail "setup.sh --list fails"
grep -qx bazel-bootstrap "$work/list" || fail "setup.sh --list lacks bazel"
expect_run "setup.sh: nothing to do the second time" 0 "" "$root/tools/setup.sh" all
expect_same "setup.sh: and nothing said" "" "$(cat "$work/stderr")"
expect_run "setup.sh: unknown argument" 1 "" "$root/tools/setup.sh" nonsense
# Another workspace links hakmem as an external repository.
cd "$root/examples/workspace"
bazel=(bazel "--output_base=$work/output" --host_jvm_args=-Xmx512m --max_idle_secs=60)
if "${bazel[@]}" build --nosandbox_debug --symlink_prefix=/ //:server >"$work/log" 2>&1; then
    expect_run "a service in another workspace" 0 "allocator: hakmem" \
        "$("${bazel[@]}" info bazel-bin 2>/dev/null)/server"
else
    fail "a service in another workspace"
    cat "$work/log"
fi
"${bazel[@]}" shutdown
chmod -R u+w "$work/output"
cd "$work"

# docs/BUILDING.md names every package with a test that the sanitizers leave out.
packages=$(run_bazel query 'attr(tags, "no-san", tests(//...))' 2>/dev/null |
    grep -v '_tidy$' | sed 's/:.*//' | sort -u)
[ -n "$packages" ] || fail "the query for no-san tests finds nothing"
for package in $packages; do
    grep -qF "\`$package\`" "$root/docs/BUILDING.md" ||
        fail "docs/BUILDING.md does not say why tests in $package are no-san"
done

# A PATH with no apt-get stands for another system.
mkdir "$work/bin"
for program in bash dirname basename cat id env; do
    ln -s "$(command -v "$program")" "$work/bin/$program"
done
expect_run "setup.sh: another system" 1 "" env PATH="$work/bin" "$root/tools/setup.sh" build
grep -q 'no Debian' "$work/stderr" || fail "setup.sh: another system: $(cat "$work/stderr")"
expect_run "setup.sh: told to skip" 0 "" \
    env PATH="$work/bin" HAK_SETUP=skip "$root/tools/setup.sh" build
finish
