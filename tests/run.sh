#!/bin/sh
# Runs the tests, one for each processor side by side, and counts them: test programs speak TAP. They are told in the order of the
# list, whichever ends first; the last line is "N passed, N failed[, N skipped]".
#   run.sh                    everything, plain and under the sanitizers
#   run.sh only PROGRAM...    these programs alone, on the build STELE_BUILD
# JOBS: how many at once; PATIENCE_S: after how long one of them hangs; FAULT: long, for all of the faults.
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
: >"$out/list"
: >"$out/0.tap" # of what is no test of its own
processors=$(nproc 2>/dev/null || echo 2)
jobs=${JOBS:-$processors}
[ "$jobs" -le 16 ] || jobs=16 # free_port has ports for as many
export CMOCKA_MESSAGE_OUTPUT=TAP FAULT="${FAULT:-short}" PATIENCE_S="${PATIENCE_S:-900}"

# build NAME TARGET: makes it; one that fails counts as a failed test.
build() {
    echo "building $1"
    make -s -j"$processors" BUILD="$1" "$2" >"$out/make" 2>&1 && return 0
    cat "$out/make"
    echo "not ok - the $1 build" >>"$out/0.tap"
    return 1
}

# add BUILD PROGRAM...: to the list, a line "NUMBER BUILD PROGRAM" each. What make leaves beside a program is none.
add() {
    add_build=$1
    shift
    for program in "$@"; do
        case $program in *.o | *.d | *'*'*) continue ;; esac
        echo "$(($(wc -l <"$out/list") + 1)) $add_build $program" >>"$out/list"
    done
}

# in_order: prints the reports of the numbers that come in, each when all before it are printed.
in_order() {
    next=1
    while read -r _; do
        while [ -e "$out/$next.report" ]; do
            cat "$out/$next.report"
            next=$((next + 1))
        done
    done
}

if [ "${1:-}" = only ]; then
    shift
    add "${STELE_BUILD:-$PWD/build/plain}" "$@"
else
    b=$PWD/build
    build plain check-build && add "$b/plain" tests/unit/check_*.sh build/plain/tests/unit/test_* build/plain/tests/unit/vectors_* \
        build/plain/tests/fuzz/fuzz_* tests/fault/test_*.sh tests/interop/test_*.sh tests/e2e/test_*.sh
    build sim build/sim/tests/sim/sim && add "$b/sim" tests/sim/test_sim.sh
    # No faults: they are injected with strace, which the sanitizers do not live under.
    build asan check-build && add "$b/asan" build/asan/tests/unit/test_* build/asan/tests/unit/vectors_* build/asan/tests/fuzz/fuzz_* \
        tests/e2e/test_*.sh
fi
xargs -r -a "$out/list" -P "$jobs" --process-slot-var=STELE_SLOT -L 1 tests/one.sh "$out" | in_order
while read -r number _ program; do
    [ -e "$out/$number.report" ] || echo "not ok - $program ended without a report" | tee -a "$out/0.tap"
done <"$out/list"
cat "$out"/*.tap >"$out/all"
awk -f tests/count.awk "$out/all"
! grep -q '^not ok ' "$out/all"
