#!/bin/sh
# `stele-log recover`: an old copy of a log's data is noticed, and what is missing comes back from a mirror, another copy or proof
# bundles, proven; input lists as well, and one that nobody has stops nothing. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

grow() {
    make_attestation "$W/builder" "$1" "$2" | split -l 2000 - "$W/grow."
    for part in "$W"/grow.*; do [ "$(post "$part")" = 200 ] || not_ok "growing"; done
    rm "$W"/grow.*
}
recover() { timeout 300 stele-log recover "$W/log" --patience 30 "$@"; }
not_served() { timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0; }
# put_back WHAT: $W/log again as it was at last, with this copy of the data.
put_back() {
    rm -rf "$W/log" && cp -r "$W/good" "$W/log"
    rm -rf "$W/log/data" && cp -r "$W/$1" "$W/log/data"
}
is_whole() {
    accepts "$1: everything is right" stele-log fsck "$W/log" --full
    says "$1: all of it" "3302 entries" "$W/out"
}

new_log "quorum none"
serve
grow 100000 1000
make_attestation "$W/builder" 200000 1 400 >"$W/long1"
status "an attestation with an input list" 200 "$(post "$W/long1")"
stop log
cp -r "$W/log/data" "$W/data1001"
cp -r "$W/log" "$W/log1001"
serve
grow 110000 2000
mirror "$W/mirror3001"
make_attestation "$W/builder" 200001 1 500 >"$W/long2"
status "and another" 200 "$(post "$W/long2")"
grow 120000 300
mirror "$W/mirror"
last=3000
while [ "$(get "/builder/$builder?after=$last")" = 200 ]; do
    cp "$W/body" "$W/bundles.$last"
    last=$(indices | tr ' ' '\n' | sed '/^$/d' | tail -n 1)
done
stop log
accepts "control: what was logged" stele-log fsck "$W/log" --full
cp -r "$W/log" "$W/good"
list1=$(head -n 1 "$W/long1" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | sha256sum | cut -d' ' -f1)
list2=$(head -n 1 "$W/long2" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | tee "$W/list2" | sha256sum | cut -d' ' -f1)

echo "# old data, and a mirror"
put_back data1001
refuses "old data is not served, and the way out is said" "holds 1001 entries, but the signer's last head has 3302.*stele-log recover .* --from URL" not_served
refuses "fsck says so too" "rolled back.*stele-log recover" stele-log fsck "$W/log"
refuses "recover alone has nothing to take" "entries 1001 to 3301 are still missing" recover
refuses "from a mirror without input lists" "all entries are here; 1 input lists are not" recover --from "file://$W/mirror"
says "it takes the entries" "3302 entries, 2301 of them recovered" "$W/out"
says "and names the list" "input list $list2 is missing, which entry 3001 names" "$W/out"
accepts "the log is served" serve
same "at its published head" 3302 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
status "the list that was not lost is there" 200 "$(get "/inputs/$list1")"
status "the other is not" 404 "$(get "/inputs/$list2")"
status "its attestation is" 200 "$(get "/output/$(part 200001)")"
status "the log takes new ones" 200 "$(post "$W/e0")"
tail -n 1 "$W/long2" >"$W/again"
status "an attestation that names the lost list must bring it" 400 "$(post "$W/again")"
make_attestation "$W/other" 0 1 >"$W/foreign"
cat "$W/other.pub" >"$W/log/builders"
kill -HUP "$(cat "$W/run/log.pid")"
same "its builder may not submit any more" 200 "$(soon 200 post "$W/foreign")"
status "which puts it back, also then" 200 "$(post "$W/long2")"
same "at its old index" "3001 " "$(indices)"
status "the list is served again" 200 "$(get "/inputs/$list2")"
if cmp -s "$W/body" "$W/list2"; then ok "as it was"; else not_ok "another one"; fi
refuses "recover leaves a running log alone" "another process" recover --from "file://$W/mirror"
stop log
accepts "everything is right" stele-log fsck "$W/log" --full

echo "# another copy of the log"
put_back data1001
cp -r "$W/good" "$W/copy"
start copy stele-log serve "$W/copy" --listen 127.0.0.1:0
accepts "gives lists as well" recover --from "$(url copy)"
is_whole "from a copy"
accepts "nothing more is missing" recover --from "$(url copy)"
says "nor taken" "3302 entries, 0 of them recovered" "$W/out"
LC_ALL=C sed -i "s|$(sed -n 200p "$W/list2" | cut -c 12-40)|$(sed -n 200p "$W/list2" | cut -c 12-39)!|" "$W/log/data/data.mdb"
refuses "a list that is damaged is found" "input list $list2 is damaged" stele-log fsck "$W/log"
accepts "and mended" recover --from "$(url copy)" --lists
is_whole "mended"
put_back data1001
rm -rf "$W/log/data"
accepts "all of it may be missing" recover --from "$(url copy)"
is_whole "from nothing"
stop copy

