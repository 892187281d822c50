#!/bin/sh
# `stele-log fsck`: says yes to a log as it should be, and finds what was altered, lost or rolled back. TAP.
. "$(dirname "$0")/lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
world
make_attestation key ci.example "$W/key" >"$W/out" 2>&1
stele-log init "$W/log" --origin log.example >"$W/out" 2>&1
echo "quorum none" >>"$W/log/policy"
cp "$W/key.pub" "$W/log/builders"

refuses "a log that was never served has no data" "no data" stele-log fsck "$W/log"
start log stele-log serve "$W/log" --listen 127.0.0.1:0 || exit 1
refuses "a log that is running is left alone" "another process" stele-log fsck "$W/log"
make_attestation "$W/key" 0 300 | split -l 100 - "$W/part."
make_attestation "$W/key" 300 2 400 >"$W/part.lists"
make_attestation "$W/key" 302 230 >"$W/part.more"
for part in "$W"/part.*; do
    curl -s -o "$W/body" -w '%{http_code}\n' --data-binary "@$part" "$(url log)/attestations" >>"$W/codes"
done
accepts "532 attestations, two with input lists, are logged" test "$(sort -u "$W/codes")" = 200
stop log
accepts "fsck says yes" stele-log fsck "$W/log"
says "to every entry" "log.example: 532 entries, root .*entries and tree are right" "$W/out"
accepts "fsck --full, too" stele-log fsck "$W/log" --full
says "to signatures and indices as well" "532 entries.*signatures and indices are right" "$W/out"
cp -r "$W/log" "$W/good"

# back: the good data again.
back() { rm -rf "$W/log" && cp -r "$W/good" "$W/log"; }

# flipped WHAT OPTIONS REASON PATTERN: flips a bit in each place of the data that matches, one at a time. Old pages hold copies
# that nobody reads; at least one place must count, and be found; none may crash.
flipped() {
    found=0
    for at in $(LC_ALL=C grep -obUaP "$4" "$W/good/data/data.mdb" | cut -d: -f1 | head -n 40); do
        back
        printf "$(printf '\\%03o' $(($(od -An -tu1 -j "$at" -N1 "$W/log/data/data.mdb") ^ 1)))" |
            dd of="$W/log/data/data.mdb" bs=1 seek="$at" conv=notrunc 2>"$W/out"
        # shellcheck disable=SC2086 # options
        stele-log fsck "$W/log" $2 >"$W/out" 2>&1
        status=$?
        [ $status -gt 4 ] && break
        [ $status = 1 ] && grep -Eq "$3" "$W/out" && found=$((found + 1))
    done
    back
    if [ $found -gt 0 ] && [ $status -le 4 ]; then
        ok "$1"
    else
        not_ok "$1 (found $found, last status $status)"
        sed 's/^/# /' "$W/out"
    fi
}

# bytes HEX: a pattern of these bytes.
bytes() { echo "$1" | sed 's/../\\x&/g'; }

payload=$(make_attestation "$W/key" 150 1 | jq -r .payload | cut -c200-260)
flipped "a bit flipped in an entry is found" "" "tile 0 of level 0" "$payload"
# An entry whose leaf hash grep can look for: it reads lines.
for number in $(seq 150 199); do
    leaf=$({ printf '\000'; make_attestation "$W/key" "$number" 1 | tr -d '\n'; } | sha256sum | cut -c1-64)
    echo "$leaf" | sed 's/../& /g' | grep -q '0a ' || break
done
flipped "a bit flipped in a tile is found" "" "tile 0 of level 0" "$(bytes "$leaf")"
list=$(make_attestation "$W/key" 300 1 400 | head -n 1 | jq -r .inputs | base64 -d | sed -n 200p | cut -c1-60)
hash=$(make_attestation "$W/key" 300 1 400 | head -n 1 | jq -r .inputs | base64 -d | sha256sum | cut -c1-64)
flipped "a bit flipped in an input list is found" "" "input list $hash is damaged" "$(echo "$list" | sed 's/[.+]/\\&/g')"
says "and named, while everything else is checked" "532 entries, root .*entries and tree are right" "$W/out"
flipped "a list that is not found under its hash is named" "--full" "input list $hash is missing, which entry 300 names" "$(bytes "$hash")"
says "and it is said what to do" "recover .* --from URL --lists.*anybody may post them again" "$W/out"

# Rolled back: the data, but not what was signed since.
start log stele-log serve "$W/log" --listen 127.0.0.1:0 || exit 1
make_attestation "$W/key" 1000 5 | curl -s -o "$W/body" --data-binary @- "$(url log)/attestations"
stop log
accepts "control: five more entries are right" stele-log fsck "$W/log" --full
cp -r "$W/log" "$W/newer"
rm -rf "$W/log/data" && cp -r "$W/good/data" "$W/log/data"
refuses "data that was rolled back is found" "at size 537, but there are only 532 entries: the data was rolled back" stele-log fsck "$W/log"
rm -rf "$W/log/data" && cp -r "$W/newer/data" "$W/log/data"
sed -i '3y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/BCDEFGHIJKLMNOPQRSTUVWXYZA/' "$W/log/checkpoint"
refuses "a checkpoint that was altered is found" "log/checkpoint: .*Nothing rests on this file: remove it" \
    stele-log fsck "$W/log"
head -c 60 "$W/newer/checkpoint" >"$W/log/checkpoint"
refuses "and one that is torn" "log/checkpoint: the note has no .*remove it, and the log publishes its newest head again" \
    stele-log fsck "$W/log"
echo over >"$W/log/frozen"
refuses "of a frozen log it is needed" "log/checkpoint: .*take it from a backup or a mirror" stele-log fsck "$W/log"
rm "$W/log/frozen" "$W/log/checkpoint"
accepts "without it the log is right" stele-log fsck "$W/log"
start log stele-log serve "$W/log" --listen 127.0.0.1:0 || exit 1
accepts "and publishes its newest head" test "$(curl -s "$(url log)/checkpoint" | sed -n 2p)" = 537
stop log
printf x | dd of="$W/log/heads" bs=1 seek=3 conv=notrunc 2>"$W/out"
refuses "heads that is none is found" "log/heads: it does not start as a heads file: put back the one that belongs to this key" \
    stele-log fsck "$W/log"
cp "$W/newer/heads" "$W/log/heads"
printf x | dd of="$W/log/heads" bs=1 seek=140 conv=notrunc 2>"$W/out"
refuses "and one with a record that is damaged" "log/heads: record 1 is damaged.*restore the file" stele-log fsck "$W/log"
cp "$W/newer/heads" "$W/log/heads"
accepts "control: with everything in place it is right" stele-log fsck "$W/log" --full
done_testing
