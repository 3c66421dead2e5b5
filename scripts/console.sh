#!/usr/bin/env bash
# make console: builds web/dist, which the next cargo build takes into the binary; does nothing when it
# is newer than every source. Where it cannot be built it says why in two lines and fails; with --optional
# (make start, build, quick, release) the server is then built without it, or with the page of last time.
set -uo pipefail
cd "$(dirname "$0")/../web" || exit 1
optional=${1:-}

without() { # what is the matter, what mends it
    printf 'console: %s\nconsole: %s\n' "$1" "$2" >&2
    [ "$optional" = --optional ] && exit 0
    exit 1
}

# A folder is newer when a file in it went.
newer() { find src public scripts index.html openapi.json package.json package-lock.json vite.config.ts tsconfig.json -newer "$1" -print -quit; }
[ -f dist/index.html ] && [ -z "$(newer dist/index.html)" ] && exit 0

# What Vite asks for, here to be said in words.
hint="install Node 20.19 or newer (https://nodejs.org, or your system's packages nodejs and npm), then: make console"
command -v node > /dev/null && command -v npm > /dev/null || without "the page is not built: Node is missing" "$hint"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    without "the page is not built: Node $(node --version) is too old" "$hint"

# npm writes this file when it is done; a broken installation has none.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo "console: npm ci"
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error ||
        without "the page is not built: npm ci failed" "it needs the network once; what it said stands above"
    touch node_modules/.package-lock.json
fi
echo "console: npm run build"
# Vite empties dist first: what fails leaves no half of a page.
npm run --silent build || { rm -rf dist; without "the page is not built: npm run build failed" "what it said stands above"; }
