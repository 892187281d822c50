#!/bin/sh
# gcc builds the tests; clang must take every source without a warning, too. TAP.
cd "$(dirname "$0")/../.." || exit 1
flags=$(make -s print-warnings)
warned=
for source in $(ls lib/*.c lib/sys/*.c log/*.c witness/*.c client/*.c tests/unit/*.c tests/fuzz/*.c tests/e2e/*.c tests/bench/*.c tests/fault/*.c tests/fault/cut/*.c tests/vectors/*.c tests/preload/*.c tests/sim/*.c tests/conformance/*.c tests/*.c); do
    case $source in tests/preload/*) gnu=-D_GNU_SOURCE ;; *) gnu= ;; esac # as they are built
    # shellcheck disable=SC2086 # a list of words
    clang -fsyntax-only -std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSTELE_VERSION='""' -I. $gnu $flags "$source" || warned="$warned $source"
done
if [ -n "$flags" ] && [ -z "$warned" ]; then
    echo "ok 1 - clang builds everything without a warning"
else
    echo "not ok 1 - clang warns of:$warned"
fi
echo 1..1
