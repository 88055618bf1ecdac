#!/usr/bin/env bash
# python_test.sh NAME: runs the Python test of that name that lies beside this script.
set -euo pipefail

exec python3 "$(dirname "$0")/$1"
