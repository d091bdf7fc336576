#!/bin/sh
# LuaJIT's table beside 5.4's: Heddle's multiples of the floor, each interpreter's of its own floor.
#
#   bench/both.sh                                       everything
#   bench/both.sh --driver=sqlite --workload=W1,W3      arguments of bench/main.lua
#
# The goal: LuaJIT's multiple is at most 1.3 times 5.4's.
set -eu
cd "$(dirname "$0")/.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
for lua in lua5.4 luajit; do
    make --no-print-directory -s LUA=$lua bench BENCH="--json --contender=floor,heddle $*" >"$temp/$lua"
done

figures() {
    grep '"contender":"Heddle"' "$1" |
        sed -nE 's/.*"driver":"([a-z]+)".*"ratio":([0-9.]+),.*"seconds":([0-9.e-]+),.*"workload":"(W[0-9a-z]+)".*/\1-\4 \2 \3/p' | sort
}

figures "$temp/lua5.4" >"$temp/a"
figures "$temp/luajit" >"$temp/b"
printf '%-14s %10s %10s %10s %12s %12s\n' "" "5.4" LuaJIT "of 5.4's" "5.4, ms" "LuaJIT, ms"
join "$temp/a" "$temp/b" | awk '{
    of = $4 / $2
    printf "%-14s %10.2f %10.2f %10.2f %12.2f %12.2f  %s\n", $1, $2, $4, of, $3 * 1000, $5 * 1000, of <= 1.3 ? "met" : "missed"
    met += of <= 1.3
} END { printf "%d of %d goals are met\n", met, NR }'
