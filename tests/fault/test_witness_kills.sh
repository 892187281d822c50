#!/bin/sh
# A witness killed under load, at any moment and at each system call that matters, with logs that fork whenever they can: every
# cosignature ever received is held against all others (tests/fault/witness_kills.c). TAP.
. "$(dirname "$0")/lib.sh"
world
export WITNESS_ERRORS="$W/errors"

# run WHAT MODE ARGUMENTS...: in a folder of its own; what it counted is shown.
run() {
    what=$1 mode=$2
    shift 2
    rm -rf "$W/kills"
    mkdir "$W/kills"
    : >"$W/errors"
    accepts "$what" witness_kills "$mode" "$W/kills" "$@"
    grep '^# ' "$W/out"
}

if short; then kills=60 calls=2; else kills=600 calls=40; fi
run "killed at any moment, $kills times" random $kills
if can_trace; then
    # The signer's file and its answers; the server's answers, its notes on disk, its threads' waits.
    for call in pwrite64 fdatasync write read sendmsg; do
        run "killed at its calls of $call" inject $call signal=KILL $calls
    done
    for error in EIO ENOSPC; do
        for call in pwrite64 fdatasync; do
            run "$error from $call" inject $call error=$error $calls
        done
    done
    if ! short; then
        for call in openat rename epoll_wait futex mmap; do
            run "killed at its calls of $call" inject $call signal=KILL $calls
        done
        for call in openat rename write fsync; do
            run "ENOSPC from $call" inject $call error=ENOSPC $calls
        done
    fi
else
    skipped "killed at its system calls" "strace cannot trace here"
fi
done_testing
