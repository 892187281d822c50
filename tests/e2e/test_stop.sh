#!/bin/sh
# SIGTERM under load: stele-log answers what it has taken, and takes nothing that it does not answer. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

figure() { sed -n "s/^$1 //p" "$W/run/posts.out"; }
new_log
new_witness w1 || exit 1
under w1
make_attestation "$W/builder" 0 18000 >"$W/many"
accepts "the log starts" serve
for round in 1 2 3; do
    before=$(curl -s "$(url log)/checkpoint" | sed -n 2p)
    : >"$W/run/posts.out"
    sed -n "$((round * 6000 - 5999)),$((round * 6000))p" "$W/many" |
        http_driver posts "$(url log | sed 's/.*://')" 64 "$(cat "$W/run/log.pid")" >"$W/run/posts.out" 2>"$W/run/posts.err" &
    load=$!
    wait "$(cat "$W/run/log.pid")"
    same "round $round: SIGTERM ends it cleanly" 0 $?
    wait $load
    if [ "$(figure taken)" -ge 100 ] && [ "$(figure taken)" -lt 5900 ]; then ok "  under load"; else not_ok "  under load: $(figure taken)"; fi
    accepts "  it starts again" serve
    soon 200 get /checkpoint >"$W/got"
    same "  what is in the log was answered" "$(figure taken)" "$(($(sed -n 2p "$W/body") - before))"
done
stop log
accepts "the data is whole" stele-log fsck "$W/log"
done_testing
