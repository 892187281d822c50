#!/bin/sh
# Every fuzz target under libFuzzer for SECONDS each, from its committed corpus; what it finds goes to build/fuzz.
# A target is linked with lib/; what else it needs stands in its first comment: " * link: lib/sys/x.c -lx".
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
mkdir -p build/fuzz
flags="-g -O1 -std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    mkdir -p "build/fuzz/$name"
    more=$(sed -n 's|^ \* link: \(.*[^ ]\) \*/$|\1|p' "$source")
    # shellcheck disable=SC2086 # lists of words
    clang $flags -o "build/fuzz/$name.bin" "$source" lib/*.c $more -ljansson -lsodium -lnettle
    if "build/fuzz/$name.bin" -max_total_time="$seconds" -max_len=65536 -artifact_prefix="build/fuzz/$name-" "build/fuzz/$name" \
        "tests/fuzz/corpus/${name#fuzz_}" >"build/fuzz/$name.log" 2>&1; then
        echo "$name: clean, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "build/fuzz/$name.log") runs"
    else
        tail -n 40 "build/fuzz/$name.log"
        exit 1
    fi
done
echo "every target ran $seconds s without a finding"
