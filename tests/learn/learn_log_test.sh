#!/usr/bin/env bash
# Runs a Python test: Debian's Bazel finds no Python rules offline.
set -euo pipefail
exec python3 "$1" "$2"
