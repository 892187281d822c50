#!/bin/sh
# Does what a power cut left of a witness keep every promise that the witness had made?
#   hold_witness.sh GIVEN STATE
# GIVEN/init holds what `init` had written, GIVEN/logs what `stele-witness logs` said when a log had been added. STATE is one of
# powercut's. Programs are on PATH. Says what does not hold.
. "$(dirname "$0")/hold.sh"
witness=$state/disk/w

half_made stele-witness "$witness"
as_init_wrote "$witness" key.pub config
if grep -q '^add-log$' "$state/marks"; then
    stele-witness logs "$witness" >"$state/logs" 2>&1 || fail "the list of logs: $(cat "$state/logs")"
    cmp -s "$state/logs" "$given/logs" || fail "the log that was added is not in the list"
fi
powercut signer "$witness/key" "$witness/heads" witness "$state/shown" || fail "the signer"
serve stele-witness "$witness" || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
curl -sf -o "$state/health" "$address/healthz" || fail "it is not well"
ended
