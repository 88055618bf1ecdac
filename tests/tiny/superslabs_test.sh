#!/usr/bin/env bash
# T-38, T-41: bench/compare/superslab_report.py --check on the programs and libraries of this build.
#   superslabs_test.sh PYTHON.SH REPORT.PY PROGRAM LIBRARY
set -euo pipefail
programs=$(dirname "$(dirname "$3")")
libraries=$(dirname "$4")
exec "$1" "$2" --check --bin "$programs" --lib "$libraries"
