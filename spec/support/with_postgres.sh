#!/bin/sh
# Runs a command next to a PostgreSQL server of its own, and stops the server after it.
#
#   spec/support/with_postgres.sh make test-run
#
# The server lives in a temporary directory, listens on a Unix socket there and nowhere else, and trusts whoever
# connects, but for the role `heddle_password`. The command finds it by
#
#   HEDDLE_TEST_PG                 libpq conninfo of an empty database, as superuser
#   HEDDLE_TEST_PG_SOCKET          the socket's directory (libpq's host), HEDDLE_TEST_PG_PORT its number
#   HEDDLE_TEST_PG_USER            superuser
#   HEDDLE_TEST_PG_DATABASE        the empty database
#   HEDDLE_TEST_PG_PASSWORD_ROLE   a role that needs a password, HEDDLE_TEST_PG_PASSWORD the password
#   HEDDLE_TEST_PG_PID             process id of the server
#
# With a server already running (HEDDLE_TEST_PG is set), or with HEDDLE_DRIVERS=sqlite, it only runs the command.
set -eu

if [ -n "${HEDDLE_TEST_PG:-}" ] || [ "${HEDDLE_DRIVERS:-}" = sqlite ]; then
    exec "$@"
fi

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ] && command -v pg_config >/dev/null; then
    bin=$(pg_config --bindir)
fi
if [ ! -x "$bin/initdb" ]; then
    echo "with_postgres: PostgreSQL's server is not installed (Debian: postgresql)" >&2
    exit 1
fi

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    as() { runuser -u postgres -- "$@"; }
else
    as() { "$@"; }
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/heddle-pg.XXXXXX")
child=

stop() {
    status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
    fi
    pid=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null || true)
    if [ -n "$pid" ]; then
        kill -INT "$pid" 2>/dev/null || true
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            if [ "$tries" = 200 ]; then
                kill -QUIT "$pid" 2>/dev/null || true
            fi
            sleep 0.05
        done
    fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
fi
chmod 755 "$dir"

export HEDDLE_TEST_PG_SOCKET="$dir"
export HEDDLE_TEST_PG_PORT=5432
export HEDDLE_TEST_PG_USER=heddle
export HEDDLE_TEST_PG_DATABASE=heddle
export HEDDLE_TEST_PG_PASSWORD_ROLE=heddle_password
export HEDDLE_TEST_PG_PASSWORD='open-sesame'

# Whatever libpq would read from the caller's environment stays outside.
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE PGAPPNAME PGPASSFILE 2>/dev/null || true

cd "$dir"
as "$bin/initdb" -D "$dir/data" -U heddle -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 || {
    cat "$dir/initdb.log" >&2
    exit 1
}
{
    echo "local all $HEDDLE_TEST_PG_PASSWORD_ROLE scram-sha-256"
    echo "local all all trust"
} >"$dir/data/pg_hba.conf"
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
port = $HEDDLE_TEST_PG_PORT
max_connections = 100
shared_buffers = 64MB
fsync = off
full_page_writes = off
synchronous_commit = off
autovacuum = off
max_prepared_transactions = 10
timezone = 'Asia/Kolkata'
lc_messages = 'C'
CONF
as "$bin/postgres" -D "$dir/data" >"$dir/server.log" 2>&1 </dev/null &

ready() {
    as "$bin/psql" -X -q -h "$dir" -p $HEDDLE_TEST_PG_PORT -U heddle -d "$1" -c "$2" >/dev/null 2>&1
}
tries=0
until ready postgres "select 1"; do
    tries=$((tries + 1))
    if [ "$tries" = 100 ]; then
        echo "with_postgres: the server does not answer" >&2
        cat "$dir/server.log" >&2
        exit 1
    fi
    sleep 0.1
done
ready postgres "create database $HEDDLE_TEST_PG_DATABASE"
ready postgres "create role $HEDDLE_TEST_PG_PASSWORD_ROLE login password '$HEDDLE_TEST_PG_PASSWORD'"
cd "$OLDPWD"

HEDDLE_TEST_PG_PID=$(head -n 1 "$dir/data/postmaster.pid")
export HEDDLE_TEST_PG_PID
export HEDDLE_TEST_PG="host=$dir port=$HEDDLE_TEST_PG_PORT user=heddle dbname=$HEDDLE_TEST_PG_DATABASE"

# In the background and waited for, so that a signal is acted upon at once.
"$@" <&0 &
child=$!
wait "$child" && status=0 || status=$?
child=
exit "$status"
