# shellcheck shell=bash disable=SC2034,SC2154
# Debian's redis-server is linked with jemalloc, but calls malloc by its plain name: preloaded
# before jemalloc, hakmem gets the calls. The witness asks jemalloc what it holds.
title="redis-server with redis-benchmark, snapshot by fork"
needs="redis-check-rdb redis-cli redis-benchmark"
main=redis-server

version() {
    (exec -a redis-server redis-check-rdb --version) |
        sed 's/Redis server v=\([^ ]*\).*malloc=\([^ ]*\).*/redis \1 (built for \2)/'
}

# The package redis-tools has the server under the name of a checker; the package redis-server adds
# a link and a service.
program() {
    ln -s "$(command -v redis-check-rdb)" redis-server
    local requests=$((full ? 200000 : 10000)) cli="redis-cli -s $PWD/sock"
    serve ./redis-server --port 0 --unixsocket "$PWD/sock" --save '' --daemonize no --dir "$PWD"
    wait_for $cli ping
    run redis-benchmark -s "$PWD/sock" -n "$requests" -q -d 100 -r 10000 \
        -t set,get,lpush,hset,zadd > /dev/null
    $cli flushall > /dev/null
    python3 "$input/redis_commands.py" $((requests * 2)) | $cli --pipe | tail -1
    $cli dbsize
    $cli debug digest 2> /dev/null || true
    $cli lrange list 0 20
    $cli save
    $cli shutdown nosave || true
    wait
    wc -c < dump.rdb | sed 's/..$//' # its head holds a time
}
