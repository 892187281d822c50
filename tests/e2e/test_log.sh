#!/bin/sh
# stele-log from outside: what it takes and refuses, what it serves, and what it does at a restart. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

echo "# init, key, and what serve refuses"
accepts "init makes a log" stele-log init "$W/log" --origin $origin
vkey=$(grep '^log.example' "$W/out")
refuses "init does not touch what is there" "not empty" stele-log init "$W/log" --origin $origin
refuses "an origin with a schema is refused" "without schema" stele-log init "$W/l2" --origin "https://$origin"
accepts "key prints the vkey" stele-log key "$W/log"
same "it is the one that init printed" "$vkey" "$(cat "$W/out")"
same "the folder is the operator's alone" "700" "$(stat -c %a "$W/log")"
same "and so is the key" "600" "$(stat -c %a "$W/log/key")"
refuses "without a quorum line nothing is served" "quorum" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
echo "colour blue" >>"$W/log/config"
refuses "an unknown key in the configuration is named" "config line [0-9]+.*colour" timeout 20 stele-log serve "$W/log"

echo "# one log without witnesses"
new_log "quorum none"
accepts "the log starts" serve
refuses "a second process on the folder does not" "another process" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
status "the empty log has a checkpoint" 200 "$(get /checkpoint)"
same "of size 0" 0 "$(sed -n 2p "$W/body")"
status "a first attestation is taken" 200 "$(post "$W/e0")"
same "at index 0" "0 " "$(indices)"
status "the same again gets its proof" 200 "$(post "$W/e0")"
same "at its index" "0 " "$(indices)"
tr -d '\n' <"$W/e1" >"$W/e1-bare"
status "an envelope without a newline is taken" 200 "$(post "$W/e1-bare")"
same "at the next index" "1 " "$(indices)"
status "JSON lines are taken" 200 "$(post "$W/many")"
same "in order" "$(seq 2 301 | tr '\n' ' ')" "$(indices)"
cat "$W/e1" "$W/e2" "$W/e0" "$W/e2" >"$W/mixed"
status "known and new ones, one of them twice" 200 "$(post "$W/mixed")"
same "get old and new indices" "1 302 0 302 " "$(indices)"
if [ "$(sort -u "$W/headers" | grep -ci '^content-type: text/plain; charset=utf-8')" = 1 ]; then ok "as text/plain"; else not_ok "as text/plain"; fi

echo "# input that is refused, all or nothing"
size=$(curl -s "$(url log)/checkpoint" | sed -n 2p)
make_attestation "$W/builder" 1000 1 >"$W/fresh"
: >"$W/empty"
status "an empty body" 400 "$(post "$W/empty")"
head -c 300 "$W/fresh" >"$W/bad"
status "a cut envelope" 400 "$(post "$W/bad")"
says "with the line" 'line 1' "$W/body"
cat "$W/fresh" "$W/bad" >"$W/bad2"
status "a good line and a cut one" 400 "$(post "$W/bad2")"
says "with the second line" 'line 2' "$W/body"
says "as problem details" '^content-type: application/problem\+json' "$(tr 'A-Z' 'a-z' <"$W/headers" >"$W/lower"; echo "$W/lower")"
{ cat "$W/fresh"; echo; cat "$W/e0"; } >"$W/bad"
status "an empty line between two" 400 "$(post "$W/bad")"
sed 's/{"payload"/{ "payload"/' "$W/fresh" >"$W/bad"
status "white space in the envelope" 400 "$(post "$W/bad")"
sed 's/$/\r/' "$W/fresh" >"$W/bad"
status "a carriage return" 400 "$(post "$W/bad")"
printf 'not json\n' >"$W/bad"
status "no JSON" 400 "$(post "$W/bad")"
head -c 9000000 /dev/zero >"$W/bad"
status "more than 8 MiB" 413 "$(post "$W/bad")"
head -c 60000 /dev/zero | tr '\0' 'a' >"$W/bad"
status "a line of 60,000 bytes" 400 "$(post "$W/bad")"
i=0; while [ $i -lt 12 ]; do cat "$W/many" "$W/many"; i=$((i + 1)); done | head -n 4097 | cut -c 1-20 >"$W/bad"
status "4,097 lines" 413 "$(post "$W/bad")"
status "another builder's" 403 "$(post "$W/foreign")"
says "names it" 'other.example/builder' "$W/body"
# The signature is the last member: any other 64 bytes.
sed 's/"sig":"....../"sig":"AAAAAA/' "$W/fresh" >"$W/bad"
status "a wrong signature" 403 "$(post "$W/bad")"
cat "$W/fresh" "$W/bad" >"$W/bad2"
status "a good one beside a wrong signature" 403 "$(post "$W/bad2")"
same "nothing of it all was logged" "$size" "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
status "the control: the untouched envelope" 200 "$(post "$W/fresh")"

