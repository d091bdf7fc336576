#!/bin/sh
# Counts machine instructions instead of time, on SQLite: what the floor and Heddle spend on a row.
#
#   bench/instructions.sh                      LUA=lua5.4 by default
#   bench/instructions.sh W1 W3                some of the workloads W1 W2 W3 W7
#   OUT=profiles bench/instructions.sh W1      keeps callgrind's files, for callgrind_annotate
#
# One run behind one that warms up, counted by callgrind inside of bench.clock's measured_call and nowhere else.
# Unlike a clock this gives the same figure on a busy machine; what remains of chance, the seed of Lua's
# string hash, is taken out by a constant time and a fixed layout of memory.
set -eu
cd "$(dirname "$0")/.."

LUA=${LUA:-lua5.4}
command -v valgrind >/dev/null || { echo "instructions: valgrind is not installed" >&2; exit 1; }
make --no-print-directory -s LUA="$LUA" bench-build

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
out=${OUT:-$temp}
mkdir -p "$out"

echo '#include <time.h>
time_t time(time_t *t) { if (t) *t = 1500000000; return 1500000000; }' >"$temp/time.c"
${CC:-cc} -shared -fPIC -o "$temp/time.so" "$temp/time.c"

count() {
    env -i PATH="$PATH" LD_PRELOAD="$temp/time.so" \
        LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/$LUA/?.so;;" \
        valgrind --tool=callgrind --collect-atstart=no --toggle-collect=measured_call \
        --callgrind-out-file="$out/$1.$2" "$LUA" bench/main.lua \
        --driver=sqlite --workload="$1" --contender="$2" --runs=1 --gc=incremental >"$temp/log" 2>&1 || {
        cat "$temp/log" >&2
        exit 1
    }
    awk '$1 == "totals:" { print $2 }' "$out/$1.$2" | grep -v '^0$' || {
        echo "instructions: $2 did not run" >&2
        cat "$temp/log" >&2
        exit 1
    }
}

rows() {
    case $1 in
        W1 | W3) echo 10000 ;;
        W2) echo 5000 ;;
        W7) echo 2000 ;;
        *) echo "instructions: what is '$1'? W1, W2, W3, W7" >&2; exit 2 ;;
    esac
}

printf '%-4s %16s %16s %8s\n' "" "floor, a row" "Heddle, a row" ratio
for workload in ${@:-W1 W2 W3 W7}; do
    rows=$(rows "$workload")
    floor=$(count "$workload" floor)
    heddle=$(count "$workload" heddle)
    awk -v name="$workload" -v rows="$rows" -v floor="$floor" -v heddle="$heddle" 'BEGIN {
        printf "%-4s %16.0f %16.0f %8.2f\n", name, floor / rows, heddle / rows, heddle / floor }'
done
