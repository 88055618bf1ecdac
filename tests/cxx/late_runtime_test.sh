#!/usr/bin/env bash
# A failing operator new throws through a C++ runtime that was loaded late and locally, and says so
# where there is none. Arguments: libhakmem.so, late_host, the plugin, no_runtime.
set -euo pipefail

library=$(realpath "$1")
host=$(realpath "$2")
plugin=$(realpath "$3")
no_runtime=$(realpath "$4")

echo "late and local runtime"
LD_PRELOAD=$library "$host" "$plugin"

echo "no runtime"
status=0
message=$(LD_PRELOAD=$library "$no_runtime" 2>&1) || status=$?
if [[ $status -ne 134 ]]; then
    echo "no_runtime ended with $status instead of 134 (abort): $message" >&2
    exit 1
fi
expected='^hakmem\[[0-9]+\]: operator new\(1152921504606846976\): out of memory, '
expected+='and no C\+\+ runtime'
if ! grep -Eq "$expected" <<<"$message"; then
    echo "unexpected message: $message" >&2
    exit 1
fi
echo "passed"
