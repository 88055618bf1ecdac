#!/usr/bin/env bash
# Feeds tools/tidy.sh one file per rule that breaks just this rule, and files that break none.
set -euo pipefail

tidy=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "${TEST_TMPDIR:?}"
mkdir -p base boxes tests config
wrong=0

fail() {
    printf 'FAIL: %s\n' "$*"
    wrong=1
}

# $1: what the fault's line must contain; $2: a file that must have exactly this fault.
expect_fault() {
    local out
    if out=$("$tidy" "$2"); then
        fail "$2: no fault, expected: $1"
        return
    fi
    [[ $out == *"$2"*"$1"* ]] || fail "$2: expected: $1; got: $out"
    [[ $out == *"tidy: 1 faults in 1 files"* ]] || fail "$2: expected one fault; got: $out"
}

expect_clean() {
    local out
    out=$("$tidy" "$@") || fail "expected no fault; got: $out"
}

# $1: number of lines, $2: text of each.
repeat() {
    awk -v n="$1" -v text="$2" 'BEGIN { for (i = 0; i < n; i++) print text }'
}

# $1: first line of a function, $2: lines of its body, $3: a line of the body.
function_of() {
    printf '%s\n' "$1"
    repeat "$2" "$3"
    printf '}\n'
}

repeat 400 'int a;' >boxes/long_ok.c
repeat 401 'int a;' >boxes/long.c
repeat 201 'int a;' >boxes/long.h
repeat 151 'int a;' >boxes/long_inl.h
function_of 'int f(void) {' 68 '    g();' >boxes/function_ok.c
function_of 'int f(void) {' 69 '    g();' >boxes/function.c
{
    printf 'int f(int a,\n'
    function_of '      int b) {' 69 '    g();'
} >boxes/function_split.c
function_of 'static inline int f(void) {' 15 '    g();' >boxes/small_inl.h
function_of 'static inline int f(void) {' 16 '    g();' >boxes/big_inl.h
function_of 'static inline int f(void) {' 16 '    /* why */' >boxes/comments_inl.h
function_of 'static inline int f(void) {' 1 '    while (g()) {' >boxes/loop_inl.h
printf '/*%99s*/\n' 'why so' >boxes/wide.c
printf '/*%95s*/\n' 'why so' >boxes/wide_ok.c
printf '#include "boxes/a_inl.h"\n' >boxes/inl.h
printf '#include "boxes/a_inl.h"\n' >boxes/inl_ok.c
printf 'int x = __atomic_load_n(&y, 0);\n' >boxes/atomic.c
cp boxes/atomic.c base/atomic_ok.h
cp boxes/atomic.c tests/atomic_ok.c
printf '#include <stdatomic.h>\n' >boxes/header.c
printf '#if HAK_CFG_STATS\n' >boxes/if.c
cp boxes/if.c config/if_ok.c
printf '#ifndef HAK_BOXES_X_H_\n#ifdef __cplusplus\n#endif\n' >boxes/guard_ok.h
printf '/* TO%s: later */\n' DO >boxes/word.c
printf '/* a mastodon */\n' >boxes/word_ok.c
printf '\tint a;\n' >boxes/tab.c

expect_fault '401 lines, the limit is 400' boxes/long.c
expect_fault '201 lines, the limit is 200' boxes/long.h
expect_fault '151 lines, the limit is 150' boxes/long_inl.h
expect_fault '1: a function of 71 lines' boxes/function.c
expect_fault '2: a function of 71 lines' boxes/function_split.c
expect_fault 'an inline function of 16 lines' boxes/big_inl.h
expect_fault 'an inline function with a loop' boxes/loop_inl.h
expect_fault 'longer than 100 columns' boxes/wide.c
expect_fault 'must not include an _inl.h' boxes/inl.h
expect_fault 'atomics are for base/' boxes/atomic.c
expect_fault 'atomics are for base/' boxes/header.c
expect_fault '#if is for base/' boxes/if.c
expect_fault 'a note of unfinished work' boxes/word.c
expect_fault 'a tab' boxes/tab.c
expect_fault 'no such file' boxes/none.c
expect_clean boxes/*_ok.c boxes/*_ok.h boxes/small_inl.h boxes/comments_inl.h base/*_ok.h \
    tests/*_ok.c config/*_ok.c

[ "$wrong" -eq 0 ] && printf 'every rule was seen to fire\n'
exit "$wrong"
