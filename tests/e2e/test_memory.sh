#!/bin/sh
# The client's memory of heads: a log that forks is found at once or when it answers, the evidence convinces others, and nobody
# believes the log any more; one that goes back is not looked up. Real logs and a witness that was copied with its key. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

port=$(free_port)
w_port=$(free_port)
# branch NAME: the log and its witness as they are in $W/NAME.
branch() {
    stop log
    stop w
    rm -rf "$W/log" "$W/w"
    cp -r "$W/$1/log" "$W/$1/w" "$W"
    start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port" && serve_at
}
# keep NAME: both as they are now. Whoever runs the witness on two of these colludes with the log.
keep() {
    stop log
    stop w
    rm -rf "${W:?}/$1"
    mkdir "$W/$1"
    cp -r "$W/log" "$W/w" "$W/$1"
}
# bundle NAME FIRST N: attestations FIRST to FIRST + N - 1 are posted, and the status printed; the last one's bundle is in
# $W/NAME.tlog-proof.
bundle() {
    make_attestation "$W/builder" "$2" "$3" >"$W/load"
    post "$W/load"
    awk '/^c2sp.org\/tlog-proof@v1$/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' "$W/body" >"$W/$1.tlog-proof"
}
proof() { status "$1 is logged" 200 "$(soon 200 bundle "$@")"; }
root() { sed -n '/^$/,$p' "$W/$1.tlog-proof" | sed -n 4p; }
# narinfo N: what a cache says of the path of attestation N, in $W/cache.
narinfo() {
    mkdir -p "$W/cache"
    payload=$(make_attestation "$W/builder" "$1" 1 | sed 's/.*"payload":"//; s/".*//' | base64 -d)
    hash=$(echo "$payload" | grep -o '"sha256":"[0-9a-f]*"' | head -n 1 | cut -d'"' -f4)
    printf 'StorePath: %s\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:%s\nNarSize: %s\nReferences: \n' \
        "$(make_attestation path "$1")" "$hash" $((4096 + $1)) >"$W/cache/$(part "$1").narinfo"
}
# user NAME [URL]: a fresh state for a user whose policy names the log, with its address or without.
user() {
    mkdir -p "$W/$1"
    { echo "log $(stele-log key "$W/log") ${2:-}" && sed -n '/^witness/p; /^quorum/p' "$W/log/policy"; } >"$W/$1/policy"
    printf 'builder ci %s\nquorum ci\n' "$(cat "$W/builder.pub")" >"$W/$1/trust"
    printf 'policy policy\ntrust trust\nstate state\nstore-dir /nix/store\nupstream file://%s/cache\n' "$W" >"$W/$1/stele.conf"
    export STELE_CONFIG="$W/$1/stele.conf"
    memory=$W/$1/state/heads/$(printf %s $origin | sha256sum | cut -d' ' -f1)
    evidence=$W/$1/state/evidence/$(printf %s $origin | sha256sum | cut -d' ' -f1)
}
head_size() { sed -n '/^$/,$p' "$memory" | sed -n 3p; }
loose() { grep -c '^loose ' "$memory"; }
trace() { stele trace "$(make_attestation path "$1")"; }
why() { stele why "$(make_attestation path "$1")"; }
no_such() { ! [ -e "$1" ]; }

stele-witness init "$W/w" --name w.example >/dev/null 2>&1
new_log "witness w $(stele-witness key "$W/w") http://127.0.0.1:$w_port" "quorum w"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >/dev/null 2>&1
start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port" || exit 1
serve_at || exit 1
proof three 0 3
keep common
branch common
proof b4 100 1
proof b6 101 2
keep b
branch common
proof a4 3 1
proof a5 4 1
keep a
branch a
proof a305 10 300
narinfo 3
narinfo 4
narinfo 100
url=http://127.0.0.1:$port

