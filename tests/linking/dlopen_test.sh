#!/usr/bin/env bash
# args: the library, dlopen_test.py. Debian's python, whatever else is first in the PATH.
set -euo pipefail
exec /usr/bin/python3 "$2" "$1"
