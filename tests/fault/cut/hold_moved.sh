#!/bin/sh
# Does what a power cut left of a log that was being recovered, backed up and frozen keep what each command had said?
#   hold_moved.sh GIVEN STATE
# GIVEN holds `bundles` (what was recovered from), `notes` (every answer that the log ever gave), its `key` and `heads`, and `new`, an
# attestation that it does not have. STATE is one of powercut's. Programs are on PATH. Says what does not hold.
. "$(dirname "$0")/hold.sh"
log=$state/disk/log backup=$state/disk/backup restored=$state/restored
marked() { grep -q "^$1\$" "$state/marks"; }

# stands DIR STATUS: it is served with all its answers, and says STATUS to what is new.
stands() {
    serve stele-log "$1" || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
    tries=0
    until curl -sf -o "$state/checkpoint" "$address/checkpoint"; do
        tries=$((tries + 1))
        [ $tries -lt 2000 ] || fail "no head is published any more"
        sleep 0.01
    done
    log_driver check "$address" "$1/policy" "$given/notes" || fail "the log does not hold what it had answered"
    said=$(curl -s -o "$state/body" -w '%{http_code}' --data-binary "@$given/new" "$address/attestations")
    [ "$said" = "$2" ] || fail "what is new gets $said, not $2"
    ended
    stele-log fsck --full "$1" || fail "fsck"
}

# What was not finished is done again.
if ! marked recovered; then
    stele-log recover "$log" "$given/bundles" || fail "recover, again"
fi
if marked backup; then
    stele-log fsck --full "$backup" || fail "fsck of the backup"
    cp -r "$backup" "$restored"
    cp "$given/key" "$given/heads" "$restored"
    stands "$restored" 200
fi
if marked frozen; then
    [ "$(cat "$log/frozen")" = over ] || fail "the note of a frozen log"
fi
if [ -e "$log/frozen" ]; then stands "$log" 410; else stands "$log" 200; fi
