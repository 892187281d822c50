#!/bin/sh
# `stele-log fsck --from URL`: an auditor reads a remote log entry by entry, goes on where it stopped, and finds whatever a log or
# its copy serves that is not what was signed. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# audit WHERE [OPTION...]: of the log at URL WHERE, under its policy.
audit() {
    where=$1
    shift
    timeout 300 stele-log fsck --from "$where" --policy "$W/log/policy" --patience 30 "$@"
}
# grow FIRST N: attestations, in requests of 2,000.
grow() {
    make_attestation "$W/builder" "$1" "$2" | split -l 2000 - "$W/grow."
    for part in "$W"/grow.*; do [ "$(post "$part")" = 200 ] || not_ok "growing"; done
    rm "$W"/grow.*
}

new_log "quorum none"
vkey=$(stele-log key "$W/log")
serve
grow 100000 6000
make_attestation "$W/builder" 200000 1 400 >"$W/long"
status "an attestation with an input list" 200 "$(post "$W/long")"

echo "# a log as it should be"
accepts "the log is right" audit "$(url log)" --full
says "all of it" "log.example/test: 6001 entries, 6001 of them read now, .* each with its signature" "$W/out"
accepts "under its key alone" stele-log fsck --from "$(url log)/" --key "$vkey"
if command -v script >"$W/got"; then
    script -qec "stele-log fsck --from $(url log) --key $vkey" /dev/null >"$W/tty" 2>&1
    says "on a terminal it shows how far it is" 'checking entries  \[[#.]{30}\] 4096/6001' "$W/tty"
    stele-log backup "$W/log" "$W/backup" >"$W/got" 2>&1
    script -qec "stele-log fsck $W/backup" /dev/null >"$W/tty" 2>&1
    says "as with a folder" 'checking entries  \[[#.]{30}\] 4096/6001' "$W/tty"
else
    skipped "on a terminal it shows how far it is" "script is not installed"
fi
refuses "not under another's" "checkpoint" stele-log fsck --from "$(url log)" --key "$(cat "$W/other.pub")"
sed "s/^quorum none/witness w $(fake_witness key w.example "$W/w" >/dev/null; sed 's/[&/]/\\&/g' "$W/w.pub")\nquorum w/" "$W/log/policy" >"$W/strict"
refuses "nor under a quorum that did not cosign it" "quorum" stele-log fsck --from "$(url log)" --policy "$W/strict"
refuses "nobody's word is taken" "who must have signed" stele-log fsck --from "$(url log)"
refuses "a folder or a URL" "either" stele-log fsck "$W/log" --from "$(url log)" --key "$vkey"

echo "# a copy of it on a static server"
mirror "$W/mirror"
static_server mirror "$W/mirror"
accepts "the copy is right" audit "$(url mirror)"
accepts "as files, too" audit "file://$W/mirror"
refuses "its input list was not copied" "input list [0-9a-f]{64} is missing, which entry 6000 names" audit "$(url mirror)" --full
says "which stops nothing else" "6001 entries, 6001 of them read now" "$W/out"
list=$(head -n 1 "$W/long" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | sha256sum | cut -d' ' -f1)
mkdir "$W/mirror/inputs"
curl -s -o "$W/mirror/inputs/$list" "$(url log)/inputs/$list"
accepts "control: with the list it is right in full" audit "$(url mirror)" --full
echo >>"$W/mirror/inputs/$list"
refuses "another list under its name is none" "input list $list is missing" audit "$(url mirror)" --full

cp -r "$W/mirror" "$W/packed"
find "$W/packed/tile/entries" -type f -exec gzip {} +
static_server packed "$W/packed"
same "a copy that has its bundles packed alone does not give them unasked" 404 \
    "$(curl -s -o "$W/body" -w '%{http_code}' "$(url packed)/tile/entries/000")"
accepts "it is asked for what is packed" audit "$(url packed)"
says "and read all the same" "6001 entries, 6001 of them read now" "$W/out"
head -c 40000000 /dev/zero | gzip >"$W/packed/tile/entries/003.gz"
refuses "what is small, and large when it is unpacked, is not unpacked" "more than [0-9]* bytes" audit "$(url packed)"
stop packed

