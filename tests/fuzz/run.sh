#!/bin/sh
# Every fuzz target, or those named, under libFuzzer for SECONDS each, as many at once as there are cores, from its committed corpus.
# What is new on the way stays in build/fuzz/seen/NAME for the next run; an input that is a finding stays beside it.
#   run.sh SECONDS [NAME...]
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||')
if [ $# -gt 1 ]; then
    printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 tests/fuzz/run.sh "$seconds" || { echo "there is a finding" && exit 1; }
    echo "every target ran $seconds s without a finding"
    exit 0
fi
seen=build/fuzz/seen/$1
mkdir -p "$seen"
if "build/fuzz/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=65536 -artifact_prefix="$seen-" "$seen" "tests/fuzz/corpus/$1" \
    >"$seen.log" 2>&1; then
    echo "$1: clean, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$seen.log") runs"
else
    tail -n 40 "$seen.log"
    echo "$1: a finding"
    exit 1
fi
