#!/usr/bin/env bash
# make security-scan: licences, bans and sources need no network; the list of known holes does.
set -euo pipefail
cargo=$1
"$cargo" deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: make install-dev"; exit 1; }
"$cargo" deny --locked check licenses bans sources
if "$cargo" deny --locked fetch db 2>/dev/null; then
    "$cargo" deny --locked check advisories
else
    echo "advisories NOT CHECKED: the database of known holes (github.com/rustsec/advisory-db) cannot be reached"
fi
