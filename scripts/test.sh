#!/usr/bin/env bash
# make test: every test with SQLite, then those of the store, the API, the engine and the copy once more
# on each database server that answers. In CI a server that is missing is a failure.
set -euo pipefail
cargo=$1
runner=$2

# shellcheck disable=SC2086 # the runner is one word or two
$cargo $runner --locked

for server in mysql:3306 postgres:5432; do
    kind=${server%:*} port=${server#*:}
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
        echo "== the same on $kind"
        # shellcheck disable=SC2086
        TEST_STORE=$kind $cargo $runner --locked --lib --test it -- store:: api:: engine:: copy::
    elif [ -n "${CI:-}" ]; then
        echo "$kind does not answer on port $port: make services starts it"
        exit 1
    else
        echo "== SKIPPED: the tests on $kind, as nothing answers on port $port (make services starts it)"
    fi
done
