#!/usr/bin/env bash
# See that PostgreSQL, MariaDB, Redis, Chromium and valgrind are installed for the tests; install them where we can.
set -euo pipefail

export PATH="$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec"
missing=()
command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ||
    compgen -G '/usr/pgsql-*/bin/postgres' >/dev/null || missing+=(postgresql)
command -v mariadbd >/dev/null || command -v mysqld >/dev/null || missing+=(mariadb-server)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
[ ${#missing[@]} -eq 0 ] && exit 0

install="install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "the tests need programs that are not installed: ${missing[*]}. On Debian or Ubuntu, as root: apt-get $install" >&2
    exit 1
fi
echo "installing ${missing[*]} …"
patient=(-o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)  # of a mirror, and of whoever installs something else
apt-get "${patient[@]}" update -qq
DEBIAN_FRONTEND=noninteractive apt-get "${patient[@]}" $install >/dev/null
