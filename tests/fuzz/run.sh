#!/bin/sh
# Every fuzz target, or those named, under libFuzzer for SECONDS each, from its committed corpus. What is new on the way stays in
# build/fuzz/seen/NAME for the next run; an input that is a finding stays beside it.
#   run.sh SECONDS [NAME...]
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
found=0
for name in "$@"; do
    seen=build/fuzz/seen/$name
    mkdir -p "$seen"
    if "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -artifact_prefix="$seen-" "$seen" \
        "tests/fuzz/corpus/$name" >"$seen.log" 2>&1; then
        echo "$name: clean, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$seen.log") runs"
    else
        tail -n 40 "$seen.log"
        found=$((found + 1))
    fi
done
[ $found -eq 0 ] || { echo "$found targets with a finding" && exit 1; }
echo "every target ran $seconds s without a finding"
