#!/bin/sh
# stele-log from outside: what it takes and refuses, what it serves, how it waits for its witnesses, and that killing it
# loses nothing that was answered.
. "$(dirname "$0")/lib.sh"
world
helpers=$STELE_BUILD/tests/e2e
PATH=$helpers:$PATH
origin=log.example/test

# post FILE [CURL-OPTION...]: its status is printed; the body is in $W/body, the headers in $W/headers.
post() {
    file=$1
    shift
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' --data-binary "@$file" -H 'Content-Type: application/json' \
        "$@" "$(url log)/attestations"
}
# look_up FILE: the same for POST /outputs.
look_up() {
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' --data-binary "@$1" -H 'Content-Type: text/plain' "$(url log)/outputs"
}
# answered: how many hash parts the last look_up was answered for.
answered() { tr -d '\r' <"$W/headers" | sed -n 's/^[Ss]tele-[Aa]nswered: //p'; }
# derivation FILE: the hash part of the derivation that an envelope names.
derivation() {
    sed 's/.*"payload":"//; s/".*//' "$1" | base64 -d | grep -o '"derivation":"/nix/store/[^-]*' | head -n 1 | sed 's|.*/||'
}
get() {
    path=$1
    shift
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' "$@" "$(url log)$path"
}
# status WHAT WANT GOT
status() {
    if [ "$2" = "$3" ]; then ok "$1"; else
        not_ok "$1: status $3, not $2"
        head -c 600 "$W/body" | sed 's/^/# /'
    fi
}
# indices: of the bundles in $W/body, verified under the policy.
indices() { log_driver verify "$W/log/policy" <"$W/body" | cut -d' ' -f1 | tr '\n' ' '; }
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: \"$3\", not \"$2\""; fi
}
serve() { start log stele-log serve "$W/log" --listen 127.0.0.1:0; }
# new_log: a fresh $W/log that one builder may use, with the policy lines given.
new_log() {
    rm -rf "$W/log"
    stele-log init "$W/log" --origin $origin >/dev/null 2>&1
    cat "$W/builder.pub" >>"$W/log/builders"
    printf '%s\n' "$@" >>"$W/log/policy"
}

make_attestation key ci.example/builder "$W/builder"
make_attestation key other.example/builder "$W/other"
for i in 0 1 2; do make_attestation "$W/builder" $i 1 >"$W/e$i"; done
make_attestation "$W/builder" 10 300 >"$W/many"
make_attestation "$W/other" 0 1 >"$W/foreign"

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
part=$(make_attestation path 5 | cut -c 12-43)
part0=$(make_attestation path 0 | cut -c 12-43)
part2=$(make_attestation path 2 | cut -c 12-43)
status "a path that nobody attested" 404 "$(get "/output/$part")"
status "a path that was attested" 200 "$(get "/output/$part0")"
same "where it was logged" "0 " "$(indices)"
builder=$(tr -d '\n' <"$W/builder.pub" | sha256sum | cut -d' ' -f1)
other=$(tr -d '\n' <"$W/other.pub" | sha256sum | cut -d' ' -f1)
status "by this builder or another" 200 "$(get "/output/$part0?builder=$other,$builder")"
status "by another alone" 404 "$(get "/output/$part0?builder=$other")"
status "after its index" 404 "$(get "/output/$part0?after=0")"
status "a malformed hash part" 400 "$(get /output/abc)"
status "a malformed builder" 400 "$(get "/output/$part0?builder=12")"
status "a malformed index" 400 "$(get "/output/$part0?after=-1")"
status "a builder and an empty one" 400 "$(get "/output/$part0?builder=$builder,")"
status "the control: an index" 200 "$(get "/output/$part2?after=301")"

