#!/bin/sh
# Does what a power cut left of a log keep every promise that the log had made?
#   hold_log.sh GIVEN STATE
# GIVEN holds what the operator wrote (GIVEN/policy, builders: lines to add), what `init` had written (GIVEN/init), and envelopes to
# log, old ones and new. STATE is one of powercut's. Programs are on PATH. Says what does not hold.
. "$(dirname "$0")/hold.sh"
log=$state/disk/log

# shown: the newest head is published again, by and by.
shown() {
    tries=0
    until curl -sf -o "$state/checkpoint" "$address/checkpoint"; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || return 1
        sleep 0.01
    done
}

half_made stele-log "$log"
as_init_wrote "$log" key.pub policy builders config
powercut signer "$log/key" "$log/heads" log "$state/shown" || fail "the signer"
cat "$given/policy" >>"$log/policy"
cat "$given/builders" >>"$log/builders"
serve stele-log "$log" || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
shown || fail "no head is published any more"
log_driver check "$address" "$log/policy" "$state/notes" || fail "the log does not hold what it had answered"
# It goes on: what is known keeps its index, what is new gets one.
log_driver load "$address" "$log/policy" "$given/more" "$state/more" 1 || fail "the log takes nothing any more"
cat "$state/more" >>"$state/notes"
log_driver check "$address" "$log/policy" "$state/notes" || fail "the log does not hold what it answers now"
ended
stele-log fsck --full "$log" || fail "fsck"
