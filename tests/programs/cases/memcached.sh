# shellcheck shell=bash disable=SC2034,SC2154
title="memcached, four worker threads, eight clients"
needs="memcached python3"
main=memcached
optional=1

version() { memcached -V; }

program() {
    # It refuses to run as root without -u.
    local user=()
    if ((EUID == 0)); then user=(-u root); fi
    serve memcached -s "$PWD/sock" -t 4 -m 64 "${user[@]}"
    wait_for test -S sock
    python3 "$input/memcached_client.py" "$PWD/sock" $((full ? 20000 : 2000))
    kill "$(tail -1 "$work/servers")"
    wait || true
}
