#!/usr/bin/env bash
# Runs the Python tests that lie beside this script.
set -euo pipefail

exec python3 "$(dirname "$0")/tables_test.py"