echo "# input lists"
make_attestation "$W/builder" 2000 1 3000 >"$W/long"
same "a long list travels on a line of its own" 2 "$(wc -l <"$W/long" | tr -d ' ')"
tail -n 1 "$W/long" >"$W/bad"
status "an attestation without its list" 400 "$(post "$W/bad")"
{ tail -n 1 "$W/long"; head -n 1 "$W/long"; } >"$W/bad"
status "the list after it" 400 "$(post "$W/bad")"
{ head -n 1 "$W/long"; cat "$W/e0"; } >"$W/bad"
status "a list that nothing names" 400 "$(post "$W/bad")"
{ echo '{"inputs":"AAA"}'; tail -n 1 "$W/long"; } >"$W/bad"
status "a list in bad base64" 400 "$(post "$W/bad")"
list=$(head -n 1 "$W/long" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | tee "$W/list" | sha256sum | cut -d' ' -f1)
status "it is not served before" 404 "$(get "/inputs/$list")"
status "the control: the list and its attestation" 200 "$(post "$W/long")"
status "the list is served" 200 "$(get "/inputs/$list")"
if cmp -s "$W/list" "$W/body"; then ok "as it was sent"; else not_ok "as it was sent"; fi
tail -n 1 "$W/long" >"$W/again"
status "once stored it need not travel again" 200 "$(post "$W/again")"

echo "# reading"
size=$(curl -s "$(url log)/checkpoint" | sed -n 2p)
same "the size" 305 "$size"
status "a full tile" 200 "$(get /tile/0/000)"
same "has 8,192 bytes" 8192 "$(wc -c <"$W/body" | tr -d ' ')"
says "for ever" 'immutable' "$W/headers"
status "the partial tile" 200 "$(get /tile/0/001.p/49)"
status "a narrower one" 200 "$(get /tile/0/001.p/3)"
same "is its beginning" 96 "$(wc -c <"$W/body" | tr -d ' ')"
status "a wider one is not published" 404 "$(get /tile/0/001.p/50)"
status "nor is the full one" 404 "$(get /tile/0/001)"
status "level 1" 200 "$(get /tile/1/000.p/1)"
status "level 1, wider" 404 "$(get /tile/1/000.p/2)"
status "an entry bundle" 200 "$(get /tile/entries/001.p/49)"
status "a path in another form" 404 "$(get /tile/0/1)"
status "a level that does not exist" 404 "$(get /tile/64/000)"
status "the checkpoint" 200 "$(get /checkpoint)"
etag=$(tr -d '\r' <"$W/headers" | sed -n 's/^[Ee][Tt]ag: //p')
status "unchanged" 304 "$(get /checkpoint -H "If-None-Match: $etag")"
status "changed" 200 "$(get /checkpoint -H 'If-None-Match: "other"')"
status "HEAD" 200 "$(get /checkpoint -I)"
status "DELETE" 405 "$(get /checkpoint -X DELETE)"
says "says what is allowed" '^[Aa]llow: GET, HEAD' "$W/headers"
status "GET of what is posted" 405 "$(get /attestations)"
says "says so too" '^[Aa]llow: POST' "$W/headers"
status "no such route" 404 "$(get /nothing)"

echo "# health"
status "healthz" 200 "$(get /healthz)"
status "metrics" 200 "$(get /metrics)"
says "with the published size" '^stele_log_published_size 305$' "$W/body"

echo "# restart, reload, stop"
cp "$W/other.pub" "$W/both"; cat "$W/builder.pub" >>"$W/both"; cp "$W/both" "$W/log/builders"
kill -HUP "$(cat "$W/run/log.pid")"
soon 200 post "$W/foreign" >"$W/got"
same "after SIGHUP the other builder may submit" "305 " "$(indices)"
cp "$W/log/policy" "$W/policy"; echo "quorum nobody" >>"$W/log/policy"
kill -HUP "$(cat "$W/run/log.pid")"
says "a policy that cannot be read is reported with its line" 'policy-not-reread.*policy line [0-9]+' "$W/run/log.err"
cp "$W/policy" "$W/log/policy"
status "and leaves what was in use" 200 "$(post "$W/foreign")"
pid=$(cat "$W/run/log.pid")
kill -TERM "$pid"
wait "$pid"
same "SIGTERM ends it cleanly" 0 $?
cp -r "$W/log/data" "$W/old-data"
accepts "it starts again" serve
status "with what it had published" 200 "$(get /checkpoint)"
same "all of it" 306 "$(sed -n 2p "$W/body")"
make_attestation "$W/builder" 3000 1 >"$W/later"
status "and goes on" 200 "$(post "$W/later")"
same "from there" "306 " "$(indices)"
stop log
mv "$W/log/data" "$W/new-data"; cp -r "$W/old-data" "$W/log/data"
refuses "an old copy of the data is not served" "holds 306 entries, but the signer's last head has 307.*never remove heads" \
    timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
rm -rf "$W/log/data"
refuses "nor is none" "holds 0 entries" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
rm -rf "$W/log/data"; cp -r "$W/new-data" "$W/log/data"
cp "$W/log/heads" "$W/heads"; rm "$W/log/heads"
refuses "a missing heads file is refused" "heads" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
cp "$W/heads" "$W/log/heads"
accepts "with its own data it starts" serve
status "and shows it" 200 "$(get /checkpoint)"
stop log
done_testing
