#!/bin/sh
# Runs the example until Ctrl-C, or for DEMO_SECONDS: `make openresty-demo`.
#
#   PORT               of 127.0.0.1, 8080
#   DB_URL             users; a PostgreSQL of its own when it is not set
#   DB_SECONDARY_URL   their analytics; a SQLite file of its own when it is not set
#   NGINX              which nginx, when it is not in the path
#
# nginx has its prefix in a temporary directory, which is gone afterwards.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ -z "${DB_URL:-}" ]; then
    if [ -z "${HEDDLE_TEST_PG:-}" ]; then
        exec env -u HEDDLE_DRIVERS "$root/spec/support/with_postgres.sh" "$0"
    fi
    host=$(echo "$HEDDLE_TEST_PG_SOCKET" | sed 's,/,%2F,g')
    DB_URL="postgres://$HEDDLE_TEST_PG_USER@$host:$HEDDLE_TEST_PG_PORT/$HEDDLE_TEST_PG_DATABASE"
fi

port=${PORT:-8080}
PATH=$PATH:/usr/sbin:/usr/local/openresty/nginx/sbin
nginx=${NGINX:-$(command -v nginx || command -v openresty || true)}
if [ -z "$nginx" ]; then
    echo "There is no nginx here (Debian: nginx-light libnginx-mod-http-lua)" >&2
    exit 1
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/heddle-openresty.XXXXXX")
master=
pause=
stop() {
    status=$?
    trap - EXIT INT TERM HUP
    for pid in $pause $master; do kill "$pid" 2>/dev/null || true; done
    if [ -n "$master" ]; then wait "$master" || true; fi
    rm -rf "$dir"
    exit "$status"
}
trap stop EXIT
trap 'exit 0' INT TERM HUP

export DB_URL
export DB_SECONDARY_URL="${DB_SECONDARY_URL:-sqlite:$dir/analytics.db}"
export LUA_PATH="$root/lua/?.lua;$root/lua/?/init.lua;;" LUA_CPATH="$root/build/luajit/?.so;;"

# Links, so that what is edited here is what nginx reads when it is told to (kill -HUP).
mkdir "$dir/tmp"
for file in "$here"/*.lua "$here/entities" "$here/migrations" "$here/public"; do ln -s "$file" "$dir/"; done
"$nginx" -V 2>&1 | grep -qi openresty && built_in='/^load_module/d' || built_in=
sed -e "s/127\.0\.0\.1:8080/127.0.0.1:$port/" -e "$built_in" "$here/nginx.conf" >"$dir/nginx.conf"

echo "The schema of both databases:"
(cd "$dir" && luajit "$root/lua/heddle/cli/heddle" migrate --all)

# Started by root, workers are root's too: www-data may read neither somebody's checkout nor this directory.
[ "$(id -u)" = 0 ] && user='user root;' || user=
"$nginx" -p "$dir" -e stderr -c "$dir/nginx.conf" -g "daemon off; $user" &
master=$!
until [ -s "$dir/nginx.pid" ]; do
    kill -0 "$master" 2>/dev/null || exit 1
    sleep 0.05
done

echo
echo "The page:  http://127.0.0.1:$port/"
echo "The API:   curl http://127.0.0.1:$port/api/users"
if [ -n "${DEMO_SECONDS:-}" ]; then
    echo "It ends in $DEMO_SECONDS seconds."
    sleep "$DEMO_SECONDS" &
    pause=$!
    wait "$pause"
else
    echo "Ctrl-C ends it."
    wait "$master"
fi
