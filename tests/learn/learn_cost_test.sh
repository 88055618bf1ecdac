#!/usr/bin/env bash
# The bound of bench/compare/learn_cost.py on the programs and the library of this build: one
# percent more instructions, also where a hot size gets its class meanwhile.
#   learn_cost_test.sh PYTHON.SH LEARN_COST.PY PROGRAM LIBRARY
set -euo pipefail
programs=$(dirname "$(dirname "$3")")
"$1" "$2" --check 1 --bin "$programs" --library "hakmem=$PWD/$4" --scale 40 \
    --rows replace_10k,random_mixed \
    --also "exact exact_528 liveset --rows=liveset_100k --rounds=1 --ops=8m --min=528 --max=528"
