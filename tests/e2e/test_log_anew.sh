#!/bin/sh
# A log whose heads file has become long: it starts itself anew, and loses nothing that it was given. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
new_log "quorum none"
echo "heads-max 1023" >>"$W/log/config"
refuses "fewer would be too few to write it anew" "heads-max. is 1024 or more" stele-log serve "$W/log" --listen 127.0.0.1:0
sed -i '$d' "$W/log/config"
echo "heads-max 1024" >>"$W/log/config"
serve
pid=$(cat "$W/run/log.pid")
# One after the other, so that each has a head of its own.
make_attestation "$W/builder" 1000 1100 >"$W/load"
log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 1 2>"$W/load.err"
same "every submission is answered" 0 $?
same "after 1,024 heads it started anew, once" 2 "$(grep -c ' started size=' "$W/run/log.err")"
says "and says why" 'starting-anew why=.*heads-max' "$W/run/log.err"
accepts "it is the same process" kill -0 "$pid"
same "each has an index of its own" 1100 "$(cut -d' ' -f2 "$W/notes" | sort -un | wc -l)"
accepts "its heads file was written anew" test "$(wc -c <"$W/log/heads")" -lt 65536
same "what it was given before is found" 200 "$(get "/output/$(part 1000)")"
stop log
accepts "it ends as ever, and fsck finds it right" stele-log fsck "$W/log" --full
done_testing
