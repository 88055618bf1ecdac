# shellcheck shell=bash disable=SC2034,SC2154
title="git: clone, gc, fsck, log of a local repository"
needs="git"
main=git

version() { git --version; }

program() {
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    export GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=author@example.org
    export GIT_COMMITTER_NAME=author GIT_COMMITTER_EMAIL=author@example.org
    local i commits=$((full ? 300 : 40))
    run git init -q -b main origin
    for ((i = 1; i <= commits; i++)); do
        seq $((i * 7)) $((i * 9 + 2000)) > "origin/file$((i % 23))"
        run git -C origin add -A
        GIT_AUTHOR_DATE="@$((1000000000 + i)) +0000" \
            GIT_COMMITTER_DATE="@$((1000000000 + i)) +0000" \
            run git -C origin commit -q -m "change $i"
    done
    run git clone -q "file://$PWD/origin" copy
    run git -C copy -c gc.autoDetach=false gc --aggressive --quiet --prune=now
    run git -C copy fsck --full --strict
    run git -C copy log --stat | sha256sum
    run git -C copy rev-parse HEAD
    run git -C copy grep -c 777 HEAD~30 | sort | head -20
}
