#!/usr/bin/env bash
# make test: every test with SQLite; with the database servers that answer also what needs one, and the
# tests of the store, the API, the engine and the copy once more on each. In CI a server that is missing is a
# failure.
set -euo pipefail
cargo=$1
runner=$2

# Runs tests; $1 says with which database.
run() {
    local store=$1
    shift
    # shellcheck disable=SC2086 # the runner is one word or two
    TEST_STORE=$store $cargo $runner --locked "$@"
}

missing=()
for server in mysql:3306 postgres:5432; do
    (exec 3<> "/dev/tcp/127.0.0.1/${server#*:}") 2> /dev/null || missing+=("${server%:*}")
done
if [ -n "${CI:-}" ] && [ ${#missing[@]} -gt 0 ]; then
    echo "no answer from: ${missing[*]}; make services starts them"
    exit 1
fi

if [ ${#missing[@]} -eq 0 ]; then
    run sqlite
else
    run sqlite -- --skip on_servers
    echo "== SKIPPED: the tests named on_servers, as there is no answer from: ${missing[*]} (make services starts them)"
fi

for kind in mysql postgres; do
    if [[ " ${missing[*]} " == *" $kind "* ]]; then
        echo "== SKIPPED: the tests on $kind (make services starts it)"
    else
        echo "== the same on $kind"
        run "$kind" --lib --test it -- store:: api:: engine:: copy:: --skip on_servers --skip sim_test
    fi
done
