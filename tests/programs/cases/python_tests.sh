# shellcheck shell=bash disable=SC2034,SC2154
# Python's own tests of its collector, its threads and of fork. They print times, so what is compared
# is the result line.
title="python3 -m test test_gc test_threading test_multiprocessing_fork"
needs="python3"
main=python3

version() { python3 --version; }

program() {
    if [[ ! -e /usr/lib/python3.11/test/test_gc.py && ! -e $(python3 -c 'import os; print(os.path.dirname(os.__file__))')/test/test_gc.py ]]; then
        echo "python3 has no test modules: install libpython3.11-testsuite" >&2
        return 1
    fi
    if ((full)); then
        run timeout 500 python3 -m test test_gc test_threading test_multiprocessing_fork > log 2>&1 ||
            { cat log >&2 && return 1; }
    else
        run timeout 100 python3 -m test test_gc > log 2>&1 || { cat log >&2 && return 1; }
        run timeout 100 python3 -m test test_threading -m 'ThreadTests' > log 2>&1 || { cat log >&2 && return 1; }
        run timeout 100 python3 -m test test_multiprocessing_fork -m '*TestQueue*' > log 2>&1 ||
            { cat log >&2 && return 1; }
    fi
    grep -E '^Result: |^== Tests result' log | sort -u
}
