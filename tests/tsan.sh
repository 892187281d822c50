#!/bin/sh
# `make tsan`: tests that load the servers and the gate with threads, on programs that watch themselves for data races. Ends with
# "N passed, N failed", where a race counts as failed, whatever the test itself said.
set -u
cd "$(dirname "$0")/.." || exit 1
reports=$(mktemp -d) || exit 1
trap 'rm -rf "$reports"' EXIT
[ $# -gt 0 ] || set -- build/tsan/tests/unit/test_signer build/tsan/tests/unit/test_http \
    build/tsan/tests/unit/test_http_client build/tsan/tests/unit/test_http_stream build/tsan/tests/unit/test_http_calls \
    build/tsan/tests/unit/test_index build/tsan/tests/unit/test_kv build/tsan/tests/unit/test_seen \
    build/tsan/tests/unit/test_gate_ahead build/tsan/tests/unit/test_gate_lookups tests/e2e/test_log.sh tests/e2e/test_witnesses.sh tests/e2e/test_lookups.sh tests/e2e/test_admission.sh tests/e2e/test_rollback.sh \
    tests/e2e/test_witness_logs.sh tests/e2e/test_witness_bastion.sh tests/e2e/test_gate.sh tests/e2e/test_gate_ahead.sh tests/e2e/test_gate_lookups.sh \
    tests/e2e/test_deliver.sh
passed=0 failed=0
for test in "$@"; do
    rm -f "$reports"/*
    STELE_BUILD=$PWD/build/tsan TSAN_OPTIONS="log_path=$reports/race suppressions=$PWD/tests/tsan.txt" CMOCKA_MESSAGE_OUTPUT=TAP \
        timeout -k 10 900 "$test" >"$reports/out" 2>&1
    code=$?
    races=$(cat "$reports"/race* 2>/dev/null | grep -c '^WARNING: ThreadSanitizer')
    if [ $code -eq 0 ] && [ "$races" -eq 0 ]; then
        passed=$((passed + 1))
        echo "$test"
    else
        failed=$((failed + 1))
        echo "$test: status $code, $races races"
        cat "$reports"/race* 2>/dev/null | grep -A 12 '^WARNING: ThreadSanitizer' | head -n 60
        grep '^not ok' "$reports/out"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
