#!/bin/sh
# stele-log and its witnesses: too few of them, stragglers, and a policy that changes. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
part0=$(part 0) part2=$(part 2) drv=$(derivation "$W/e0") drv2=$(derivation "$W/e2")

echo "# short of quorum"
for w in w1 w2; do stele-witness init "$W/$w" --name $w.example/witness >/dev/null 2>&1; done
p1=$(free_port)
p2=$(free_port)
p3=$(free_port)
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
same "now the checkpoint is published" 200 "$(soon 200 get /checkpoint)"
same "of the empty log: nothing was taken before the witnesses were heard" 0 "$(sed -n 2p "$W/body")"
same "with three signatures" 3 "$(grep -c '^— ' "$W/body")"
status "a retry is answered" 200 "$(post "$W/e0")"
same "at the first index" "0 " "$(indices)"
status "and the next" 200 "$(post "$W/e1")"
same "at the next index" "1 " "$(indices)"
stop w1
make_attestation "$W/builder" 8000 1 3000 >"$W/long"
list=$(head -n 1 "$W/long" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | sha256sum | cut -d' ' -f1)
cat "$W/e2" "$W/long" >"$W/late"
status "a witness less: short of quorum again" 503 "$(post "$W/late")"
status "the same again waits like the first" 503 "$(post "$W/late")"
same "the control: all of it is committed" 4 "$(curl -s "$(url log)/metrics" | sed -n 's/^stele_log_tree_size //p')"
status "the published checkpoint is still served" 200 "$(get /checkpoint)"
same "as it was" 2 "$(sed -n 2p "$W/body")"
status "and nothing past it" 404 "$(get /tile/0/000.p/3)"
status "no entry either" 404 "$(get /tile/entries/000.p/3)"
status "nor an input list" 404 "$(get "/inputs/$list")"
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
soon 200 post "$W/e2" >"$W/status"
same "and the attestation has its index" "2 " "$(indices)"
status "the control: it is found by its derivation now" 200 "$(get "/derivation/$drv2")"
status "and by its builder" 200 "$(get "/builder/$builder?after=1")"
status "and the input list is served" 200 "$(get "/inputs/$list")"

echo "# witnesses and the log killed under load"
make_attestation "$W/builder" 9000 4000 >"$W/load"
stop log
sed -i '/^quorum-timeout-ms/d' "$W/log/config"
port=$(free_port)
accepts "the log starts" serve_at
kill_in_turn() {
    case $(($1 % 3)) in
    0) stop log KILL && serve_at ;;
    1) stop w1 KILL && start w1 stele-witness serve "$W/w1" --listen "127.0.0.1:$p1" ;;
    2) stop w2 KILL && start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$p2" ;;
    esac
}
under_kills 9 kill_in_turn
accepts "all at their index, under both witnesses" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and there is nothing else" 4004 "$(cat "$W/out")"

echo "# one of two is enough"
stop w2
sed -i 's/^group both all/group both any/' "$W/log/policy"
kill -HUP "$(cat "$W/run/log.pid")"
make_attestation "$W/builder" 20000 1 >"$W/e3"
soon 200 post "$W/e3" >"$W/status"
same "a policy reread on SIGHUP counts" "4004 " "$(indices)"
make_attestation "$W/builder" 20001 400 >"$W/load"
accepts "a dead witness delays nobody" timeout 200 log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 4
accepts "the straggler comes back" start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$p2"
same "and its cosignature is served too" 3 "$(soon 3 signatures)"
same "the metrics tell of each" 4405 "$(soon 4405 metric size w2)"

echo "# a witness that is new to a log of thousands"
stele-witness init "$W/w3" --name w3.example/witness >/dev/null 2>&1
stele-witness add-log "$W/w3" "$(stele-log key "$W/log")" >/dev/null 2>&1
start w3 stele-witness serve "$W/w3" --listen "127.0.0.1:$p3"
sed -i '/^group/d; /^quorum/d' "$W/log/policy"
printf 'witness w3 %s %s\ngroup three all w1 w2 w3\nquorum three\n' "$(stele-witness key "$W/w3")" "$(url w3)" >>"$W/log/policy"
kill -HUP "$(cat "$W/run/log.pid")"
make_attestation "$W/builder" 30000 1 >"$W/e4"
same "a policy that wants it, reread on SIGHUP" 200 "$(soon 200 post "$W/e4")"
same "is satisfied" 4 "$(signatures)"
echo "# and one that lost its folder: as new as the other, however much it is behind"
stop w3
rm "$W/w3/heads"
stele-witness init "$W/w3-again" --name w3.example/witness >/dev/null 2>&1
cp "$W/w3-again/heads" "$W/w3/heads"
rm -rf "$W/w3/checkpoints"
start w3 stele-witness serve "$W/w3" --listen "127.0.0.1:$p3"
make_attestation "$W/builder" 30001 1 >"$W/e5"
same "is brought up from its 409 answer" 200 "$(soon 200 post "$W/e5")"
at_least "which is counted" 1 "$(soon_some metric conflicts_total w3)"
says "and reported" 'witness-went-back witness="?w3"? from=44[0-9]+ to=0' "$W/run/log.err"
stop log
done_testing
