# shellcheck shell=bash disable=SC2034,SC2154
title="node: zlib, crypto, buffers, workers"
needs="node"
main=node
optional=1

version() { echo "node $(node --version)"; }

program() { run node "$input/workload.js" $((full ? 20 : 2)); }
