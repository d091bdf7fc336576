#!/bin/sh
# Runs the specs: LUA BUILD RESULTS [SPEC_RESULTS SANITIZE CC] run_lua.sh [busted's arguments]
#
# What became of each stands in $RESULTS/$SPEC_RESULTS.tsv afterwards (specs.tsv).
#
# Specs find in the environment: HEDDLE_TEST_TMP (a directory for each process, removed afterwards),
# HEDDLE_TEST_LUA (the command of an interpreter that can load this build, for child processes), and the
# PostgreSQL server of with_postgres.sh.
set -eu

mkdir -p "$RESULTS"
results="$RESULTS/${SPEC_RESULTS:-specs}.tsv"
rm -f "$results"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/heddle-spec.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

HEDDLE_TEST_LUA=$LUA
if [ -n "${SANITIZE:-}" ]; then
    # LuaJIT keeps its objects where the leak checker does not look.
    leaks=1
    if [ "$LUA" = luajit ]; then leaks=0; fi
    ASAN_OPTIONS="detect_leaks=$leaks:detect_stack_use_after_return=0:suppressions=$PWD/spec/support/addresses.supp:${ASAN_OPTIONS:-}"
    # Looking into the thread's storage of libraries that were loaded late, the checker itself crashes now and then
    # ("Tracer caught signal 11"); nothing of ours is there.
    LSAN_OPTIONS="use_tls=0:suppressions=$PWD/spec/support/leaks.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
    UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
    export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
    # keep_loaded.so takes LD_PRELOAD out of the environment again, so that children run without.
    preload="$($CC -print-file-name=libasan.so):$($CC -print-file-name=libubsan.so):$PWD/build/support/keep_loaded.so"
    HEDDLE_TEST_LUA="env LD_PRELOAD=$preload $LUA"
fi
SPEC_PART="$RESULTS/part.$$.tsv"
export HEDDLE_TEST_TMP HEDDLE_TEST_LUA SPEC_PART

# The specs of one process, beside those of others; what a run that broke off, or that broke at its end (a leak), leaves
# behind counts as a failure too.
run() {
    status=0
    rm -f "$SPEC_PART"
    HEDDLE_TEST_TMP=$(mktemp -d "$scratch/XXXXXX")
    timeout --foreground -k 10 "${SPEC_TIMEOUT:-900}" $HEDDLE_TEST_LUA spec/support/busted.lua "$@" || status=$?
    touch "$SPEC_PART"
    if [ "$(tail -n 1 "$SPEC_PART")" != end ]; then
        printf 'error\t-\t0\tthe run broke off with status %d\n' "$status" >>"$SPEC_PART"
        echo "The run broke off with status $status." >&2
        status=1
    elif [ "$status" != 0 ] && ! grep -q '^\(fail\|error\)' "$SPEC_PART"; then
        printf 'error\t-\t0\tthe interpreter ended with status %d\n' "$status" >>"$SPEC_PART"
        echo "Every spec passed, but the interpreter ended with status $status." >&2
    fi
    sed '/^end$/d' "$SPEC_PART" >>"$results"
    rm -f "$SPEC_PART"
    if [ "$status" != 0 ]; then failed=1; fi
}

failed=0
for last in "$@"; do :; done
if [ "$last" != spec ]; then
    run "$@"
    exit "$failed"
fi

# All of them: some files a process. What a file leaves in memory until its process ends would make every collection of
# garbage slower in those that come after it.
FILES=25
# These measure the process that they run in.
ALONE=spec/stream_memory_spec.lua
options=${*%spec}
files=$(ls spec/*_spec.lua | grep -vxF "$ALONE")
count=$(echo "$files" | wc -l)
first=1
while [ "$first" -le "$count" ]; do
    # shellcheck disable=SC2046,SC2086
    run $options $(echo "$files" | sed -n "$first,$((first + FILES - 1))p")
    first=$((first + FILES))
done
for file in $ALONE; do
    # shellcheck disable=SC2086
    run $options "$file"
done
exit "$failed"
