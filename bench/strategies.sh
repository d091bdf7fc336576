#!/bin/sh
# Strategy "joined" beside "select_in" on both databases: see strategies.lua. LUA=lua5.4 by default.
set -eu
cd "$(dirname "$0")/.."

LUA=${LUA:-lua5.4}
make --no-print-directory -s LUA="$LUA" bench-build

HEDDLE_TEST_TMP=$(mktemp -d)
export HEDDLE_TEST_TMP
trap 'rm -rf "$HEDDLE_TEST_TMP"' EXIT
LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/$LUA/?.so;;" \
    spec/support/with_postgres.sh "$LUA" bench/strategies.lua
