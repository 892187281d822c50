#!/bin/sh
# stele-log and witnesses that lie, break or are not there: each costs nothing but itself, and is named in log lines and metrics.
# By counting, not by the clock: what would have waited for a witness would have asked it again. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

slow='hang mute drip'
# NAME REASON: why a cosignature of it does not count, as the log's operator reads it.
wrong() {
    cat <<'END'
ahead it claims size 1000000000, beyond our head
liar (409 with the old size that it was given|answers 409 in a row)
garbage (malformed|not|no )
later HTTP status 429: later
elsewhere signature
fork signature
otherkey signature
stale it cosigned with a time 1[0-9]{5} s behind ours
future it cosigned with a time [0-9]{5} s ahead of ours
huge more than 65536 bytes
headers headers do not end
interim headers do not end
redirect HTTP status 302
closes add-checkpoint
babble add-checkpoint
END
}
modes="$slow $(wrong | cut -d' ' -f1)"

fake_witness key good.example/witness "$W/good"
start good fake_witness serve "$W/good" good
fake_witness key typed.example/witness "$W/typed"
start typed fake_witness serve "$W/typed" typed
lines=$(for mode in $modes; do
    fake_witness key "$mode.example/witness" "$W/key-$mode"
    start "$mode" fake_witness serve "$W/key-$mode" "$mode"
    echo "witness $mode $(cat "$W/key-$mode.pub") $(url "$mode")"
done)

echo "# all of them beside one that is good"
# Any of them but the one that calls its cosignature a picture would be enough, if it said what counts.
new_log "witness good $(cat "$W/good.pub") $(url good)" "witness typed $(cat "$W/typed.pub") $(url typed)" "$lines" \
    "$(echo "group some any good $modes" | tr '\n' ' ')" "quorum some"
accepts "the log starts" serve shifted
make_attestation "$W/builder" 100 100 >"$W/load"
accepts "100 attestations, one after another, are answered" log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 1
log_driver check "$(url log)" "$W/log/policy" "$W/notes" >"$W/out" 2>&1
same "all of them are there" 100 "$(cat "$W/out")"
same "no cosignature counts but the good ones', whatever they call it" 3 "$(soon 3 signatures)"
at_least "the good witness was asked for each" 100 "$(counts good | cut -d' ' -f1)"
same "over one connection" 1 "$(metric connections_total good)"
for mode in $slow; do
    at_most "$mode: nobody waited for it: it was asked but once or twice" 10 "$(metric requests_total "$mode")"
    same "$mode: no cosignature" 0 "$(metric cosignatures_total "$mode")"
done
for mode in $(wrong | cut -d' ' -f1); do
    same "$mode: no cosignature" 0 "$(metric cosignatures_total "$mode")"
    at_least "$mode: counted as its fault" 1 "$(soon_some metric failures_total "$mode")"
    says "$mode: named with the reason" "witness-failed witness=\"?$mode\"? .*$(wrong | sed -n "s/^$mode //p")" "$W/run/log.err"
done
same "the one that names another path is not followed there" 0 "$(counts redirect | cut -d' ' -f3)"
at_least "the one that claims more than there is, is counted as such" 1 "$(metric ahead_total ahead)"
same "the one with another time is told by how much" yes "$([ "$(metric clock_ahead_seconds stale)" -lt -172700 ] && echo yes)"
same "the one that says when to come again is asked once" 1 "$(counts later | cut -d' ' -f1)"
shift_clock 0 3500
for mode in $slow; do
    at_least "$mode: when its time is over it is counted as its fault" 1 "$(soon_some metric failures_total "$mode")"
    says "$mode: named with the reason" "witness-failed witness=\"?$mode\"? .*Timeout" "$W/run/log.err"
done
same "the one that said when to come again was left alone until then" 1 "$(counts later | cut -d' ' -f1)"
shift_clock 0 3700
same "an hour later that one is asked again" 2 "$(soon 2 sh -c "curl -s '$(url later)/counts' | cut -d' ' -f1")"
status "and all goes on" 200 "$(post "$W/e0")"
asked=$(counts good | cut -d' ' -f1)
shift_clock 600 4400
at_least "an idle log's head is cosigned again after ten minutes" $((asked + 1)) \
    "$(soon $((asked + 1)) sh -c "curl -s '$(url good)/counts' | cut -d' ' -f1")"
stop log
rm "$W/clock"

echo "# where one of them is wanted, nothing is published"
new_log "witness good $(cat "$W/good.pub") $(url good)" "$lines" "quorum good"
echo "quorum-timeout-ms 300" >>"$W/log/config"
serve
for mode in garbage elsewhere fork otherkey stale future; do
    sed -i "/^group\|^quorum/d" "$W/log/policy"
    printf 'group both all good %s\nquorum both\n' $mode >>"$W/log/policy"
    kill -HUP "$(cat "$W/run/log.pid")"
    same "$mode: nothing is shown" 503 "$(soon 503 get /checkpoint)"
    status "$mode: nothing is answered" 503 "$(post "$W/e1")"
done
sed -i "/^group\|^quorum/d" "$W/log/policy"
echo "quorum good" >>"$W/log/policy"
kill -HUP "$(cat "$W/run/log.pid")"
same "the control: without them it is" 200 "$(soon 200 post "$W/e1")"
stop log
for mode in good typed $modes; do stop "$mode"; done

echo "# witnesses that name other sizes"
fake_witness key back.example/witness "$W/back"
start back fake_witness serve "$W/back" back
new_log "witness back $(cat "$W/back.pub") $(url back)" "quorum back"
serve
status "a witness that names other sizes first is brought up from each" 200 "$(post "$W/e0")"
stop log
stop back
serve
status "what was under quorum is served at once after a restart, witness or none" 200 "$(get /checkpoint)"
status "and answered" 200 "$(post "$W/e0")"
same "as before" "0 " "$(indices)"
stop log
rm "$W/log/checkpoint"
serve
status "without the note that shows it, it is not" 503 "$(get /checkpoint)"
stop log
done_testing
