#!/usr/bin/env bash
# Runs a Python script as a test: python.sh SCRIPT [ARGS]. Debian's own interpreter, since another
# one found first on the PATH may be built in its own way.
set -euo pipefail
python=/usr/bin/python3
[[ -x $python ]] || python=$(command -v python3) || {
    echo "python3 is not installed: tools/setup.sh test installs it" >&2
    exit 2
}
exec "$python" "$@"
