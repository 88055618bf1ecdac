#!/usr/bin/env bash
# Checks the limits of the style guide that a machine can see. Every box runs it on its files as a
# test.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: tools/tidy.sh [FILE...]

FILEs are relative to the top of the checkout, which must then be the working directory. Without
FILE it looks at every source file. Prints one line per fault, as FILE:LINE: what. Exit status 1 if
there is a fault.
  lengths   .c, .cc 400 lines, .h 200 (include/ 300), _inl.h 150; a function 70; a line 100 columns
  inline    a function in an _inl.h of the allocator: 15 lines without comments, no loop
  layers    a .h includes no _inl.h; atomics of the compiler only in base/; #if on anything but
            guards and __cplusplus only in base/, config/, backends/os/
  words     notes to oneself that mark unfinished work
EOF
}

# The words are split so that this file does not hold them.
unfinished='(^|[^[:alnum:]_])(TO''DO|FIX''ME|XX''X)([^[:alnum:]_]|$)'
faults=0

# $1: file, $2: line or 0, the rest: what is wrong.
fault() {
    local file=$1 line=$2
    shift 2
    printf '%s:%s: %s\n' "$file" "$line" "$*"
    faults=$((faults + 1))
}

# Reports each line of a grep -n output. $1: file, $2: message; the matches are on stdin.
faults_of_lines() {
    local match
    while IFS= read -r match; do
        fault "$1" "${match%%:*}" "$2"
    done
}

# Code of the allocator, as against tests, benchmarks and examples.
is_production() {
    case $1 in
        *_test.cc | *_test.c) return 1 ;;
        base/* | config/* | core/* | registry/* | boxes/* | backends/* | front/*) return 0 ;;
    esac
    return 1
}

check_length() {
    local file=$1 limit lines
    case $file in
        *_inl.h) limit=150 ;;
        include/*.h | */include/*.h) limit=300 ;; # the manual of the interface, with every counter
        *.h) limit=200 ;;
        *.c | *.cc) limit=400 ;;
        *) return 0 ;;
    esac
    lines=$(wc -l <"$file")
    [ "$lines" -le "$limit" ] || fault "$file" "$lines" "$lines lines, the limit is $limit"
}

check_columns() {
    # A line that is nothing but a long string without a space, such as a URL, cannot be broken.
    faults_of_lines "$1" "longer than 100 columns" < <(
        awk 'length($0) > 100 && NF > 2 { print NR ":" }' "$1"
    )
}

# A function begins at a line without indentation that ends in ") {" and ends at the next "}"
# without indentation. Prints for each: its first line, its lines in all, the lines of its body
# without comments, 1 if it has a loop.
list_functions() {
    awk '
        /^[A-Za-z_].*\) *\{$/ || /^ .*\) \{$/ && pending {
            start = NR; code = 0; loop = 0; pending = 0; next
        }
        /^[A-Za-z_][^;{}]*$/ { pending = 1; next }
        start && /^ +(\} )?(for|while|do)[ (]/ { loop = 1 }
        start && /^ / && !/^ +(\/\*|\*)/ { code++ }
        /^\}/ { if (start) print start, NR - start + 1, code, loop; start = 0 }
        /^[^ ]/ { pending = 0 }
    ' "$1"
}

check_functions() {
    local file=$1 start lines code loop
    while read -r start lines code loop; do
        [ "$lines" -le 70 ] || fault "$file" "$start" "a function of $lines lines, the limit is 70"
        case $file in
            *_inl.h)
                is_production "$file" || continue
                [ "$code" -le 15 ] ||
                    fault "$file" "$start" "an inline function of $code lines, the limit is 15"
                [ "$loop" -eq 0 ] || fault "$file" "$start" "an inline function with a loop"
                ;;
        esac
    done < <(list_functions "$file")
}

check_layers() {
    local file=$1
    case $file in
        *_inl.h) ;;
        *.h)
            faults_of_lines "$file" "a .h must not include an _inl.h" < <(
                grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"[^"]*_inl\.h"' "$file"
            )
            ;;
    esac
    is_production "$file" || return 0
    case $file in
        base/*) ;;
        *)
            faults_of_lines "$file" "the compiler's atomics are for base/: use base/atomic.h" < <(
                grep -nE -e '(^|[^[:alnum:]_])(__atomic_|__sync_|_Atomic|atomic_[a-z]+\()' \
                    -e '# *include *<(stdatomic\.h|atomic)>' "$file"
            )
            ;;
    esac
    case $file in
        base/* | config/* | backends/os/*) ;;
        *)
            faults_of_lines "$file" "#if is for base/, config/, backends/os/: use a constant" < <(
                grep -nE '^ *# *(if|ifdef|ifndef|elif)([^[:alnum:]_]|$)' "$file" |
                    grep -vE '# *(ifndef +HAK[A-Z0-9_]*_H_|ifdef +__cplusplus)$'
            )
            ;;
    esac
}

check_file() {
    local file=$1
    if [ ! -f "$file" ]; then
        fault "$file" 0 "no such file"
        return
    fi
    check_length "$file"
    check_columns "$file"
    faults_of_lines "$file" "a note of unfinished work" < <(grep -nE "$unfinished" "$file")
    case $file in
        *.c | *.cc | *.h)
            check_functions "$file"
            check_layers "$file"
            faults_of_lines "$file" "a tab" < <(grep -n "$(printf '\t')" "$file")
            ;;
    esac
}

# Prints every source file of the checkout, under version control or not yet.
list_tree() {
    {
        git ls-files --cached --others --exclude-standard 2>/dev/null ||
            find . -name .git -prune -o -name 'bazel-*' -prune -o -type f -print | sed 's|^\./||'
    } | grep -E '\.(c|cc|h|sh|bzl|py)$|(^|/)(BUILD|BUILD\.bazel|WORKSPACE)$' | sort -u
}

main() {
    case ${1:-} in
        -h | --help)
            usage
            exit 0
            ;;
    esac
    local files=("$@") file
    if [ ${#files[@]} -eq 0 ]; then
        cd "$(dirname "${BASH_SOURCE[0]}")/.."
        mapfile -t files < <(list_tree)
    fi
    for file in "${files[@]}"; do
        check_file "$file"
    done
    if [ "$faults" -gt 0 ]; then
        printf 'tidy: %d faults in %d files looked at\n' "$faults" "${#files[@]}"
        exit 1
    fi
    printf 'tidy: %d files, no fault\n' "${#files[@]}"
}

main "$@"
