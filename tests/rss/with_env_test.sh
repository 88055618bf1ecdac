#!/usr/bin/env bash
# Runs a test program under another setting.
#   with_env_test.sh [--as KIB] [NAME=VALUE...] PROGRAM [ARGS]
# --as limits the address space, as RLIMIT_AS does for a service.
set -euo pipefail
if [[ $1 == --as ]]; then
    ulimit -v "$2"
    shift 2
fi
exec env "$@"
