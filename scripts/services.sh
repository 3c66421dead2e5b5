#!/usr/bin/env bash
# make services: the database servers of the tests, MariaDB and PostgreSQL, on loopback, with an empty
# database `test`. What runs is left alone; what is missing is installed from Debian's packages.
set -euo pipefail

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

wait_for() {
    for _ in $(seq 150); do
        answers "$1" && return
        sleep 0.2
    done
    echo "$2 was started and does not answer on port $1"
    exit 1
}

packages() {
    [ "$(id -u)" = 0 ] || { echo "install these first, or run this as root: $*"; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" > /dev/null
}

if ! answers 3306; then
    command -v mariadbd > /dev/null || packages mariadb-server
    mkdir -p /run/mysqld
    chown mysql:mysql /run/mysqld
    start-stop-daemon --start --oknodo --background --exec "$(command -v mariadbd)" -- --user=mysql
    wait_for 3306 MariaDB
fi
# Over the socket root needs no password; the tests come over TCP.
mariadb --protocol=tcp -h 127.0.0.1 -u root -e "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4" 2> /dev/null ||
    mariadb -e "ALTER USER root@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD('') OR unix_socket;
                CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4"
echo "MariaDB answers on port 3306"

if ! answers 5432; then
    command -v pg_ctlcluster > /dev/null || packages postgresql
    version=$(find /etc/postgresql -mindepth 1 -maxdepth 1 -printf "%f\n" | sort -n | tail -n 1)
    # For a server that only tests use, and only on this machine.
    sed -i -E 's/^(host +all +all +(127\.0\.0\.1\/32|::1\/128) +).*/\1trust/' "/etc/postgresql/$version/main/pg_hba.conf"
    pg_ctlcluster --skip-systemctl-redirect "$version" main start
    wait_for 5432 PostgreSQL
fi
psql -q -h 127.0.0.1 -U postgres -tc "SELECT 1 FROM pg_database WHERE datname = 'test'" | grep -q 1 ||
    psql -q -h 127.0.0.1 -U postgres -c "CREATE DATABASE test"
echo "PostgreSQL answers on port 5432"
