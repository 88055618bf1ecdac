# shellcheck shell=bash disable=SC2034,SC2154
title="bash: many forks, pipes, here-documents"
needs="bash sed awk sort"
main=bash

version() { bash --version | head -1; }

program() { run bash "$input/forks.sh" $((full ? 2000 : 200)); }
