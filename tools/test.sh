#!/usr/bin/env bash
# Everything that CI runs: all tests with gcc, the layer check with clang, the sanitizers, the
# limits of the style guide.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# gcc without a sandbox: to set one up for each of ten thousand files costs a third of the time.
# What it reads is checked against what is declared all the same. Without one clang finds module
# maps that are not for it to see. Tests without one too: a twelfth of a second for each of a
# thousand. They run in their own runfiles, and a user's `bazel test` has the sandbox.
quick=(--strategy=CppCompile=local --strategy=CppLink=local --strategy=TestRunner=local)
phases=(tidy gcc commands layers asan tsan lto)
passed=0
failed=0
names=() # of what failed

usage() {
    cat <<EOF
usage: tools/test.sh [PHASE...]

Installs what the tests need and runs them; without arguments all phases:
${phases[*]}
  tidy     the limits of the style guide, over the whole tree
  gcc      bazel test //..., without the suites that run with the malloc override too (tag "twin");
           that each header compiles alone (tag "alone") is seen by the layer check
  commands the commands of the README, as a user types them
  layers   every source compiled with --config=layers, by clang: no box uses a header it does not
           declare
  asan     the suites without the malloc override, with AddressSanitizer,
           UndefinedBehaviorSanitizer and the checks of HAKMEM's debug build together; like
           tsan without the variants that differ by a policy alone (tag "few")
  tsan     those of them that start threads, with ThreadSanitizer
  lto      the libraries with link-time optimisation
The last line is "N passed, N failed" over all phases; a build or check counts as one. The exit
status is 0 if nothing failed.
EOF
}

# Adds the results that Bazel printed to the totals: a line per test, "//label   PASSED in 0.1s" or
# "(cached) PASSED", FLAKY, FAILED, TIMEOUT, "FAILED TO BUILD", "NO STATUS".
# $1: Bazel's status, $2: what it printed, $3: the phase.
count_results() {
    local status=$1 log=$2 phase=$3 good bad
    local line='^//[^ ]+ +(\(cached\) +)?'
    good=$(grep -cE "$line(PASSED|FLAKY)" "$log" || true)
    bad=$(grep -cE "$line(FAILED|TIMEOUT|NO STATUS|INCOMPLETE|REMOTE FAILURE)" "$log" || true)
    # Something that is no test was not built, or Bazel itself failed: the phase did not pass.
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    mapfile -t -O "${#names[@]}" names < <(
        grep -oE "$line(FAILED|TIMEOUT|NO STATUS|INCOMPLETE|REMOTE FAILURE).*" "$log" |
            sed "s/^/$phase: /"
    )
    if [ "$bad" -ne 0 ]; then
        say "$phase: $bad FAILED (bazel's exit status $status)"
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# Runs `bazel test` and counts. $1: phase; the rest are flags and labels.
test_phase() {
    local phase=$1 log status=0
    shift
    log=$(mktemp)
    run_bazel test --color=no --curses=no --noshow_progress --show_result=0 --keep_going \
        "${quick[@]}" "$@" 2>&1 | tee "$log" >&2 || status=$?
    count_results "$status" "$log" "$phase"
    rm -f "$log"
}

# Runs a command that passes or fails as a whole. $1: phase; the rest is the command.
check_phase() {
    local phase=$1
    shift
    if "$@" 1>&2; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        names+=("$phase: the whole of it")
        say "$phase: FAILED"
    fi
}

quiet_build() {
    run_bazel build --color=no --curses=no --noshow_progress --show_result=0 --keep_going "$@"
}

run_phase() {
    local phase=$1
    local tags="-no-san,-few"
    [ "$phase" != tsan ] || tags+=",-one-thread"
    local suites=(--build_tests_only --build_tag_filters="$tags" --test_tag_filters="$tags" //...)
    case $phase in
        tidy) check_phase tidy "$root/tools/tidy.sh" ;;
        gcc) test_phase gcc --build_tag_filters=-twin,-alone --test_tag_filters=-twin //... ;;
        commands) check_phase commands "$root/tests/linking/commands.sh" ;;
        # Objects of libraries and programs alone: variants compile the same sources again.
        layers)
            check_phase layers quiet_build --config=layers --copt=-O0 --copt=-g0 \
                --output_groups=compilation_outputs //...
            ;;
        asan)
            test_phase asan --config=debug --config=ubsan --config=asan "${suites[@]}"
            ;;
        tsan) test_phase tsan --config=tsan "${suites[@]}" ;;
        lto) check_phase lto quiet_build --config=lto //:libhakmem.so //:libhakmem.a ;;
        *) die "no such phase: $phase (there are: ${phases[*]})" ;;
    esac
}

main() {
    local phase name began total=$SECONDS chosen=()
    for phase in "$@"; do
        case $phase in
            -h | --help)
                usage
                exit 0
                ;;
            *)
                [[ " ${phases[*]} " == *" $phase "* ]] ||
                    die "no such phase: $phase (there are: ${phases[*]})"
                chosen+=("$phase")
                ;;
        esac
    done
    [ ${#chosen[@]} -gt 0 ] || chosen=("${phases[@]}")

    "$root/tools/setup.sh" all || {
        printf '0 passed, 1 failed\n'
        exit 1
    }
    for phase in "${chosen[@]}"; do
        began=$SECONDS
        say "$phase ..."
        run_phase "$phase"
        say "$phase took $((SECONDS - began)) s; so far $passed passed, $failed failed"
    done
    say "all took $((SECONDS - total)) s"
    for name in "${names[@]}"; do
        say "failed in $name"
    done
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

main "$@"
