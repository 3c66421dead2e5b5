#!/usr/bin/env bash
# make dev: builds and starts the server, and again whenever a source changes. What does not build
# leaves the running server alone; Ctrl-C ends both.
set -u
cd "$(dirname "$0")/.." || exit
cargo=${1:-cargo} target=${2:-target}
stamp=$(mktemp)
server=

stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null
        wait "$server" 2>/dev/null
    fi
    server=
}
trap 'stop; rm -f "$stamp"; exit 0' INT TERM

changed() {
    find src migrations web/dist workers Cargo.toml Cargo.lock config.toml -newer "$stamp" -print -quit 2>/dev/null
}

while :; do
    touch "$stamp"
    if "$cargo" build --locked; then
        stop
        "$target/debug/timerjobs" start &
        server=$!
    else
        echo "dev: it does not build; the server before the change goes on"
    fi
    while what=$(changed); [ -z "$what" ]; do
        # In the background, so that a signal is heard at once.
        sleep 1 &
        wait $!
    done
    echo "dev: $what changed"
done
