#!/usr/bin/env bash
# What make proof needs beside the toolchain, from Debian's packages; what is there is left alone. The database
# servers and Chromium come as the other tests have them.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v strace > /dev/null || missing+=(strace)
command -v zstd > /dev/null || missing+=(zstd)
command -v flock > /dev/null || missing+=(util-linux)
ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1 || missing+=(faketime)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "install these first, or run this as root: ${missing[*]}"; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
./web-tools.sh
./services.sh
