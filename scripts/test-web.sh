#!/usr/bin/env bash
# make test-web: the console's modules in vitest, then its pages in Chromium, each worker with a server of
# its own on a free port and an empty folder.
set -euo pipefail
cargo=$1 target=$2
cd "$(dirname "$0")/.."
command -v chromium > /dev/null || { echo "chromium is missing: make web-tools"; exit 1; }
# The tests of make check and this binary share their features only when they are built together; alone, the
# binary would be compiled a second time.
"$cargo" build --locked --bin timerjobs --test it
binary=$(realpath "$target/debug/timerjobs")
cd web
npm test --silent
TIMERJOBS_BIN=$binary npx --no-install playwright test
