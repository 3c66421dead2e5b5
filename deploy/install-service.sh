#!/bin/sh
# Installs TimerJobs as a systemd service: user, binary, settings, unit. Run again after a new build;
# settings and data stay as they are. With DESTDIR it only lays the files out beneath that folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
user=timerjobs

fail() { echo "install-service: $*" >&2; exit 1; }

# In a clone the build, in an unpacked release the program beside this folder.
binary=
for candidate in "${BINARY:-}" "$here/../timerjobs"; do
    if [ -f "$candidate" ] && [ -x "$candidate" ]; then binary=$candidate; break; fi
done
[ -n "$binary" ] || fail "there is no program to install; make build first, or name one: BINARY=/path/to/timerjobs"

# What `install` is told of the owner: nothing with DESTDIR.
set --
if [ -z "$DESTDIR" ]; then
    [ "$(id -u)" = 0 ] || fail "needs root: sudo make install-service"
    command -v systemctl >/dev/null || fail "this machine has no systemd; start the program with your own init (timerjobs start -f)"
    if ! getent passwd $user >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/timerjobs --no-create-home --shell /usr/sbin/nologin $user
        echo "user $user: made"
    fi
    set -- -o root -g $user
fi

install -D -m 0755 "$binary" "$DESTDIR$PREFIX/bin/timerjobs"
echo "$PREFIX/bin/timerjobs: $("$binary" version)"

install -d -m 0755 "$DESTDIR/etc/timerjobs"
if [ -e "$DESTDIR/etc/timerjobs/config.toml" ]; then
    echo "/etc/timerjobs/config.toml: kept"
else
    install -m 0640 "$@" "$here/config.toml" "$DESTDIR/etc/timerjobs/config.toml"
    echo "/etc/timerjobs/config.toml: new"
fi
# systemd reads it as root and hands it to the service; nobody else needs to.
if [ ! -e "$DESTDIR/etc/timerjobs/environment" ]; then
    (umask 077 && printf '%s\n' '# Secrets, a line each: DATABASE_URL=...' > "$DESTDIR/etc/timerjobs/environment")
    echo "/etc/timerjobs/environment: new, for secrets"
fi
"$binary" config check --config "$DESTDIR/etc/timerjobs/config.toml" >/dev/null || fail "mend the settings first"

install -d -m 0755 "$DESTDIR/etc/systemd/system"
sed "s|/usr/local/bin/|$PREFIX/bin/|" "$here/timerjobs.service" > "$DESTDIR/etc/systemd/system/timerjobs.service.new"
chmod 0644 "$DESTDIR/etc/systemd/system/timerjobs.service.new"
mv "$DESTDIR/etc/systemd/system/timerjobs.service.new" "$DESTDIR/etc/systemd/system/timerjobs.service"
echo "/etc/systemd/system/timerjobs.service: installed"

[ -z "$DESTDIR" ] || exit 0
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if systemctl is-active --quiet timerjobs; then
        echo "it runs with the program before: systemctl restart timerjobs"
        exit 0
    fi
fi
echo "start it: systemctl enable --now timerjobs"
