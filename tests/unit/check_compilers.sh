#!/bin/sh
# gcc builds the tests; clang must take every source without a warning, too. TAP.
cd "$(dirname "$0")/../.." || exit 1
flags=$(make -s print-warnings)
warned=
for source in $(ls lib/*.c lib/sys/*.c log/*.c witness/*.c client/*.c tests/unit/*.c tests/fuzz/*.c tests/e2e/*.c tests/bench/*.c tests/fault/*.c tests/fault/cut/*.c tests/preload/*.c tests/conformance/*.c tests/*.c); do
    # shellcheck disable=SC2086 # a list of words
    clang -fsyntax-only -std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSTELE_VERSION='""' -I. $flags "$source" || warned="$warned $source"
done
if [ -n "$flags" ] && [ -z "$warned" ]; then
    echo "ok 1 - clang builds everything without a warning"
else
    echo "not ok 1 - clang warns of:$warned"
fi
echo 1..1