echo "# a mirror of packed bundles"
put_back data1001
cp -r "$W/mirror" "$W/packed"
find "$W/packed/tile/entries" -type f -exec gzip {} +
static_server packed "$W/packed"
accepts "is asked for them as they are" recover --from "$(url packed)" "$W/list2"
is_whole "from what was packed"
stop packed

echo "# proof bundles"
put_back data1001
refuses "a mirror that is behind gives what it has" "entries 3001 to 3301 are still missing" recover --from "file://$W/mirror3001"
refuses "that is not enough" "holds 3001 entries, but the signer's last head has 3302" not_served
cp -r "$W/log/data" "$W/data3001"
accepts "bundles give the rest, a file its list" recover "$W"/bundles.* "$W/list2"
is_whole "from bundles"
accepts "which is served" serve
stop log
put_back data3001
echo rubbish >"$W/log/checkpoint"
accepts "a checkpoint that is none holds nothing up" recover "$W"/bundles.* "$W/list2"
says "but is named" "passed over: .*/checkpoint" "$W/out"
accepts "and is soon replaced" serve
same "by the log's" 3302 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
stop log
put_back data3001
refuses "a checkpoint is no bundle" "checkpoint: proof bundle 1" recover "$W/mirror/checkpoint"
awk '/^c2sp.org\/tlog-proof/ { n++ } n != 150' "$W/bundles.3000" >"$W/gap"
refuses "a gap is named" "entries 3150 to 3301 are still missing" recover "$W/gap" "$W/list2"
put_back data3001
sed '/^extra /s/^\(extra .\{200\}\)./\1Q/' "$W/bundles.3000" >"$W/bad"
refuses "an entry that was altered" "proof bundle [0-9]*: index 30[0-9]* .*does not lead to the checkpoint's root" recover "$W/bad"
refuses "leaves nothing behind" "entries 3001 to 3301 are still missing" recover

put_back data1001
for moment in 0.01 0.02 0.03 0.05 0.08; do
    timeout -s KILL $moment stele-log recover "$W/log" --from "file://$W/mirror" "$W/list2" >"$W/out" 2>&1
done
accepts "what was killed on the way goes on" recover --from "file://$W/mirror" "$W/list2"
is_whole "after kills"

echo "# copies that lie"
put_back data1001
cp -r "$W/mirror" "$W/liar"
printf 'XX' | dd of="$W/liar/tile/entries/009" bs=1 seek=90000 conv=notrunc 2>/dev/null
refuses "an entry that nobody signed" "entries 1792 to 2815 are not those that the log signed" recover --from "file://$W/liar"
refuses "is not stored, nor what came with it" "entries 1792 to 3301 are still missing" recover
rm -rf "$W/liar"
rm -rf "$W/log" && cp -r "$W/log1001" "$W/log"
serve
grow 500000 3000
mirror "$W/liar"
stop log
put_back data1001
refuses "another history under the same key" "does not continue the signer's last head" recover --from "file://$W/liar"
refuses "is not taken up" "entries 1001 to 3301 are still missing" recover
rm -rf "$W/log" && cp -r "$W/log1001" "$W/log"
serve
grow 600000 10
stop log
cp -r "$W/log/data" "$W/data1011"
put_back data1011
refuses "nor is what does not begin it" "does not show that its tree begins with the 1011 entries that are here.*with .*/data moved away" recover --from "file://$W/mirror"

echo "# the signer's memory"
put_back data1001
cp "$W/log1001/heads" "$W/log1001/checkpoint" "$W/log/"
refuses "with old heads, too, a copy that went on" "1 input lists" recover --from "file://$W/mirror"
says "raises them" "heads now knows a head of 3302 entries" "$W/out"
accepts "so that the log goes on from there" serve
same "all of it" 3302 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
stop log
put_back data1001
cp "$W/log1001/checkpoint" "$W/log/"
rm "$W/log/heads"
refuses "without heads it is not served" "heads is missing.*recover" not_served
refuses "and nothing says what was signed last" "nothing says what this log signed last" recover
refuses "but a copy does" "1 input lists" recover --from "file://$W/mirror"
accepts "and then it is" serve
stop log
rm -rf "$W/log" && cp -r "$W/log1001" "$W/log" && rm "$W/log/heads"
accepts "where there was nothing newer, the operator says so" recover --nothing-newer
accepts "and answers for it" serve
same "at the head that was published" 1001 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
stop log
refuses "it is not said over heads that are there" "is for a log without heads" recover --nothing-newer

echo "# a witness knows the newest head"
rm -rf "$W/log"
new_log
new_witness w
under w
serve
status "a log with a witness" 200 "$(post "$W/many")"
stop log
rm "$W/log/heads"
accepts "heads that were lost come from it" recover --from "$(url w)/$(printf %s "$origin" | sha256sum | cut -d' ' -f1)"
accepts "and the log goes on" serve
status "with its witness" 200 "$(post "$W/e0")"
same "from there" "300 " "$(indices)"
stop log
done_testing
