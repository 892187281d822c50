#!/bin/sh
# stele-log and its witnesses: those that misbehave, too few of them, and what all of it looks like from outside. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

part0=$(part 0) part2=$(part 2) drv=$(derivation "$W/e0") drv2=$(derivation "$W/e2")

echo "# witnesses that misbehave, beside one that does not"
fake_witness key good.example/witness "$W/good"
accepts "a witness starts" start good fake_witness serve "$W/good" good
for mode in hang ahead liar garbage elsewhere huge later; do
    fake_witness key $mode.example/witness "$W/key-$mode"
    start $mode fake_witness serve "$W/key-$mode" $mode
    new_log "witness good $(cat "$W/good.pub") $(url good)" "witness $mode $(cat "$W/key-$mode.pub") $(url $mode)" \
        "group two any good $mode" "quorum two"
    serve
    status "$mode delays nobody" 200 "$(post "$W/e0" --max-time 3)"
    status "nor the next" 200 "$(post "$W/e1" --max-time 3)"
    same "and gives no cosignature" 2 "$(curl -s "$(url log)/checkpoint" | grep -c '^— ')"
    stop log
    sed -i 's/^group two any/group two all/' "$W/log/policy"
    echo "quorum-timeout-ms 500" >>"$W/log/config"
    serve
    status "where both are wanted, nothing is published" 503 "$(get /checkpoint)"
    status "and nothing answered" 503 "$(post "$W/e0")"
    sleep 0.5
    get /metrics >/dev/null
    case $mode in hang) failures=0 ;; *) failures=[1-9][0-9]* ;; esac
    says "the metrics say whose fault it is" "^stele_log_witness_failures_total\{witness=\"$mode\"\} $failures\$" "$W/body"
    [ $mode = ahead ] && says "and the log says why" 'witness-failed witness="?ahead.*beyond our head' "$W/run/log.err"
    stop log KILL
    stop $mode
done
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

echo "# short of quorum"
for w in w1 w2; do stele-witness init "$W/$w" --name $w.example/witness >/dev/null 2>&1; done
p1=$(free_port)
p2=$(free_port)
new_log "witness w1 $(stele-witness key "$W/w1") http://127.0.0.1:$p1" \
    "witness w2 $(stele-witness key "$W/w2") http://127.0.0.1:$p2" "group both all w1 w2" "quorum both"
echo "quorum-timeout-ms 1500" >>"$W/log/config"
for w in w1 w2; do stele-witness add-log "$W/$w" "$(stele-log key "$W/log")" >/dev/null 2>&1; done
accepts "a witness starts" start w1 stele-witness serve "$W/w1" --listen "127.0.0.1:$p1"
accepts "the log starts without the other" serve
status "it publishes nothing" 503 "$(get /checkpoint)"
status "an attestation waits in vain" 503 "$(post "$W/e0")"
says "and is told when to come again" '^[Rr]etry-[Aa]fter: 5' "$W/headers"
status "no tile is served" 503 "$(get /tile/0/000.p/1)"
for route in "/output/$part0" "/derivation/$drv" "/builder/$builder"; do
    status "nothing is looked up" 503 "$(get "$route")"
done
echo "$part0" >"$W/parts"
status "nor many at once" 503 "$(look_up "$W/parts")"
status "nothing new is taken now" 503 "$(post "$W/e1")"
says "because there is no quorum" 'no quorum' "$W/body"
accepts "the other witness starts" start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$p2"
tries=0
until [ "$(get /checkpoint)" = 200 ] && [ "$(sed -n 2p "$W/body")" = 1 ] || [ $tries -gt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
status "now the checkpoint is published" 200 "$(get /checkpoint)"
same "with three signatures" 3 "$(grep -c '^— ' "$W/body")"
status "a retry is answered" 200 "$(post "$W/e0")"
same "with the index that it had" "0 " "$(indices)"
status "what was not taken is new" 200 "$(post "$W/e1")"
same "at the next index" "1 " "$(indices)"
stop w1
status "a witness less: short of quorum again" 503 "$(post "$W/e2")"
status "the published checkpoint is still served" 200 "$(get /checkpoint)"
same "as it was" 2 "$(sed -n 2p "$W/body")"
status "and nothing past it" 404 "$(get /tile/0/000.p/3)"
status "nor in a look-up" 404 "$(get "/output/$part2")"
status "nor by its derivation" 404 "$(get "/derivation/$drv2")"
printf '%s\n' "$part2" "$part0" >"$W/parts"
status "nor among many" 200 "$(look_up "$W/parts")"
same "of which the published are given" "0 " "$(indices)"
status "nor by its builder" 200 "$(get "/builder/$builder")"
same "of whom the published are given" "0 1 " "$(indices)"
status "known ones are answered all the same" 200 "$(post "$W/e0")"
stop log KILL
accepts "killed, it starts again" serve
status "short of quorum it shows nothing" 503 "$(get /checkpoint)"
accepts "the witness is back" start w1 stele-witness serve "$W/w1" --listen "127.0.0.1:$p1"
tries=0
until [ "$(post "$W/e2")" = 200 ] || [ $tries -gt 60 ]; do tries=$((tries + 1)); sleep 0.1; done
same "and the attestation has its index" "2 " "$(indices)"
status "the control: it is found by its derivation now" 200 "$(get "/derivation/$drv2")"
status "and by its builder" 200 "$(get "/builder/$builder?after=1")"

echo "# witnesses and the log killed under load"
make_attestation "$W/builder" 9000 4000 >"$W/load"
stop log
sed -i '/^quorum-timeout-ms/d' "$W/log/config"
port=$(free_port)
accepts "the log starts" serve_at
log_driver load "http://127.0.0.1:$port" "$W/log/policy" "$W/load" "$W/notes" 8 2>"$W/load.err" &
driver=$!
kills=0
while [ $kills -lt 9 ] && kill -0 $driver 2>/dev/null; do
    sleep "0.$(($(od -An -N1 -tu1 /dev/urandom) % 20 + 10))"
    case $((kills % 3)) in
    0) stop log KILL && serve_at ;;
    1) stop w1 KILL && start w1 stele-witness serve "$W/w1" --listen "127.0.0.1:$p1" ;;
    2) stop w2 KILL && start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$p2" ;;
    esac || break
    kills=$((kills + 1))
done
echo "# killed $kills times"
wait $driver
same "every submission was answered in the end" 0 $?
sed 's/^/# /' "$W/load.err"
accepts "all at their index, under both witnesses" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and there is nothing else" 4003 "$(cat "$W/out")"

echo "# one of two is enough"
stop w2
sed -i 's/^group both all/group both any/' "$W/log/policy"
kill -HUP "$(cat "$W/run/log.pid")"
make_attestation "$W/builder" 20000 1 >"$W/e3"
tries=0
until [ "$(post "$W/e3")" = 200 ] || [ $tries -gt 60 ]; do tries=$((tries + 1)); sleep 0.1; done
same "a policy reread on SIGHUP counts" "4003 " "$(indices)"
make_attestation "$W/builder" 20001 400 >"$W/load"
accepts "a dead witness delays nobody" timeout 60 log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 4
accepts "the straggler comes back" start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$p2"
tries=0
until [ "$(get /checkpoint)" = 200 ] && [ "$(grep -c '^— ' "$W/body")" = 3 ] || [ $tries -gt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
same "and its cosignature is served too" 3 "$(grep -c '^— ' "$W/body")"
get /metrics >/dev/null
says "the metrics tell of each" '^stele_log_witness_size\{witness="w2"\} 4404$' "$W/body"
sed -i 's/^group both any/group both all/' "$W/log/policy"
stop log
done_testing
