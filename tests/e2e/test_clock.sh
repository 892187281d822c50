#!/bin/sh
# Clocks that jump. A head, or a cosignature, is never signed with a time before the last one; a clock that is far behind signs
# nothing until it is right again; and nothing needs a restart then. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
day=86400

# time_of NAME: the time, in seconds, of the cosignature by NAME on the published checkpoint.
time_of() {
    curl -s "$(url log)/checkpoint" | sed -n "s|^— $1 ||p" | base64 -d 2>/dev/null | od -An -tu1 -j4 -N8 |
        awk '{ t = 0; for (i = 1; i <= 8; i++) t = t * 256 + $i; print t }'
}
# within WHAT LEAST MOST GOT
within() {
    if [ "${4:-0}" -ge "$2" ] && [ "${4:-0}" -le "$3" ]; then ok "$1"; else not_ok "$1: \"${4:-}\", not from $2 to $3"; fi
}
for i in 1 2 3 4 5 6 7 8 9 10; do make_attestation "$W/builder" $((700 + i)) 1 >"$W/c$i"; done

new_log
new_witness w shifted
under w
echo "quorum-timeout-ms 1000" >>"$W/log/config"
serve shifted
status "the control: an attestation is logged" 200 "$(post "$W/c1")"
now=$(date +%s)
within "and cosigned just now" $((now - 60)) "$now" "$(time_of w.example)"

echo "# a little back: a leap, a correction"
first=$(time_of w.example)
shift_clock -200 0
same "200 s back: the log goes on" 200 "$(soon 200 post "$W/c2")"
within "and the witness's time does not go back" "$first" $((first + 60)) "$(time_of w.example)"

echo "# far back"
shift_clock -$day 0
status "a day back: nothing is signed, nothing answered" 503 "$(post "$W/c3")"
says "the log names the clock" 'clock-behind why="the clock is 8[0-9]{4} s behind the last signature: set it right' "$W/run/log.err"
status "what was published is served" 200 "$(get /checkpoint)"
same "as it was" 2 "$(sed -n 2p "$W/body")"
status "the log is not out of order" 200 "$(get /healthz)"
shift_clock 0 0
same "set right: what waited is published, without a restart" 200 "$(soon 200 post "$W/c3")"
same "at its index" "2 " "$(indices)"
same "and it goes on" 200 "$(soon 200 post "$W/c4")"

echo "# a restart behind the last time"
stop log
shift_clock -$day 0
serve shifted
status "the signer's file remembers the time: nothing new is signed" 503 "$(post "$W/c5")"
status "the published head is shown" 200 "$(get /checkpoint)"
stop log

echo "# the witness's clock, alone"
shift_clock 0 0
clock=$W/log-clock
serve shifted
clock=$W/clock
same "the control: with its clock right the log signs" 200 "$(soon 200 post "$W/c5")"
shift_clock -$day 0
status "the witness's is a day back: it cosigns nothing" 503 "$(post "$W/c6")"
at_least "which is its fault" 1 "$(soon_some metric failures_total w)"
says "and named" 'witness-failed witness="?w"? .*clock' "$W/run/log.err"
shift_clock 0 0
clock=$W/log-clock
shift_clock 0 61 # it was told to come again in a minute
same "set right, it does" 200 "$(soon 200 post "$W/c6")"

echo "# what a witness writes a little later waits by no time of day"
kept() { sed -n 2p "$W/w/checkpoints/$(printf %s $origin | sha256sum | cut -c1-64)"; }
same "the control: its file has the last head" 6 "$(soon 6 kept)"
clock=$W/clock
shift_clock 100 0 # the system waits by its own clock, which is back already: for 100 s
same "its clock is 100 s ahead: it cosigns" 200 "$(soon 200 post "$W/c10")"
same "and its file has the new head all the same" 7 "$(soon 7 kept)"
shift_clock 0 0
clock=$W/log-clock

echo "# the monotonic clock may jump as well: a machine that slept"
shift_clock 0 $day
same "a day passes in no time: the log goes on" 200 "$(soon 200 post "$W/c7")"
stop log

echo "# a clock that was ahead, for one head"
minute() { date -u +%Y-%m-%dT%H:%MZ; }
sed -i 's/^quorum w/quorum none/' "$W/log/policy"
clock=$W/log-clock
shift_clock $day 0
serve shifted
same "with a clock a day ahead a head is signed" 200 "$(soon 200 post "$W/c8")"
stop log
shift_clock 0 0
serve shifted
status "set right, nothing is signed for a day" 503 "$(post "$W/c9")"
says "and the way out is named" 'clock-behind why="the clock is 8[0-9]{4} s behind the last signature: set it right.*set-clock' "$W/run/log.err"
refuses "set-clock wants the log stopped" "another process" stele-log set-clock "$W/log" "$(minute)"
stop log
refuses "and a time" "is wanted as" stele-log set-clock "$W/log" tomorrow
refuses "that is this machine's too" "differs" stele-log set-clock "$W/log" 2031-01-01T00:00Z
accepts "a person says what time it is" stele-log set-clock "$W/log" "$(minute)"
says "that changes something" "had a time in the future" "$W/out"
accepts "once" stele-log set-clock "$W/log" "$(minute)"
says "and no more" "nothing to do" "$W/out"
serve shifted
same "then the log goes on" 200 "$(soon 200 post "$W/c9")"
stop log
accepts "and is right" stele-log fsck "$W/log" --full
done_testing
