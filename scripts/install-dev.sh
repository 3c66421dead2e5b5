#!/usr/bin/env bash
# make install-dev: what tests and reports use, where it is missing.
set -euo pipefail
cargo=$1 llvm=$2

tool() { # the cargo command, its crate
    if "$cargo" "$1" --version >/dev/null 2>&1; then
        echo "cargo $1: is there"
    else
        "$cargo" install --locked "$2"
    fi
}
tool nextest cargo-nextest
tool llvm-cov cargo-llvm-cov
tool deny cargo-deny

if [ -x "/usr/lib/llvm-$llvm/bin/llvm-cov" ]; then
    echo "llvm-$llvm: is there"
elif rustup component list --installed 2>/dev/null | grep -q llvm-tools; then
    echo "llvm-tools of rustup: is there"
elif command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -q && apt-get install -y -q --no-install-recommends "llvm-$llvm"
else
    echo "for coverage, install LLVM $llvm: rustup component add llvm-tools, or sudo apt-get install llvm-$llvm"
fi
