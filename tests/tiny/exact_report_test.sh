#!/usr/bin/env bash
# bench/compare/exact_report.py --check on the program and the library of this build.
#   exact_report_test.sh PYTHON.SH REPORT.PY PROGRAM LIBRARY
set -euo pipefail
programs=$(dirname "$(dirname "$3")")
"$1" "$2" --check --bin "$programs" --hakmem "$PWD/$4" --rounds=1 --ops=20000 \
    --sizes=528,592 --out "$TEST_TMPDIR/exact"
[[ -s $TEST_TMPDIR/exact/exact.csv && -s $TEST_TMPDIR/exact/exact.svg ]]