echo "# look-ups of many paths"
printf '%s\n' "$part2" "$part" "$part0" >"$W/parts"
status "paths, attested and not" 200 "$(look_up "$W/parts")"
same "are answered in the order asked" "302 0 " "$(indices)"
same "all of them" 3 "$(answered)"
{ echo "builder $other"; echo "builder $builder"; cat "$W/parts"; } >"$W/bad"
status "by this builder or another" 200 "$(look_up "$W/bad")"
same "the same" "302 0 " "$(indices)"
{ echo "builder $other"; cat "$W/parts"; } >"$W/bad"
status "by another alone" 404 "$(look_up "$W/bad")"
printf '%s' "$part0" >"$W/bad"
status "a last line without its newline" 200 "$(look_up "$W/bad")"
echo "$part" >"$W/bad"
status "paths that nobody attested" 404 "$(look_up "$W/bad")"
status "an empty list" 400 "$(look_up "$W/empty")"
echo "builder $builder" >"$W/bad"
status "builders and no path" 400 "$(look_up "$W/bad")"
printf '%s\nbuilder %s\n' "$part0" "$builder" >"$W/bad"
status "a builder after a path" 400 "$(look_up "$W/bad")"
says "with the line" 'line 2' "$W/body"
printf '%s\n\n%s\n' "$part0" "$part2" >"$W/bad"
status "an empty line between two" 400 "$(look_up "$W/bad")"
sed 's/$/\r/' "$W/parts" >"$W/bad"
status "carriage returns" 400 "$(look_up "$W/bad")"
printf 'builder 12\n%s\n' "$part0" >"$W/bad"
status "a malformed builder in a line" 400 "$(look_up "$W/bad")"
hashes() { awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "builder %064x\n", i }'; }
{ hashes 257; cat "$W/parts"; } >"$W/bad"
status "257 builders" 413 "$(look_up "$W/bad")"
{ hashes 255; echo "builder $builder"; cat "$W/parts"; } >"$W/bad"
status "the control: 256" 200 "$(look_up "$W/bad")"
same "of which one built them" "302 0 " "$(indices)"
{ hashes 256; yes "$part0" | head -n 10000; } >"$W/bad"
status "256 builders and 10,000 paths are too much for one answer" 200 "$(look_up "$W/bad")"
same "which says how far it went" "1020 0" "$(answered) $(wc -c <"$W/body" | tr -d ' ')"
{ yes "$part" | head -n 10000; echo "$part0"; } >"$W/bad"
status "10,001 paths" 413 "$(look_up "$W/bad")"
sed 1d "$W/bad" >"$W/parts"
status "the control: 10,000" 200 "$(look_up "$W/parts")"
same "to the last" "0 10000" "$(indices)$(answered)"
yes "$part0" | head -n 10000 >"$W/parts"
pages=0 left=10000 bundles=0
while [ $left -gt 0 ] && [ $pages -lt 20 ] && tail -n $left "$W/parts" >"$W/bad" && [ "$(look_up "$W/bad")" = 200 ]; do
    [ "$(wc -c <"$W/body")" -le 8388608 ] || break
    bundles=$((bundles + $(indices | wc -w))) left=$((left - $(answered))) pages=$((pages + 1))
done
same "more than 8 MiB come in parts, to be asked for from where the last ended" "10000 0" "$bundles $left"
if [ $pages -gt 1 ]; then ok "in $pages parts"; else not_ok "in one part"; fi

echo "# look-ups by derivation and by builder"
drv2=$(derivation "$W/e2")
status "a derivation that was built" 200 "$(get "/derivation/$drv2")"
same "where it was logged" "302 " "$(indices)"
status "by this builder" 200 "$(get "/derivation/$drv2?builder=$builder&after=301")"
status "by another" 404 "$(get "/derivation/$drv2?builder=$other")"
status "after its index" 404 "$(get "/derivation/$drv2?after=302")"
status "a malformed derivation" 400 "$(get /derivation/abc)"
status "what a builder built" 200 "$(get "/builder/$builder")"
same "is all of this log" "$(seq 0 304 | tr '\n' ' ')" "$(indices)"
status "after an index" 200 "$(get "/builder/$builder?after=302")"
same "only the rest" "303 304 " "$(indices)"
status "after the last" 404 "$(get "/builder/$builder?after=304")"
status "another builder's" 404 "$(get "/builder/$other")"
status "a malformed builder" 400 "$(get "/builder/${builder}0")"
status "a malformed index" 400 "$(get "/builder/$builder?after=x")"
for route in "/derivation/$drv2" "/builder/$builder"; do
    status "POST to $route" 405 "$(get "$route" -d x)"
    says "says what is allowed" '^[Aa]llow: GET, HEAD' "$W/headers"
    status "HEAD of $route" 200 "$(get "$route" -I)"