echo "# one size, two roots"
user one
accepts "a proof verifies, without any network" stele verify "$W/a4.tlog-proof"
same "and its head is remembered" 4 "$(head_size)"
accepts "the same proof again changes nothing" stele verify "$W/a4.tlog-proof"
same "at all" 0 "$(loose)"
refuses "a proof of another history of the same size, under the quorum: a fork" "FORKED" stele verify "$W/b4.tlog-proof"
accepts "the evidence convinces others" stele verify-evidence "$evidence"
says "that the log signed two histories" "PROVEN" "$W/out"
refuses "what was believed before is believed no more" "NOT verified.*FORKED" stele verify "$W/a4.tlog-proof"
says "and the user is told loudly" "WARNING: the log $origin FORKED" "$W/out"
refuses "every verb tells" "WARNING: the log $origin FORKED" why 3
user both
refuses "both at once: neither counts" "0 verified, 2 not" stele verify "$W/a4.tlog-proof" "$W/b4.tlog-proof"
# The second of three files is long: on two processors one thread has it, and another those before and after it.
user in_order
for _ in $(seq 200); do cat "$W/three.tlog-proof"; done >"$W/some.tlog-proof"
for _ in $(seq 1000); do cat "$W/a4.tlog-proof"; done >"$W/long.tlog-proof"
refuses "many threads: none of what forked counts" "0 verified, 1201 not" \
    stele verify "$W/some.tlog-proof" "$W/long.tlog-proof" "$W/b4.tlog-proof"
same "what is remembered was seen first in the order of the files" 3 "$(head_size)"
accepts "there is the evidence" stele verify-evidence "$evidence"
same "of which the first head is the earlier file's" "$(root a4)" "$(sed -n 's/^  first head: 4 entries, root //p' "$W/out")"
user control
accepts "the control: an honest log's proofs of two sizes" stele verify "$W/a4.tlog-proof" "$W/a305.tlog-proof"

echo "# two sizes: only the log's tree tells"
user two "$url"
accepts "a proof of another history and size cannot be told from an honest one" stele verify "$W/three.tlog-proof" "$W/b6.tlog-proof"
same "its head is remembered, and is loose" 1 "$(loose)"
refuses "when the log answers, it is no part of the tree that it shows" "FORKED" why 3
accepts "the evidence needs no log" stele verify-evidence "$evidence"
says "it is two sizes, and what the root was" "first head: 6 entries" "$W/out"
user other_way "$url"
accepts "the other way round: first the head that the log will show" stele verify "$W/a305.tlog-proof" "$W/b6.tlog-proof"
refuses "it is found as well" "FORKED" why 3
user honest "$url"
accepts "the control: heads of four sizes of one history" stele verify "$W/three.tlog-proof" "$W/a305.tlog-proof" "$W/a4.tlog-proof" "$W/a5.tlog-proof"
same "three of them loose" 3 "$(loose)"
accepts "when the log answers, its look-up is believed" why 3
same "and all are tied" 0 "$(loose)"
same "to the newest" 305 "$(head_size)"
user grown "$url"
accepts "a head of before the log grew" stele verify "$W/a4.tlog-proof"
accepts "the log shows one that nobody has seen" why 3
same "it takes the place of what it holds" 305 "$(head_size)"
same "and stands there once" 0 "$(loose)"
accepts "the memory can be read again" why 3
accepts "and nothing is put aside" no_such "$memory.damaged"

echo "# many at once"
user crowd
(
    for i in 1 2 3 4 5 6; do
        for p in three a4 a5 a305; do stele verify "$W/$p.tlog-proof" >"$W/out.$i.$p" 2>&1 & done
    done
    wait
)
same "nothing that 24 processes saw is lost" "1 3" "$(grep -c '^head ' "$memory") $(loose)"
same "and all verified" 24 "$(grep -l "index .* in $origin" "$W"/out.* | wc -l)"

echo "# a second history without the quorum"
user heard
accepts "a proof" stele verify "$W/a4.tlog-proof"
grep -v '^— w.example' "$W/b4.tlog-proof" >"$W/short.tlog-proof"
refuses "a conflicting head without the witness's cosignature" "NOT verified.*quorum" stele verify "$W/short.tlog-proof"
says "is told" "log-signed-twice" "$W/out"
accepts "and kept as evidence" stele verify-evidence "$evidence.unwitnessed"
accepts "what is under the quorum still counts" stele verify "$W/a4.tlog-proof"
says "with a word about it" "WARNING: the log $origin signed a second history" "$W/out"
accepts "there is no fork under the quorum" no_such "$evidence"
grep -v '^— w.example' "$W/a5.tlog-proof" >"$W/short.tlog-proof"
user unheard
accepts "the control: a proof" stele verify "$W/a4.tlog-proof" "$W/a5.tlog-proof"
refuses "and a head without the quorum that conflicts with nothing" "NOT verified.*quorum" stele verify "$W/short.tlog-proof"
accepts "is no evidence" no_such "$evidence.unwitnessed"

