#!/bin/sh
# A log whose heads file has become long: it starts itself anew, and loses nothing that it was given, whoever asks it and whoever
# cosigns it; also where its witness does the same. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
new_log
echo "heads-max 1023" >>"$W/log/config"
refuses "fewer would be too few to write it anew" "heads-max. is 1024 or more" stele-log serve "$W/log" --listen 127.0.0.1:0
sed -i '$d' "$W/log/config"
echo "heads-max 1024" >>"$W/log/config"
new_witness w
stop w
echo "heads-max 1024" >>"$W/w/config"
start w stele-witness serve "$W/w" --listen "$(url w | sed 's|http://||')"
under w
: >"$W/run/w.err"
serve
pid=$(cat "$W/run/log.pid")
# Each of four clients has one attestation on its way: no head is of more than four.
make_attestation "$W/builder" 1000 4400 >"$W/load"
log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 4 2>"$W/load.err"
same "every submission is answered" 0 $?
heads=$(cut -d' ' -f3 "$W/notes" | sort -u | wc -l)
at_least "under a head of which there are many" 1100 "$heads"
says "the log started anew" ' started size=[1-9]' "$W/run/log.err"
says "and says why" 'starting-anew why=.*heads-max' "$W/run/log.err"
says "its witness, too" ' started logs=1' "$W/run/w.err"
accepts "it is the same process" kill -0 "$pid"
accepts "each has an index of its own" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and there is nothing else" 4400 "$(cat "$W/out")"
accepts "its heads file was written anew" test "$(wc -c <"$W/log/heads")" -le $(((heads - 512) * 128))
accepts "and its witness's" test "$(wc -c <"$W/w/heads")" -le $(((heads - 512) * 128))
same "what it was given before is found" 200 "$(get "/output/$(part 1000)")"
stop log
accepts "it ends as ever, and fsck finds it right" stele-log fsck "$W/log" --full
done_testing
