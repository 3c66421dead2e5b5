#!/usr/bin/env bash
# make release: packs the binary that it is given. The same commit gives the same bytes but for the
# binary itself.
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")/.."
name=timerjobs-$(scripts/version.sh)-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/$name" dist
install -m 0755 "$binary" "$stage/$name/timerjobs"
cp -r README*.md CHANGELOG.md LICENSE docs deploy "$stage/$name"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
    -C "$stage" -cf - "$name" | gzip -9n > "dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
echo "dist/$name.tar.gz"
