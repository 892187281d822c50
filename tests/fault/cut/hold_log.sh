#!/bin/sh
# Does what a power cut left of a log keep every promise that the log had made?
#   hold_log.sh GIVEN STATE
# GIVEN holds what the operator wrote (GIVEN/policy, builders: lines to add), what `init` had written (GIVEN/init), and two
# envelopes to log, one old, one new. STATE is one of powercut's. Programs are on PATH. Says what does not hold.
set -u
given=$1 state=$2
log=$state/disk/log

fail() {
    echo "$*"
    [ -z "${server:-}" ] || kill -KILL "$server" 2>/dev/null
    exit 1
}

# serve_log: until it listens; its address is in $address. A failure is its own status, never a signal.
serve_log() {
    : >"$state/serve.out"
    stele-log serve "$log" --listen 127.0.0.1:0 >"$state/serve.out" 2>"$state/serve.err" &
    server=$!
    tries=0
    until address=$(sed -n 's/^listening on //p' "$state/serve.out") && [ -n "$address" ]; do
        tries=$((tries + 1))
        if ! kill -0 "$server" 2>/dev/null; then
            wait "$server"
            code=$?
            server=
            return $code
        fi
        [ $tries -lt 2000 ] || return 99
        sleep 0.01
    done
}

# shown: the newest head is published again, by and by.
shown() {
    tries=0
    until curl -sf -o "$state/checkpoint" "$address/checkpoint"; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || return 1
        sleep 0.01
    done
}

# Before `init` has said that it is done nothing is promised, but that whoever serves the folder learns what is wrong with it.
if ! grep -q '^init$' "$state/marks"; then
    serve_log
    code=$?
    [ -z "${server:-}" ] || kill -KILL "$server"
    [ $code -le 4 ] || fail "half of a new log: serve ends with status $code: $(tail -n 3 "$state/serve.err")"
    exit 0
fi
for file in key.pub policy builders config; do
    cmp -s "$log/$file" "$given/init/$file" || fail "$file is not what init wrote"
done
powercut signer "$log/key" "$log/heads" log "$state/shown" || fail "the signer"
cat "$given/policy" >>"$log/policy"
cat "$given/builders" >>"$log/builders"
serve_log || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
shown || fail "no head is published any more"
log_driver check "$address" "$log/policy" "$state/notes" || fail "the log does not hold what it had answered"
# It goes on: what is known keeps its index, what is new gets one.
log_driver load "$address" "$log/policy" "$given/more" "$state/more" 1 || fail "the log takes nothing any more"
cat "$state/more" >>"$state/notes"
log_driver check "$address" "$log/policy" "$state/notes" || fail "the log does not hold what it answers now"
kill -TERM "$server"
wait "$server" || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
server=
stele-log fsck --full "$log" || fail "fsck"
