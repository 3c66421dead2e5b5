#!/usr/bin/env bash
# make migrate-create NAME=add_owner: an empty migration with the next number in the folder of every
# database. The numbers are the same everywhere (docs/ARCHITECTURE.md).
set -euo pipefail
name=${1:-}
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] || { echo "say what it does: make migrate-create NAME=add_owner (a-z, 0-9, _)"; exit 1; }
cd "${MIGRATIONS:-$(dirname "$0")/../migrations}"
last=$(find . -name '[0-9]*.sql' -printf '%f\n' | sort -n | tail -n 1)
number=$(printf '%04d' $((10#${last%%_*} + 1)))
for folder in */; do
    file=$folder${number}_$name.sql
    [ ! -e "$file" ] || { echo "$file is there already"; exit 1; }
    echo "-- ${name//_/ }" > "$file"
    echo "migrations/$file"
done
