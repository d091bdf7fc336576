#!/bin/bash
# A PostgreSQL primary and standbys that stream from it, for specs of read replicas: cluster.lua calls this.
#
#   cluster.sh create              makes the primary in a temporary directory, starts it and prints the directory
#   cluster.sh standby DIR NAME    copies the primary as a standby and starts it
#   cluster.sh start DIR NAME      starts a server and waits until it takes connections
#   cluster.sh stop DIR NAME MODE  stops it: "fast" says goodbye, "immediate" crashes it
#   cluster.sh promote DIR NAME    makes a standby a primary of its own
#   cluster.sh keep DIR            waits for the end of its input, then stops every server and removes the directory
#
# A server NAME has its data in DIR/NAME and its number in DIR/NAME.port; its socket, the only way to it, is in DIR.
set -eu

# What the caller has open must not stay open in a server: `keep` waits for the end of a pipe.
for fd in /proc/$$/fd/*; do
    fd=${fd##*/}
    if [ "$fd" -gt 2 ] && [ "$fd" != 255 ]; then eval "exec $fd>&-"; fi # 255 is this script
done

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ] && command -v pg_config >/dev/null; then
    bin=$(pg_config --bindir)
fi

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    as() { runuser -u postgres -- "$@"; }
else
    as() { "$@"; }
fi

action=$1
dir=${2:-}
name=${3:-}

unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSERVICE PGOPTIONS PGSSLMODE PGAPPNAME PGPASSFILE 2>/dev/null || true

start() {
    as "$bin/pg_ctl" -D "$dir/$name" -l "$dir/$name.log" -o "-c port=$(cat "$dir/$name.port")" -w -s start </dev/null >/dev/null ||
        { cat "$dir/$name.log" >&2; exit 1; }
}

case $action in
create)
    dir=$(mktemp -d "${TMPDIR:-/tmp}/heddle-cluster.XXXXXX")
    name=primary
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
    chmod 755 "$dir"
    cd "$dir"
    as "$bin/initdb" -D "$dir/primary" -U heddle -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; exit 1; }
    cat >>"$dir/primary/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 40
shared_buffers = 16MB
fsync = off
full_page_writes = off
autovacuum = off
wal_level = replica
max_wal_senders = 8
wal_keep_size = 64MB
wal_retrieve_retry_interval = 50ms
max_standby_streaming_delay = 0
lc_messages = 'C'
CONF
    echo 5432 >primary.port
    start
    echo "$dir"
    ;;
standby)
    cd "$dir"
    as "$bin/pg_basebackup" -D "$dir/$name" -R -c fast -X stream -h "$dir" -p "$(cat primary.port)" -U heddle --no-sync \
        >"$dir/basebackup.log" 2>&1 || { cat "$dir/basebackup.log" >&2; exit 1; }
    echo $((5433 + $(find "$dir" -maxdepth 1 -name 'standby*.port' | wc -l))) >"$name.port"
    start
    ;;
start)
    cd "$dir"
    start
    ;;
stop)
    cd "$dir"
    as "$bin/pg_ctl" -D "$dir/$name" -m "$4" -w -s stop
    ;;
promote)
    cd "$dir"
    as "$bin/pg_ctl" -D "$dir/$name" -w -s promote
    ;;
keep)
    trap '' INT TERM HUP
    cat >/dev/null
    cd "$dir"
    for pid in "$dir"/*/postmaster.pid; do
        [ ! -f "$pid" ] || as "$bin/pg_ctl" -D "${pid%/*}" -m immediate -w -s stop || true
    done
    cd /
    rm -rf "$dir"
    ;;
esac
