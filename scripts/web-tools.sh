#!/usr/bin/env bash
# What make test-web needs beside the toolchain: Node, Debian's Chromium, and a font with Chinese in it, so
# that the pages are as wide as they are for people. What is there is left alone; the rest is installed
# from Debian's packages, in one go.
set -euo pipefail

missing=()
command -v node > /dev/null && command -v npm > /dev/null || missing+=(nodejs npm)
command -v chromium > /dev/null || missing+=(chromium)
command -v fc-list > /dev/null && [ -n "$(fc-list :lang=zh-cn)" ] || missing+=(fontconfig fonts-wqy-zenhei)
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "install these first, or run this as root: ${missing[*]}"; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
echo "node $(node --version), $(chromium --version 2> /dev/null)"
