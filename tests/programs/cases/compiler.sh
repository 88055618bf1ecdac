# shellcheck shell=bash disable=SC2034,SC2154
title="g++ -O2 on a template-heavy file"
needs="g++ sha256sum"
main=cc1plus

version() { g++ --version | head -1; }

program() {
    run g++ -O2 -std=c++17 -DDEPTH=$((full ? 200 : 25)) -S -o out.s "$input/templates.cc"
    sha256sum < out.s
    run g++ -O1 -std=c++17 -DDEPTH=10 -o program "$input/templates.cc"
    run ./program
}