echo "# the gate hears it from a cache, too"
nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public" >"$W/out" 2>&1
# gate_of NAME: that user's gate.
gate_of() {
    user "$1"
    echo "signing-key $W/gate.secret" >>"$W/$1/stele.conf"
    stop gate
    start gate stele gate --config "$STELE_CONFIG" --listen 127.0.0.1:0 || exit 1
}
asked() { curl -s -o "$W/out" -w '%{http_code}' "$(url gate)/$(part "$1").narinfo"; }
cp "$W/a4.tlog-proof" "$W/cache/$(part 3).tlog-proof"
cp "$W/b4.tlog-proof" "$W/cache/$(part 100).tlog-proof"
gate_of gated
same "a path whose proof is of one history passes" 200 "$(asked 3)"
same "one with a proof of another, under the quorum, does not" 404 "$(asked 100)"
says "because the log forked" FORKED "$W/out"
accepts "which is kept as evidence" stele verify-evidence "$evidence"
same "the first one passes no more" 404 "$(asked 3)"
grep -v '^— w.example' "$W/b4.tlog-proof" >"$W/cache/$(part 100).tlog-proof"
gate_of gate_heard
same "the same without the quorum: the first" 200 "$(asked 3)"
same "and the other, that is refused for want of the quorum" 404 "$(asked 100)"
accepts "and is kept as evidence" stele verify-evidence "$evidence.unwitnessed"
says "and told" "log-signed-twice" "$W/run/gate.err"
same "what is under the quorum still passes" 200 "$(asked 3)"
cat "$W/a4.tlog-proof" "$W/cache/$(part 100).tlog-proof" >"$W/cache/$(part 3).tlog-proof"
gate_of gate_beside
same "one that stands beside a good proof changes nothing" 200 "$(asked 3)"
accepts "and is kept as evidence as well" stele verify-evidence "$evidence.unwitnessed"
stop gate
rm "$W"/cache/*.tlog-proof

echo "# an answer of the log that itself shows the fork: nothing of it counts, also what came first"
mkdir "$W/liar"
sed '1,/^$/d' "$W/a4.tlog-proof" >"$W/liar/checkpoint"
nginx_server liar "root $W/liar; add_header Stele-Answered 1; location /output { error_page 405 =200 /answer; try_files /answer =404; }" || exit 1
# liar NAME LAST: a fresh user, whose log gives for whatever is asked a good proof, and LAST so late that the first one counted by then:
# proofs are verified in runs of sixteen.
liar() {
    { cat "$W/a4.tlog-proof" && for _ in $(seq 15); do cat "$W/three.tlog-proof"; done && cat "$W/$2.tlog-proof"; } >"$W/liar/answer"
    user "$1" "$(url liar)"
}
# found WHAT REASON COMMAND...: refused, and the fork is told and kept.
found() {
    refuses "$@"
    says "since the log forked" "log-forked why=.the log $origin FORKED" "$W/out"
    accepts "of which there is the evidence" stele verify-evidence "$evidence"
}
liar liar-why b4
found "why refuses the path" "no attestation of this path was found" why 3
liar honest-why a5
accepts "the control: both proofs of one history" why 3
audit() { stele audit --cache "$W/cache" "$(make_attestation path 3)"; }
liar liar-audit b4
found "to audit it is unexplained" "^unexplained .*-pkg-3: nobody answers for it" audit
liar honest-audit a5
accepts "the control: both of one history" audit
says "it is attested" "^attested .*-pkg-3: attested by builder ci" "$W/out"
# More than are asked for at once: the fork comes out when the first ten thousand have been judged.
mkdir "$W/crowded"
cp "$W/cache/$(part 3).narinfo" "$W/crowded/"
awk -v dir="$W/crowded" 'BEGIN { for (i = 0; i < 10000; i++) { part = sprintf("z%031d", i); file = dir "/" part ".narinfo"
    printf "StorePath: /nix/store/%s-x\nURL: nar/x.nar\nNarHash: sha256:%052d\nNarSize: 1\nReferences: \n", part, 0 >file; close(file) } }'
nginx_server late "root $W/liar; set \$n 1; if (\$content_length ~ ^......) { set \$n 10000; } add_header Stele-Answered \$n;
    location /output { error_page 405 =200 /answer-\$n; try_files /answer-\$n =404; }" || exit 1
cp "$W/a4.tlog-proof" "$W/liar/answer-10000"
audit_many() { stele audit --quiet --cache "$W/crowded"; }
cp "$W/a5.tlog-proof" "$W/liar/answer-1"
user honest-late "$(url late)"
refuses "many paths, and the last are of one history with the first" "10000 paths are unexplained" audit_many
says "of which one is attested" "^10001 paths: 1 attested, 10000 unexplained" "$W/out"
cp "$W/b4.tlog-proof" "$W/liar/answer-1"
user liar-late "$(url late)"
refuses "the last are of another history: what was said before does not stand" \
    "the log $origin FORKED, as came out after 10000 paths, .*audit again" audit_many
refuses "again, nothing of that log counts" "10001 paths are unexplained" audit_many
liar liar-trace b4
found "trace finds no attestation" "ends at once: not attested: .*, no attestation of this path was found" trace 3
liar honest-trace a5
refuses "the control: both of one history, and it goes by what the attestation says" "ends at once: its closure digest" trace 3

echo "# damage, and a disk that is not ours"
user damaged
accepts "a proof" stele verify "$W/a4.tlog-proof"
echo rubbish >>"$memory"
accepts "a damaged memory makes no proof wrong" stele verify "$W/a4.tlog-proof"
says "it is told" "head-memory-damaged" "$W/out"
accepts "put aside" test -s "$memory.damaged"
same "and begun anew" 4 "$(head_size)"
user unwritable
: >"$W/unwritable/state"
accepts "where nothing can be remembered, proofs are still proofs" stele verify "$W/a4.tlog-proof"
says "with a word about it" "head-not-remembered" "$W/out"

echo "# a log that goes back"
user back "$url"
accepts "the log shows 305 entries" why 3
keep a305
branch a
same "then it shows 5" 5 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
refuses "a path for which it alone is asked is refused" "ROLLED BACK: it showed 305 entries before, and shows 5 now" why 3
refuses "for want of an attestation that is believed" "no attestation" why 3
cp "$W/back/trust" "$W/trust"
printf 'builder other %s\nquorum other\n' "$(cat "$W/other.pub")" >"$W/back/trust"
refuses "nor does trace believe it that a stranger attested the path" "no attestation of this path was found$" trace 3
same "it says why, once" 1 "$(grep -c '^  log .*ROLLED BACK: it showed 305 entries before' "$W/out")"
cp "$W/trust" "$W/back/trust"
cp "$W/a4.tlog-proof" "$W/cache/$(part 3).tlog-proof"
accepts "the control: an old sidecar of that log still counts" why 3
rm "$W/cache/$(part 3).tlog-proof"
branch a305
accepts "when it shows them again, it is looked up again" why 3
printf 'builder other %s\nquorum other\n' "$(cat "$W/other.pub")" >"$W/back/trust"
refuses "by trace as well" "only by an unknown builder" trace 3
cp "$W/trust" "$W/back/trust"
stop log
refuses "a log that is down opens nothing, and the user is told" "log $origin: .*$port" why 4
cp "$W/a5.tlog-proof" "$W/cache/$(part 4).tlog-proof"
accepts "the control: with a sidecar no log is needed" why 4
echo "# more heads than are remembered: a cache whose sidecars were made over a year"
branch a
user year
smallest_loose() { sed -n '/^$/,$p' "$memory" | grep -A 1 -x "$origin" | sed -n 5p; }
for n in $(seq 1000 1065); do soon 200 bundle "year-$n" "$n" 1; done >"$W/out"
# The first file's is the head that the others are loose beside, and stays.
accepts "proofs under 66 heads" stele verify "$W"/year-*.tlog-proof
same "of which the first and the largest others stay" "6 64 8" "$(head_size) $(loose) $(smallest_loose)"
before=$(stat -c '%i %z' "$memory")
accepts "smaller ones verify" stele verify "$W/a5.tlog-proof" "$W/year-1001.tlog-proof"
same "and nothing is written: they would not stay" "$before 8" "$(stat -c '%i %z' "$memory") $(smallest_loose)"
proof last 1066 1
accepts "control: a larger one" stele verify "$W/last.tlog-proof"
same "takes the place of the smallest" "64 9" "$(loose) $(smallest_loose)"
done_testing
