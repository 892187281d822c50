#!/bin/sh
# Our log in front of tests/conformance, and servers that are wrong on purpose, which it must find. (Our witness has
# test_witness_letter.sh.) TAP.
. "$(dirname "$0")/lib.sh"
. "$here/log_lib.sh"
. "$here/conformance_lib.sh"

# A log of which every SHOULD can be asked: its origin is its address.
port=$(free_port)
origin=127.0.0.1:$port
make_attestation "$W/builder" 1000 300 >"$W/more"
new_log "quorum none"
serve_at || exit 1
vkey=$(stele-log key "$W/log")
status "300 entries" 200 "$(post "$W/many")"
curl -s -o "$W/old" "$(url log)/checkpoint"
status "600 entries" 200 "$(post "$W/more")"
conformance log "$(url log)" "$vkey" --old "$W/old" >"$W/table" 2>"$W/err"
same "our log does all that it must" 0 $?
table "$W/table"
same "what it should do and does not: ML-DSA-44" \
    "tlog-checkpoint, Signatures: the log signs with ML-DSA-44" "$(fails SHOULD "$W/table")"
same "nothing but other formats and a minimum index that is not published was left out" 2 \
    "$(open_musts "$W/table" | wc -l | tr -d ' ')"

echo "# an empty log"
stop log
new_log "quorum none"
serve_at
conformance log "$(url log)/" "$(stele-log key "$W/log")" >"$W/table" 2>"$W/err"
same "an empty log does all that it must" 0 $?
stop log

# finds WHAT REGEX: the newest table has such a failure, with its exchange.
finds() {
    grep -Eq "^fail +MUST.*$2" "$W/table" && ok "$1" || {
        not_ok "$1"
        sed 's/^/# /' "$W/table"
    }
}

echo "# copies of a log, each wrong in one thing: the server is nginx, which knows no tlog-tiles"
mkdir "$W/tiles"
witness_log tiles wrong.example 600 "$W/tiles" >"$W/ignored"
key=$(witness_log vkey wrong.example)
static_server copy "$W/tiles" || exit 1
conformance log "$(url copy)" "$key" >"$W/table" 2>"$W/err"
same "a log without entries, from a server of plain files, fails" 1 $?
finds "it finds that entries are not there" "entries, each with its length, hash to the level 0 tile"
finds "and that the first are gone" "without such a policy nothing is pruned"
finds "and the content type of the checkpoint" "as text/plain; charset=utf-8"
says "and says what was asked" "> GET http.*/tile/entries/000" "$W/table"
says "and what was answered" "< 404" "$W/table"
printf X | dd of="$W/tiles/tile/0/001" bs=1 seek=77 conv=notrunc 2>"$W/ignored"
conformance log "$(url copy)" "$key" >"$W/table" 2>"$W/err"
finds "it finds a hash that is another" "all lead to the signed root"
head -c 8160 "$W/tiles/tile/0/000" >"$W/short" && cp "$W/short" "$W/tiles/tile/0/000"
conformance log "$(url copy)" "$key" >"$W/table" 2>"$W/err"
finds "it finds a full tile that is short" "a full tile has 256 hashes"
mkdir -p "$W/tiles/tile/00"
cp "$W/short" "$W/tiles/tile/00/000"
cp "$W/short" "$W/tiles/tile/1/000.p/3"
rm "$W/tiles/tile/0/002.p/88"
conformance log "$(url copy)" "$key" >"$W/table" 2>"$W/err"
finds "it finds a partial tile that is not there" "the partial tiles of the checkpoint's size are served"
finds "it finds a path that is none" "a level is a decimal"
finds "it finds a partial tile in the level above" "a partial tile is not hashed into the level above"
witness_log note wrong.example 300 5 >"$W/old"
conformance log "$(url copy)" "$key" --old "$W/old" >"$W/table" 2>"$W/err"
finds "it finds a fork" "no two checkpoints are inconsistent"
conformance log "$(url copy)" "$(witness_log vkey wrong.example 1)" >"$W/table" 2>"$W/err"
finds "it finds that the key is another" "it carries an Ed25519 signature by the log"

echo "# a witness that cosigns whatever it is sent, and one that answers 409 to all"
fake_witness key fake.example/witness "$W/fake" >"$W/ignored"
start good fake_witness serve "$W/fake" good
conformance witness "$(url good)" "$(cat "$W/fake.pub")" >"$W/table" 2>"$W/err"
same "it fails" 1 $?
for what in "an unknown origin gets 404" "no signature by a trusted key gets 403" "a trusted key's line that fails gets 403" \
    "gets 409" "a consistency proof that does not hold gets 422" "the same size with another root gets 422" \
    "an old size above the checkpoint's gets 400" "what failed a check is neither cosigned" "the old size is 'old'"; do
    finds "it finds: $what" "$what"
done
says "what it does right passes" "^pass +MUST .*the witness's cosignatures over this checkpoint" "$W/table"
for mode in elsewhere fork otherkey garbage; do
    start "$mode" fake_witness serve "$W/fake" "$mode"
    conformance witness "$(url "$mode")" "$(cat "$W/fake.pub")" >"$W/table" 2>"$W/err"
    finds "it finds what the mode $mode does" "they are the witness's cosignatures over this checkpoint"
    stop "$mode"
done
start closes fake_witness serve "$W/fake" closes
conformance witness "$(url closes)" "$(cat "$W/fake.pub")" >"$W/table" 2>"$W/err"
same "a witness that answers nothing is not passed" 4 $?
done_testing
