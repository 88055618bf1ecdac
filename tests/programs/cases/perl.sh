# shellcheck shell=bash disable=SC2034,SC2154
title="perl: hashes, regular expressions, sort, fork"
needs="perl"
main=perl

version() { perl -e 'printf "perl %vd\n", $^V'; }

program() {
    PERL_HASH_SEED=0 run perl "$input/workload.pl" $((full ? 10 : 1))
}
