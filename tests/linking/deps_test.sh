#!/usr/bin/env bash
# What a service links is our own: no test library, nothing of tests or benchmarks.
# args: output of a query
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

if ! grep -q '^//front:' "$1"; then
    fail "the query does not look like the dependencies of //:hakmem"
fi
bad=$(grep -E '^@(gtest|absl)|^//(tests|bench|examples)' "$1" || true)
expect_same "no test library behind //:hakmem" "" "$bad"
finish
