# shellcheck shell=bash disable=SC2034,SC2154
# Python's own tests of its collector, its threads and of fork. They print times, so what is
# compared is the result line.
title="python3 -m test test_gc test_threading test_multiprocessing_fork"
needs="python3"
main=python3

version() { python3 --version; }

# Prints how Python's test runner ended, or all it said if it failed.
python_test() {
    if ! run timeout 500 python3 -m test "$@" > log 2>&1; then
        cat log >&2
        return 1
    fi
    grep -E '^(== )?(Tests r|R)esult: ' log
}

program() {
    if ! python3 -c 'import test.test_gc' 2> /dev/null; then
        echo "python3 has no test modules: install libpython3.11-testsuite" >&2
        return 1
    fi
    if ((full)); then
        python_test test_gc test_threading test_multiprocessing_fork
    else
        python_test test_gc
        python_test test_threading -m ThreadTests
        python_test test_multiprocessing_fork -m '*TestQueue*'
    fi
}
