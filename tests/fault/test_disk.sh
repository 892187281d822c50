#!/bin/sh
# Old copies put back, a disk that is full, a reader that was killed. TAP.
. "$(dirname "$0")/lib.sh"
world
driver=
port=$(free_port)
post() { curl -s -m 20 -o "$W/body" -w '%{http_code}' --data-binary "@$1" "http://127.0.0.1:$port/attestations"; }
refuses_to_serve() { refuses "$1" "$2" timeout -k 5 60 stele-log serve "$W/log" --listen "127.0.0.1:$port"; }
# puts_back DIR NAME...: of the copy DIR of the log
puts_back() {
    dir=$1
    shift
    for name in "$@"; do rm -rf "$W/log/$name" && cp -r "$W/$dir/$name" "$W/log/$name"; done
}

echo "# rolled back"
stele-witness init "$W/w" --name w.example/witness >/dev/null 2>&1
w_port=$(free_port)
start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port" || exit 1
empty_log "witness w $(stele-witness key "$W/w") $(url w)" "quorum w"
echo "quorum-timeout-ms 1500" >>"$W/log/config"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >"$W/out" 2>&1
kill -HUP "$(cat "$W/run/w.pid")"
serve && load 30 2 && answered && stop log
cp -r "$W/log" "$W/day"
for n in 600 80 1; do
    rm -rf "$W/batch"
    cp -r "$W/log" "$W/batch"
    serve && load $n 4 && answered && stop log
done
cp -r "$W/log" "$W/now"
accepts "a log of many entries" holds
for age in batch day; do
    size=$(sed -n 2p "$W/now/checkpoint")
    puts_back $age data
    refuses_to_serve "the data of a $age ago is refused" "the signer's last head has $size: data was lost.*stele-log recover .*never remove heads"
    refuses "fsck says so, too" "at size $size, but there are only [0-9]* entries: the data was rolled back" stele-log fsck "$W/log"
    puts_back $age data index
    refuses_to_serve "with the indices of then" "the signer's last head has $size"
    puts_back $age data index heads checkpoint
    refuses_to_serve "all of it, as a witness knows better" "shown by the witness w, has $size"
    stop w
    puts_back now checkpoint
    refuses_to_serve "all but the published checkpoint, and no witness to tell" "the published checkpoint has $size"
    refuses "fsck says so, too" "the published checkpoint is at size $size, but there are only" stele-log fsck "$W/log"
    puts_back $age checkpoint
    : >"$W/run/log.err"
    serve
    make_attestation "$W/builder" 900000 1 >"$W/next"
    same "all of it, and no witness to tell: nothing is taken" 503 "$(post "$W/next")"
    stop log
    same "and nothing signed" "$(cksum <"$W/$age/heads")" "$(cksum <"$W/log/heads")"
    start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port"
    puts_back now data index heads checkpoint
    accepts "the newest copy is right again" holds
    puts_back $age data index heads checkpoint
    rm -rf "$W/mirror" && cp -r "$W/now" "$W/mirror"
    start mirror stele-log serve "$W/mirror" --listen 127.0.0.1:0
    accepts "what is missing of all is taken from a copy" stele-log recover "$W/log" --from "$(url mirror)"
    stop mirror
    accepts "and the log stands by all its answers" holds
    puts_back $age heads
    : >"$W/run/log.err"
    accepts "the signer's head of a $age ago, with newer data, signs what follows from both" holds
    says "and is noticed" "warn stele-log signer-was-behind .*published=$size" "$W/run/log.err"
    serve && load 3 1 && answered && stop log
    accepts "and what comes after is consistent with what was shown" holds
    # The log that went on is the newest now.
    rm -rf "$W/now" && cp -r "$W/log" "$W/now"
done

echo "# the signer's file, damaged"
records=$(($(wc -c <"$W/log/heads") / 128 - 1))
damage() { printf '\377\376' | dd of="$W/log/heads" bs=1 seek=$((128 * $1 + 40)) conv=notrunc 2>"$W/dd"; } # a root's first bytes
cp "$W/log/heads" "$W/heads"
damage $((records - 2))
refuses_to_serve "a record in its middle" "heads: record $((records - 2)) is damaged, and later ones are there"
cp "$W/heads" "$W/log/heads"
damage $records
: >"$W/run/log.err"
accepts "its last record: taken for torn, and signed again, as the data has it" holds
says "which is noticed" "warn stele-log signer-was-behind " "$W/run/log.err"

echo "# damaged, and made anew"
start mirror stele-log serve "$W/now" --listen 127.0.0.1:0
printf '\377' | dd of="$W/log/data/data.mdb" bs=1 seek=$((16 + 128)) conv=notrunc 2>"$W/dd" # the meta page's transaction
refuses_to_serve "a damaged database is refused, with the way out" \
    "data.mdb is damaged: page 0: .* Move it aside .*stele-log recover $W/log --from URL.*never remove heads"
mkdir "$W/damaged" && mv "$W/log/data/data.mdb" "$W/damaged"
accepts "it is made anew from a copy" stele-log recover "$W/log" --from "$(url mirror)"
stop mirror
accepts "and the log stands by all its answers" holds
printf '\377' | dd of="$W/log/index/data.mdb" bs=1 seek=$((16 + 128)) conv=notrunc 2>"$W/dd"
refuses_to_serve "damaged indices, too" "index/data.mdb is damaged: page 0: .*remove DIR/index, and start"
rm -r "$W/log/index"
accepts "they are made anew from the entries" holds
stop w

# used: the bytes of the data that are in use, as the log tells.
used() { curl -s "http://127.0.0.1:$port/metrics" | sed -n 's/^stele_log_data_bytes //p'; }
# grows: how many bytes 300 small commits add to a log that has room, in $grown.
grows() {
    before=$(used)
    load 300 1 && answered
    grown=$(($(used) - before))
}

echo "# a reader that was killed"
empty_log "quorum none"
serve && load 300 1 && answered
grows
alone=$grown
: >"$W/reading"
reader "$W/log/data" >"$W/reading" 2>&1 &
note reader $!
tries=0
until grep -q reading "$W/reading" || [ $tries -gt 1200 ]; do tries=$((tries + 1)) && sleep 0.05; done
grows
held=$grown
stop reader KILL
grows # what was kept is given up, and used again
grows
killed=$grown
echo "# 300 commits alone add $alone bytes, beside a reader $held, after it was killed $killed"
if [ "$held" -gt $((alone * 2)) ]; then ok "control: a reader keeps old pages alive"; else not_ok "control: a reader keeps old pages alive"; fi
if [ "$killed" -lt $((alone * 2)) ]; then ok "a killed one does not"; else not_ok "a killed one does not"; fi
stop log
accepts "all is well" holds
done_testing
