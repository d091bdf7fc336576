#!/bin/sh
# Runs nginx in a directory that has an nginx.conf (with `daemon off`), until it ends, or until standard input does: with
# the process that started it. The exit status stands in the file `status` then.
#
#   spec/support/nginx.sh directory
set -u

PATH=$PATH:/usr/sbin
exec 3<&0
nginx -p "$1" -e error.log -c nginx.conf >"$1/output" 2>&1 </dev/null 3<&- &
master=$!
{
    cat <&3 >/dev/null
    kill -TERM "$master" 2>/dev/null
} &
wait "$master"
echo $? >"$1/status.new"
kill $! 2>/dev/null
mv "$1/status.new" "$1/status"
