#!/bin/sh
# A log whose folder is an old copy: its witnesses remember, and it says so instead of signing a second history. What a witness
# merely claims is believed by nobody. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# put COPY: that copy of the log's folder.
put() { rm -rf "$W/log" && cp -r "$W/$1" "$W/log"; }
# policy LINE...: in place of what there was.
policy() {
    sed -i '/^witness\|^group\|^quorum/d' "$W/log/policy"
    printf '%s\n' "$@" >>"$W/log/policy"
}
no_start() { timeout -k 5 20 stele-log serve "$W/log" --listen 127.0.0.1:0; }
# fake NAME MODE [NOTE]: a fake witness; its policy line is then in $line.
fake() {
    [ -e "$W/$1" ] || fake_witness key "$1.example/witness" "$W/$1"
    start "$1" fake_witness serve "$W/$1" "$2" ${3:+"$3"}
    line="witness $1 $(cat "$W/$1.pub") $(url "$1")"
}

make_attestation "$W/builder" 9 1 >"$W/e9"
stele-witness init "$W/w" --name w.example/witness >/dev/null 2>&1
w_port=$(free_port)
w="witness w $(stele-witness key "$W/w") http://127.0.0.1:$w_port"
serve_w() { start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port"; }
fake good good
good=$line

new_log "$w" "quorum w"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >/dev/null 2>&1
serve_w
serve
status "an attestation is logged" 200 "$(post "$W/e0")"
stop log
cp -r "$W/log" "$W/size1"
serve
cat "$W/e1" "$W/e2" >"$W/two"
status "and two more" 200 "$(post "$W/two")"
curl -s "$(url log)/checkpoint" >"$W/note3"
stop log
cp -r "$W/log" "$W/size3"

echo "# the whole folder is an old copy"
put size1
refuses "a witness shows more than the data holds: the log does not start" \
    "holds 1 entries, but a head under this log's own signature, shown by the witness w, has 3" no_start
says "and the way out is named" "stele-log recover $W/log --from URL" "$W/out"
cp -r "$W/size3" "$W/mirror"
start mirror stele-log serve "$W/mirror" --listen 127.0.0.1:0
accepts "it works: from another copy" stele-log recover "$W/log" --from "$(url mirror)"
stop mirror
accepts "the log starts again" serve
status "with all that it had ever answered" 200 "$(post "$W/e2")"
same "at its index" "2 " "$(indices)"
stop log
put size3
accepts "the control: the newest copy starts" serve
status "with what it had" 200 "$(post "$W/e2")"
same "at its index" "2 " "$(indices)"
status "and goes on" 200 "$(post "$W/e9")"
same "from the size that the witness shows: no proof went astray" 0 "$(metric conflicts_total w)"
stop log
cp -r "$W/log" "$W/size4"

echo "# the old copy went on without its witness, and has as much"
put size1
policy "quorum none"
serve
make_attestation "$W/builder" 400 3 >"$W/others"
status "three others are logged, and signed" 200 "$(post "$W/others")"
stop log
policy "$w" "quorum w"
refuses "a witness shows another root at a size that the data has" \
    "another root at size 4 than a head under this log's own signature, shown by the witness w," no_start

echo "# a witness that comes back late"
stop w
put size1
policy "$good" "$w" "group any any good w" "quorum any"
accepts "the log starts without it" serve
status "with what it had" 200 "$(get /checkpoint)"
serve_w
same "then it shows what the data lacks: the log stops" 503 "$(soon 503 get /healthz)"
says "and says why" "holds 1 entries, but .* shown by the witness w, has 4" "$W/body"
status "nothing more is taken" 503 "$(post "$W/e1")"
same "or signed" 1 "$(curl -s "$(url log)/metrics" | sed -n 's/^stele_log_signed_size //p')"
status "what was published is served" 200 "$(get /tile/0/000.p/1)"
stop log

echo "# a second process over a copy of the folder, with one witness"
put size4
serve
cp -r "$W/size4" "$W/copy"
start copy stele-log serve "$W/copy" --listen 127.0.0.1:0
status "one goes on" 200 "$(post "$W/others")"
echo "quorum-timeout-ms 2000" >>"$W/copy/config"
first=$(url log)
make_attestation "$W/builder" 500 3 >"$W/more"
curl -s -o "$W/body" --max-time 20 --data-binary "@$W/more" "$(url copy)/attestations"
copy_health() { curl -s -o "$W/body" -w '%{http_code}' "$(url copy)/healthz"; }
same "the other one finds out" 503 "$(soon 503 copy_health)"
says "by what the witness shows" "another root at size 7 than a head under this log's own signature" "$W/body"
status "the first is as it was" 200 "$(curl -s -o "$W/body" -w '%{http_code}' "$first/healthz")"
stop copy
stop log
cp -r "$W/log" "$W/size7"

echo "# what a witness merely claims"
# Another log of this name, with more in it; our own note with another size; no note.
cp -r "$W/log" "$W/ours"
new_log "quorum none"
serve
status "the control: another log of the same name" 200 "$(post "$W/many")"
curl -s "$(url log)/checkpoint" >"$W/note-foreign"
stop log
sed '2s/3/9000/' "$W/note3" >"$W/note-altered"
echo "no note" >"$W/note-garbage"
head -c 100000 /dev/zero | tr '\0' 'a' >"$W/note-long"
for claim in foreign altered garbage long; do
    put size7
    fake claims good "$W/note-$claim"
    policy "$line" "quorum claims"
    accepts "$claim: the log starts" serve
    if [ $claim = long ]; then
        status "$claim: what never says what it has is asked for nothing" 503 "$(post "$W/more")"
        says "$claim: and is named" 'witness-failed witness="?claims"? .*more than' "$W/run/log.err"
    else
        status "$claim: and goes on" 200 "$(post "$W/e2")"
        says "$claim: it is that witness's fault" 'witness-failed witness="?claims"? .*not signed by this log' "$W/run/log.err"
        at_least "$claim: and counted" 1 "$(soon_some metric failures_total claims)"
    fi
    stop log
    stop claims
    : >"$W/run/log.err"
done
echo "# the witness cannot be reached, or says nothing"
fake hang hang
put size7
policy "$w" "$line" "witness gone $(cat "$W/good.pub") http://127.0.0.1:9" "group any any w hang gone" "quorum any"
accepts "beside one that answers, the log starts" serve
make_attestation "$W/builder" 600 50 >"$W/load"
accepts "and takes what comes" log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 2
at_most "while the silent one was asked but once or twice" 10 "$(metric requests_total hang)"
stop log
policy "$line" "quorum hang"
accepts "where it is the only one, the log starts" serve
status "nothing new is taken" 503 "$(post "$W/more")"
says "before it has said what it has" "no quorum of witnesses has said yet" "$W/body"
status "what was published before is not shown under a policy that it does not satisfy" 503 "$(get /checkpoint)"
stop log
done_testing
