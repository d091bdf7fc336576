#!/bin/sh
# Runs a script of this directory beside a PostgreSQL server, with a directory for what it starts:
#     bench/openresty/run.sh main.lua --runs=3
set -eu
cd "$(dirname "$0")/../.."

HEDDLE_TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/heddle-bench.XXXXXX")
export HEDDLE_TEST_TMP
trap 'rm -rf "$HEDDLE_TEST_TMP"' EXIT
script=$1
shift
LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;" LUA_CPATH="$PWD/build/luajit/?.so;;" \
    spec/support/with_postgres.sh luajit "bench/openresty/$script" "$@"
