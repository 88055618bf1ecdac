# Shared by the scripts beside it; to be sourced. Sets `root`, the top of the checkout.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# Bazel in our workspace. An allocator that is preloaded into this script is not for Bazel.
# HAK_BAZEL_STARTUP holds start-up options, such as --output_base=DIR.
run_bazel() {
    local startup=()
    read -r -a startup <<<"${HAK_BAZEL_STARTUP:-}"
    (
        cd "$root" || exit 1
        exec env -u LD_PRELOAD bazel ${startup[@]+"${startup[@]}"} "$@"
    )
}

# Builds the labels with the flags and is silent about it, unless it fails.
#   build_quietly [--config=NAME] LABEL...
build_quietly() {
    local log
    log=$(mktemp)
    if ! run_bazel build --color=no --curses=no "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "the build failed (see above)"
    fi
    rm -f "$log"
}

# Prints the folder in which a build with these flags leaves its files.
bin_folder() {
    run_bazel info --color=no "$@" bazel-bin 2>/dev/null
}

# Prints the names of the variants, as lib<NAME>.so has them.
list_variants() {
    run_bazel query --noshow_progress 'filter("^//:lib[^.]*[.]so$", //:all)' 2>/dev/null |
        sort |
        sed 's,^//:lib\(.*\)[.]so$,\1,'
}

# Ends the script with this status unless there is such a variant.
#   require_variant STATUS NAME
require_variant() {
    local names
    names=$(list_variants) || die "bazel cannot read BUILD.bazel"
    if ! grep -qxF -e "$2" <<<"$names"; then
        say "error: no variant is called $2; there are: ${names//$'\n'/ }"
        exit "$1"
    fi
}
