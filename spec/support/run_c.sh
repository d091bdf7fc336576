#!/bin/sh
# Runs cmocka programs and writes one line for each test to $RESULTS/c.tsv:
#     pass|fail|error <tab> program <tab> name
set -eu

mkdir -p "$RESULTS"
out="$RESULTS/c.tsv"
: >"$out"
log="$RESULTS/c.log"
failed=0

for program in "$@"; do
    name=${program##*/}
    status=0
    CMOCKA_MESSAGE_OUTPUT=TAP timeout --foreground -k 10 "${C_TIMEOUT:-300}" "$program" >"$log" 2>&1 || status=$?
    awk -v program="$name" '
        /^ok [0-9]+ - / && / # SKIP/ { next }
        /^ok [0-9]+ - / { sub(/^ok [0-9]+ - /, ""); print "pass\t" program "\t" $0 }
        /^not ok [0-9]+ - / { sub(/^not ok [0-9]+ - /, ""); print "fail\t" program "\t" $0 }
    ' "$log" >>"$out"
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$log" | head -n 1)
    ran=$(grep -cE '^(not )?ok [0-9]+ - ' "$log" || true)
    if [ "$status" = 0 ] && [ "${planned:-none}" = "$ran" ]; then
        echo "$name: $ran passed"
        continue
    fi
    failed=1
    cat "$log"
    echo "$name: FAILED (status $status)"
    if ! grep -q "^fail	$name	" "$out"; then
        printf 'error\t%s\tended with status %d after %s of %s tests\n' "$name" "$status" "$ran" "${planned:-?}" >>"$out"
    fi
done
exit "$failed"
