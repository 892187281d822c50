#!/bin/sh
# `stele-log freeze`: a log that is shown for ever, with fresh cosignatures and without its key, and takes nothing. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

new_log
echo "quorum-timeout-ms 1000" >>"$W/log/config"
new_witness w
under w

refuses "a log that published nothing is not frozen" "nothing was published" stele-log freeze "$W/log"
serve
status "some attestations" 200 "$(post "$W/many")"
make_attestation "$W/builder" 200000 1 400 >"$W/long"
status "one with an input list" 200 "$(post "$W/long")"
refuses "nor is one that runs" "another process" stele-log freeze "$W/log"
stop w
status "an attestation that is taken and not published" 503 "$(post "$W/e0")"
stop log
refuses "and that would be lost" "301 entries are published, 302 were taken.*--as-published" stele-log freeze "$W/log"
refuses "a note has one line" "one line" stele-log freeze "$W/log" --note 'two
lines'
accepts "unless that is wanted" stele-log freeze "$W/log" --as-published --note "frozen: go on at https://next.example"
accepts "again is no error" stele-log freeze "$W/log"
says "but said" "is frozen" "$W/out"
accepts "fsck finds it right" stele-log fsck "$W/log" --full
rm "$W/log/key" "$W/log/heads"
accepts "its key and its heads can go" stele-log fsck "$W/log"

accepts "it is served, without its witness" serve
status "the checkpoint" 200 "$(get /checkpoint)"
same "where it ended" 301 "$(sed -n 2p "$W/body")"
cp "$W/body" "$W/before"
status "an entry bundle" 200 "$(get /tile/entries/001.p/45)"
status "and no more than was published" 404 "$(get /tile/entries/001.p/46)"
status "a look-up" 200 "$(get "/output/$(part 10)")"
status "and none past its end" 404 "$(get "/output/$(part 0)")"
status "a new attestation is refused for good" 410 "$(post "$W/e1")"
says "and it is said why" '"detail":"frozen: go on at https://next.example"' "$W/body"
if grep -qi '^retry-after' "$W/headers"; then not_ok "asking again is not suggested"; else ok "asking again is not suggested"; fi
status "what was taken and not published, too" 410 "$(post "$W/e0")"
cat "$W/many" "$W/e1" >"$W/both"
status "with known ones in one request, too" 410 "$(post "$W/both")"
status "what it has is proven as ever" 200 "$(post "$W/many")"
same "at its index" "$(seq 0 299 | tr '\n' ' ')" "$(indices)"
status "others are refused as ever" 403 "$(post "$W/foreign")"
status "it is well" 200 "$(get /healthz)"
status "and says" 200 "$(get /metrics)"
says "that it is frozen" '^stele_log_frozen 1$' "$W/body"
stop log

echo "# its witnesses go on"
sleep 1 # a cosignature's time is in seconds
start w stele-witness serve "$W/w" --listen 127.0.0.1:0
sed -i "s|http://127.0.0.1:[0-9]*|$(url w)|" "$W/log/policy"
serve
cosigned() { curl -s "$(url log)/checkpoint" | cmp -s - "$W/before" && echo old || echo new; }
same "the same head is cosigned anew" new "$(soon new cosigned)"
same "and is the same" 301 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
curl -s "$(url log)/checkpoint" >"$W/after"
accepts "under the policy" stele-log fsck --from "$(url log)" --policy "$W/log/policy"
stop log
accepts "a backup of it" stele-log backup "$W/log" "$W/backup"
mv "$W/log" "$W/gone"; mv "$W/backup" "$W/log"
accepts "is served as it is" serve
status "to whom it still proves" 200 "$(post "$W/many")"
status "and refuses" 410 "$(post "$W/e1")"
stop log
cp "$W/log/checkpoint" "$W/kept"; rm "$W/log/checkpoint"
refuses "without its checkpoint there is nothing to show" "checkpoint" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
cp "$W/kept" "$W/log/checkpoint"
sed -i '3y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/BCDEFGHIJKLMNOPQRSTUVWXYZA/' "$W/log/checkpoint"
refuses "nor with another one" "which a frozen log shows" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
done_testing
