#!/bin/sh
# `stele-log backup`: a copy made under load is whole, opens with fsck, and goes on with the log's key and heads. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

make_attestation "$W/builder" 4000 1 400 >"$W/long"
new_log "quorum none"
accepts "the log starts" serve
accepts "a list travels with an attestation" test "$(post "$W/long")" = 200
published() { curl -s "$(url log)/checkpoint" | sed -n 2p; }

echo "# beside a log that takes more"
sizes=
copied=0
for i in 1 2 3 4; do
    make_attestation "$W/builder" $((i * 10000)) 1000 >"$W/load"
    log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes.$i" 8 2>"$W/load.err" &
    driver=$!
    size=$copied
    while [ "$size" -le "$copied" ] && kill -0 $driver 2>/dev/null; do size=$(published) && sleep 0.01; done
    accepts "backup $i" stele-log backup "$W/log" "$W/backup$i"
    copied=$(sed -n 's/^.*: \([0-9]*\) entries of .*/\1/p' "$W/out")
    if [ "$copied" -ge "$size" ]; then ok "has all that was published: $copied of $size"; else not_ok "has $copied, $size were published"; fi
    accepts "and fsck finds it right" stele-log fsck "$W/backup$i" --full
    sizes="$sizes $copied"
    wait $driver
    same "the log was not held up" 0 $?
    cat "$W/notes.$i" >>"$W/notes"
done
if [ "$(echo $sizes | tr ' ' '\n' | sort -un | wc -l)" = 4 ]; then ok "backups of a log that grew:$sizes"; else not_ok "the log did not grow:$sizes"; fi
refuses "a backup does not go where something is" "not empty" stele-log backup "$W/log" "$W/backup1"
refuses "nor is there one of no log" "config" stele-log backup "$W/backup9" "$W/backup8"
accepts "after the load" stele-log backup "$W/log" "$W/whole"
stop log
accepts "of a log that is stopped" stele-log backup "$W/log" "$W/stopped"
for secret in key heads; do
    if [ -e "$W/stopped/$secret" ]; then not_ok "$secret is in the backup"; else ok "$secret is in no backup"; fi
done

echo "# a bit that flipped is not copied unseen"
cp -r "$W/log" "$W/good"
sed -i '3y/ABCDEFGHIJKLMNOPQRSTUVWXYZ/BCDEFGHIJKLMNOPQRSTUVWXYZA/' "$W/log/checkpoint"
refuses "a checkpoint that does not verify" "checkpoint" stele-log backup "$W/log" "$W/bad1"
if [ -e "$W/bad1/config" ]; then not_ok "what is no backup looks like one"; else ok "what is no backup does not look like one"; fi
rm -rf "$W/log"

echo "# going on from a backup"
refuses "without key and heads it is not served" "neither the log's key nor its heads.*recover" \
    timeout 20 stele-log serve "$W/whole" --listen 127.0.0.1:0
cp "$W/good/key" "$W/whole/key"
refuses "nor with the key alone" "heads is missing.*never an old one.*recover" timeout 20 stele-log serve "$W/whole" --listen 127.0.0.1:0
cp "$W/good/heads" "$W/whole/heads"
mv "$W/whole" "$W/log"
accepts "with both it is" serve
same "with all that was published" 4001 "$(published)"
accepts "every answer holds" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
status "look-ups work again" 200 "$(get "/output/$(part 4000)")"
list=$(head -n 1 "$W/long" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | sha256sum | cut -d' ' -f1)
status "and input lists" 200 "$(get "/inputs/$list")"
make_attestation "$W/builder" 60000 1 >"$W/e"
status "and it goes on" 200 "$(post "$W/e")"
same "from there" "4001 " "$(indices)"
stop log
accepts "rightly" stele-log fsck "$W/log" --full
done_testing