done
status "GET of /outputs" 405 "$(get /outputs)"
says "says that it is posted" '^[Aa]llow: POST' "$W/headers"

echo "# health"
status "healthz" 200 "$(get /healthz)"
status "metrics" 200 "$(get /metrics)"
says "with the published size" '^stele_log_published_size 305$' "$W/body"

echo "# restart, reload, stop"
cp "$W/other.pub" "$W/both"; cat "$W/builder.pub" >>"$W/both"; cp "$W/both" "$W/log/builders"
kill -HUP "$(cat "$W/run/log.pid")"
tries=0
until [ "$(post "$W/foreign")" = 200 ] || [ $tries -gt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
same "after SIGHUP the other builder may submit" "305 " "$(indices)"
both=$(printf '%s 0\n%s 305\n' "$builder" "$other" | sort | cut -d' ' -f2 | tr '\n' ' ')
drv=$(derivation "$W/e0")
echo "$part0" >"$W/parts"
status "what two builders say of one path is all given" 200 "$(get "/output/$part0")"
same "in the order of the builders" "$both" "$(indices)"
status "of many paths too" 200 "$(look_up "$W/parts")"
same "in this order" "$both" "$(indices)"
status "and of a derivation" 200 "$(get "/derivation/$drv")"
same "in this order as well" "$both" "$(indices)"
status "each builder's own stay apart" 200 "$(get "/builder/$other")"
same "the other's one" "305 " "$(indices)"
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

echo "# killed under load"
new_log "quorum none"
port=$(free_port)
make_attestation "$W/builder" 5000 8000 >"$W/load"
serve_at() { start log stele-log serve "$W/log" --listen "127.0.0.1:$port"; }
accepts "the log starts" serve_at
log_driver load "http://127.0.0.1:$port" "$W/log/policy" "$W/load" "$W/notes" 8 2>"$W/load.err" &
driver=$!
kills=0
while [ $kills -lt 10 ] && kill -0 $driver 2>/dev/null; do
    sleep "0.$(($(od -An -N1 -tu1 /dev/urandom) % 20 + 10))"
    stop log KILL
    serve_at || break
    kills=$((kills + 1))
done
echo "# killed $kills times"
wait $driver
same "every submission was answered in the end" 0 $?
sed 's/^/# /' "$W/load.err"
accepts "all at their index, once each, every head shown in one tree" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and there is nothing else" 8000 "$(cat "$W/out")"
stop log

echo "# the same attestations from many clients at once"
serve_at
make_attestation "$W/builder" 30000 100 | awk '{ for (i = 0; i < 16; i++) print }' >"$W/load"
accepts "all are answered" log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 32
accepts "with one index each" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and one entry each" 8100 "$(cat "$W/out")"
: >"$W/pages"
pages=0 last=
while [ $pages -lt 100 ] && [ "$(get "/builder/$builder${last:+?after=$last}")" = 200 ]; do
    indices | tr ' ' '\n' | sed '/^$/d' >>"$W/pages"
    last=$(tail -n 1 "$W/pages") pages=$((pages + 1))
done
status "a builder's pages end" 404 "$(get "/builder/$builder?after=$last")"
if seq 0 8099 | cmp -s - "$W/pages"; then ok "all $pages together are what it built"; else not_ok "$pages pages with $(wc -l <"$W/pages") entries"; fi
stop log

echo "# a disk that is short, and one that fails"
new_log "quorum none"
serve
status "an attestation is taken" 200 "$(post "$W/e0")"
stop log
echo "free-space-floor 1000000000000000000" >>"$W/log/config"
serve
status "short of disk, nothing new is taken" 503 "$(post "$W/e1")"
says "and that is said" 'disk space' "$W/body"
says "with Retry-After" '^[Rr]etry-[Aa]fter: ' "$W/headers"
status "what is known is answered" 200 "$(post "$W/e0")"
stop log
sed -i '/^free-space-floor/d' "$W/log/config"
make_attestation "$W/builder" 40000 3000 >"$W/load"
start log sh -c "ulimit -f 4096; exec stele-log serve '$W/log' --listen 127.0.0.1:0"
log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 4 2>/dev/null &
driver=$!
tries=0
until [ "$(get /healthz)" = 503 ] || [ $tries -gt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
status "a commit that fails ends the taking" 503 "$(get /healthz)"
status "of everything" 503 "$(post "$W/e0")"
size=$(curl -s "$(url log)/checkpoint" | sed -n 2p)
status "what was published is still served" 200 "$(get /tile/0/000)"
kill $driver
wait $driver 2>/dev/null
stop log
accepts "with room again it starts" serve
accepts "and nothing that was answered is lost" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
if [ "$(cat "$W/out")" -ge "$size" ]; then ok "the tree did not shrink"; else not_ok "the tree shrank"; fi
status "it takes what was refused" 200 "$(post "$W/e1")"
stop log

echo "# stopped while something waits"
fake_witness key w.example/witness "$W/w"
start w fake_witness serve "$W/w" hang
new_log "witness w $(cat "$W/w.pub") $(url w)" "quorum w"
echo "quorum-timeout-ms 1000" >>"$W/log/config"
serve
post "$W/e0" >"$W/status" &
poster=$!
sleep 0.3
pid=$(cat "$W/run/log.pid")
kill -TERM "$pid"
wait $poster
status "SIGTERM: what waits is still answered" 503 "$(cat "$W/status")"
says "in full" 'no quorum of witnesses in time' "$W/body"
wait "$pid"
same "before the end, which is clean" 0 $?

echo "# a bit that flips before it is signed"
new_log "witness w $(cat "$W/w.pub") $(url w)" "quorum w"
echo "quorum-timeout-ms 1000" >>"$W/log/config"
serve
status "committed, but its head has no quorum" 503 "$(post "$W/e0")"
stop log KILL
cp -r "$W/log/data" "$W/good-data"
sed -i 's/^quorum w/quorum none/' "$W/log/policy"
sig=$(sed 's/.*"sig":"//; s/".*//' "$W/e0" | cut -c 1-40 | sed 's/[+/]/./g')
case $sig in A*) other=B ;; *) other=A ;; esac
LC_ALL=C sed -i "s/.\(${sig#?}\)/$other\1/g" "$W/log/data/data.mdb"
serve
tries=0
until [ "$(get /healthz)" = 503 ] || [ $tries -gt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
status "it is found when the entries are read back" 503 "$(get /healthz)"
says "and nothing is signed" 'do not hash to the root' "$W/body"
status "or published" 503 "$(get /checkpoint)"
stop log
LC_ALL=C sed -i "s/.\(${sig#?}\)/!\1/g" "$W/log/data/data.mdb"
rm -rf "$W/log/index"
refuses "where an entry to be indexed is none, the log does not start" "entry 0 is no attestation" \
    timeout -k 5 20 stele-log serve "$W/log" --listen 127.0.0.1:0
rm -rf "$W/log/data"; cp -r "$W/good-data" "$W/log/data"
accepts "the control: with the good data it starts" serve
status "the attestation has its proof" 200 "$(post "$W/e0")"
same "at its index" "0 " "$(indices)"
stop log
stop w

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

if [ -x "$STELE_BUILD/bin/stele-witness" ]; then
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
fi
done_testing
