#!/bin/sh
# Counts machine instructions and allocations instead of time, on SQLite: what the floor and Heddle spend on a row,
# compared with what they spent when bench/instructions.txt was written.
#
#   make instructions                          LUA=lua5.4 by default; LUA=luajit has figures of its own
#   make instructions STORE=1                  writes bench/instructions.txt
#   bench/instructions.sh W1 W3                some of the workloads W1 W2 W3 W5 W6 W7 W8 W9
#   OUT=profiles bench/instructions.sh W1      keeps callgrind's files, for callgrind_annotate
#
# One run behind one that warms up, counted by callgrind inside of bench.clock's measured_call and nowhere else. Unlike
# a clock this gives the same figure on a busy machine, for everybody and in every directory: the environment is empty,
# the time stands still (steady.c), and the C library takes the code that every processor can run instead of the best
# for this one.
set -eu
cd "$(dirname "$0")/.."

LUA=${LUA:-lua5.4}
workloads=${*:-W1 W2 W3 W5 W6 W7 W8 W9}
command -v valgrind >/dev/null || { echo "instructions: valgrind is not installed" >&2; exit 1; }
make --no-print-directory -s LUA="$LUA" bench-build

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
out=${OUT:-$temp}
mkdir -p "$out"

# Names of the same length wherever this runs: where strings lie in memory is a part of what is counted.
plain="-AVX2,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-ERMS,-FSRM"
alike() {
    env -i PATH=/usr/bin:/bin GLIBC_TUNABLES=glibc.cpu.hwcaps="$plain" LD_PRELOAD="./build/$LUA/bench/steady.so" \
        LUA_PATH="./?.lua;./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/$LUA/?.so;;" "$@"
}

lua=$(command -v "$LUA")
valgrind=$(command -v valgrind)

# count FILE WORKLOAD CONTENDER BALLAST
count() {
    alike "$valgrind" --tool=callgrind --instr-atstart=no --collect-atstart=no --toggle-collect=measured_call \
        --callgrind-out-file="$1" "$lua" bench/main.lua --driver=sqlite --workload="$2" --contender="$3" \
        --ballast="$4" --runs=1 --gc=incremental >"$temp/log" 2>&1 || {
        cat "$temp/log" >&2
        exit 1
    }
}

counted() {
    sed -n 's/^totals: *//p' "$1"
}

for workload in $workloads; do
    count "$out/$workload.floor" "$workload" floor 0
    count "$out/$workload.heddle" "$workload" heddle 0
done

# What is counted besides our own code; other versions, other counts.
versions="$(uname -m) $("$LUA" -v 2>&1 | awk '{ print $1 "-" $2 }') $(getconf GNU_LIBC_VERSION | tr ' ' -)"
versions="$versions sqlite-$(sed -n 's/^SQLite \([0-9.]*\).*/\1/p' "$temp/log")"
versions="$versions $(basename "${CC:-gcc}")-$("${CC:-gcc}" -dumpfullversion -dumpversion)"
compare() {
    # shellcheck disable=SC2086
    LUA_PATH="./?.lua;;" "$LUA" bench/instructions.lua "$LUA" "$out" "$versions" $workloads
}

status=0
ABOVE="$temp/above" compare >"$temp/said" || status=$?
if [ "$status" != 1 ] || [ ! -s "$temp/above" ]; then
    cat "$temp/said"
    exit "$status"
fi
while read -r workload contender; do
    echo "$workload $contender is above what is stored: counted again with the collector elsewhere"
    for ballast in 300 700; do
        count "$temp/again" "$workload" "$contender" "$ballast"
        if [ "$(counted "$temp/again")" -lt "$(counted "$out/$workload.$contender")" ]; then
            mv "$temp/again" "$out/$workload.$contender"
        fi
    done
done <"$temp/above"
compare
