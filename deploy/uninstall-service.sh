#!/bin/sh
# Removes what install-service.sh installed. Settings and data stay unless PURGE=1.
set -eu
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
user=timerjobs

if [ -z "$DESTDIR" ]; then
    [ "$(id -u)" = 0 ] || { echo "uninstall-service: needs root: sudo make uninstall-service" >&2; exit 1; }
    if [ -d /run/systemd/system ] && systemctl cat timerjobs >/dev/null 2>&1; then
        systemctl disable --now timerjobs
    fi
fi
rm -f "$DESTDIR/etc/systemd/system/timerjobs.service" "$DESTDIR$PREFIX/bin/timerjobs"
[ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "removed: the unit and $PREFIX/bin/timerjobs"

if [ "${PURGE:-}" = 1 ]; then
    rm -rf "$DESTDIR/etc/timerjobs" "$DESTDIR/var/lib/timerjobs"
    if [ -z "$DESTDIR" ] && getent passwd $user >/dev/null; then userdel $user; fi
    echo "removed: settings, data and the user $user"
else
    echo "kept: /etc/timerjobs, /var/lib/timerjobs and the user $user (PURGE=1 deletes them)"
fi
