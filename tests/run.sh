#!/bin/sh
# Runs the tests and counts them. Test programs speak TAP; the last line is "N passed, N failed[, N skipped]".
#   run.sh                    everything, plain and under the sanitizers
#   run.sh only PROGRAM...    these programs alone
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
: >"$out/all"
jobs=$(nproc 2>/dev/null || echo 2)
: "${PATIENCE_S:=400}"

# one NAME COMMAND...: runs a TAP test, shows what is not "ok", and counts. A test that dies counts as failed.
one() {
    name=$1
    shift
    # Nothing here takes minutes: what hangs is ended, and counted as failed.
    timeout -k 10 "$PATIENCE_S" "$@" >"$out/one" 2>"$out/err"
    code=$?
    # cmocka writes a skipped test as "not ok N # SKIP name".
    grep -E '^[[:space:]]*(ok|not ok) ' "$out/one" | sed -E 's/^[[:space:]]*//; s/^not ok ([0-9]+) # SKIP/ok \1 # SKIP/' >"$out/tap"
    grep -q '^not ok ' "$out/tap" || { [ $code -eq 0 ] || echo "not ok - $name ended with status $code" >>"$out/tap"; }
    [ -s "$out/tap" ] || echo "not ok - $name ran no test" >>"$out/tap"
    cat "$out/tap" >>"$out/all"
    printf '%-44s %s\n' "$name" "$(count "$out/tap")"
    grep -h -E '^# .*(cases|SKIP)|SKIPPED' "$out/one" "$out/err" | sed 's/^/    /'
    if grep -q '^not ok ' "$out/tap"; then
        sed 's/^/    /' "$out/one" | grep -v '^    *ok ' | tail -n 60
        sed 's/^/    /' "$out/err" | tail -n 60
    fi
}

count() {
    awk '/^ok .*# SKIP/ { s++; next } /^ok / { p++; next } /^not ok / { f++ }
         END { printf "%d passed, %d failed", p, f; if (s) printf ", %d skipped", s; print "" }' "$1"
}

export CMOCKA_MESSAGE_OUTPUT=TAP
if [ "${1:-}" = only ]; then
    shift
    for program in "$@"; do one "$(basename "$program")" "$program"; done
else
    for build in plain asan; do
        echo "building $build"
        make -s -j"$jobs" BUILD=$build check-build >"$out/make" 2>&1 || {
            cat "$out/make"
            echo "not ok - the $build build" >>"$out/all"
            continue
        }
        for program in build/$build/tests/unit/test_* build/$build/tests/unit/vectors_*; do
            case $program in *.o | *.d) continue ;; esac
            one "$build $(basename "$program")" "$program"
        done
        for program in build/$build/tests/fuzz/fuzz_*; do
            case $program in *.o | *.d) continue ;; esac
            one "$build $(basename "$program")" tests/fuzz/replay.sh "$program"
        done
        for script in tests/e2e/test_*.sh; do
            [ -e "$script" ] || continue
            one "$build $(basename "$script")" env STELE_BUILD="$PWD/build/$build" "$script"
        done
    done
    # Faults are injected with strace, which the sanitizers do not live under.
    for script in tests/fault/test_*.sh; do
        [ -e "$script" ] || continue
        one "fault $(basename "$script")" env STELE_BUILD="$PWD/build/plain" FAULT=short "$script"
    done
    echo "building sim"
    if make -s -j"$jobs" BUILD=sim build/sim/tests/sim/sim >"$out/make" 2>&1; then
        one test_sim.sh env STELE_BUILD="$PWD/build/sim" tests/sim/test_sim.sh
    else
        cat "$out/make"
        echo "not ok - the sim build" >>"$out/all"
    fi
    for script in tests/interop/test_*.sh; do
        [ -e "$script" ] || continue
        one "$(basename "$script")" env STELE_BUILD="$PWD/build/plain" "$script"
    done
    for script in tests/unit/check_*.sh; do
        [ -e "$script" ] || continue
        one "$(basename "$script")" "$script"
    done
fi
count "$out/all"
! grep -q '^not ok ' "$out/all"