# altered FILE: to be put back by `back`. flip FILE AT: flips a bit.
altered() { cp "$W/mirror/$1" "$W/whole"; altered_file=$1; }
back() { rm -f "$W/mirror/$altered_file"; cp "$W/whole" "$W/mirror/$altered_file"; }
flip() {
    altered "$1"
    printf "$(printf '\\%03o' $(($(od -An -tu1 -j "$2" -N1 "$W/mirror/$1") ^ 1)))" |
        dd of="$W/mirror/$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
echo "# what a copy may get wrong, or a server do on purpose"
flip tile/entries/017 50000
refuses "a bit in an entry" "tile 17 of level 0 is not what its entries give" audit "$(url mirror)"
back
flip tile/0/005 4000
refuses "a bit in a tile" "tile 5 of level 0 is not what its entries give" audit "$(url mirror)"
back
flip tile/1/000.p/23 40
refuses "a bit in a tile above" "checkpoint signs|level 1" audit "$(url mirror)"
back
flip tile/entries/023.p/113 0
refuses "a length" "bundle 23" audit "$(url mirror)"
back
altered tile/entries/017
head -c 3000 "$W/whole" >"$W/mirror/tile/entries/017"
refuses "a bundle that is cut" "bundle 17 of the remote log: the entry bundle is cut" audit "$(url mirror)"
cat "$W/whole" "$W/whole" >"$W/mirror/tile/entries/017"
refuses "one that has more entries" "bundle 17 .* after its 256 entries" audit "$(url mirror)"
rm "$W/mirror/tile/entries/017"
refuses "a bundle that is missing" "no tile/entries/017" audit "$(url mirror)"
truncate -s 100G "$W/mirror/tile/entries/017"
# AddressSanitizer wants the whole address space.
case $STELE_BUILD in */asan) memory=unlimited ;; *) memory=2000000 ;; esac
refuses "a bundle without end" "more than [0-9]* bytes" sh -c "ulimit -v $memory; timeout 300 stele-log fsck --from $(url mirror) --key '$vkey'"
back
altered checkpoint
truncate -s 2M "$W/mirror/checkpoint"
refuses "a checkpoint without end" "more than [0-9]* bytes" audit "$(url mirror)"
head -c 500 /dev/urandom >"$W/mirror/checkpoint"
refuses "a checkpoint that is none" "checkpoint" audit "$(url mirror)"
back
altered tile/0/023.p/113
mv "$W/mirror/tile/0/023.p" "$W/partial"
{ cat "$W/whole"; head -c $((32 * 143)) /dev/zero; } >"$W/mirror/tile/0/023"
accepts "a partial tile that has become full since is taken from it" audit "$(url mirror)"
rm "$W/mirror/tile/0/023"; mv "$W/partial" "$W/mirror/tile/0/023.p"
accepts "control: the copy is right again" audit "$(url mirror)"
pid=$(cat "$W/run/log.pid")
kill -STOP "$pid"
refuses "a server that never answers" "[Tt]imeout" timeout 60 stele-log fsck --from "$(url log)" --key "$vkey" --patience 1
kill -CONT "$pid"
stop mirror
refuses "or is not there" "[Cc]onnect" audit "$(url mirror)"

echo "# going on"
altered tile/entries/018
rm "$W/mirror/tile/entries/018"
refuses "an audit that breaks off" "no tile/entries/018" audit "file://$W/mirror" --state "$W/state"
says "remembers how far it came" "^verified 4096 " "$W/state"
back
accepts "and goes on from there" audit "file://$W/mirror" --state "$W/state"
says "with the rest alone" "6001 entries, 1905 of them read now" "$W/out"
accepts "again" audit "file://$W/mirror" --state "$W/state"
says "it reads the last bundle alone" "6001 entries, 113 of them read now" "$W/out"
sed 's/^verified 6001 ..../verified 6001 AAAA/' "$W/state" >"$W/bad"
refuses "a state that was altered" "do not give the root" audit "file://$W/mirror" --state "$W/bad"
sed 's/^verified 6001/verified 6002/' "$W/state" >"$W/bad"
refuses "or contradicts itself" "contradict" audit "file://$W/mirror" --state "$W/bad"
sed '$d' "$W/state" >"$W/bad"
refuses "or was cut" "bad" audit "file://$W/mirror" --state "$W/bad"
cp "$W/state" "$W/state.6001"
grow 300000 500
accepts "the log has grown" audit "$(url log)" --state "$W/state"
says "and what is new is read" "6501 entries, 613 of them read now" "$W/out"
refuses "the copy is behind what was seen" "shows 6001 entries, and showed 6501 before: it was rolled back" audit "file://$W/mirror" --state "$W/state"
says "and the evidence is kept" "^6001$" "$W/state.conflict"
stop log

echo "# another history under the same key"
cp -r "$W/log" "$W/honest"
rm -rf "$W/log/data" "$W/log/index" "$W/log/checkpoint" "$W/log/heads"
cp "$W/honest/key.pub" "$W/log/key.pub"
stele-log init "$W/fresh" --origin $origin >/dev/null 2>&1
cp "$W/fresh/heads" "$W/log/heads"
serve
grow 400000 6700
accepts "control: it is a log, too" audit "$(url log)"
refuses "but not the one that was seen before" "consistency proof.*|conflict" audit "$(url log)" --state "$W/state"
says "its checkpoint is kept beside the other" "^6700$" "$W/state.conflict"
says "which stays as it was" "^6501$" "$W/state"
echo "# entries and tiles that fit each other, under a checkpoint that is not theirs"
mirror "$W/liar"
cp "$W/mirror/checkpoint" "$W/liar/checkpoint"
head -c $((23 * 32)) "$W/liar/tile/1/000.p/26" >"$W/liar/tile/1/000.p/23"
rm "$W/liar/tile/entries/018" # the end is never reached
refuses "they are held against it before the end" "the entries up to 4096 are not those that the checkpoint signs" \
    audit "file://$W/liar" --state "$W/liar.state"
says "and not called verified" "^verified 0 " "$W/liar.state"
stop log
done_testing
