#!/bin/sh
# stele-log when things go wrong: killed under load, racing clients, a disk that is short or fails, bits that flip. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

echo "# killed under load"
new_log "quorum none"
port=$(free_port)
make_attestation "$W/builder" 5000 4000 | awk '{ print; print }' >"$W/load" # each twice, across the crashes, too
accepts "the log starts" serve_at
kill_log() { stop log KILL && serve_at; }
under_kills 10 kill_log
accepts "all at their index, once each, every head shown in one tree" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and there is nothing else" 4000 "$(cat "$W/out")"
stop log

echo "# the same attestations from many clients at once"
serve_at
make_attestation "$W/builder" 30000 50 | awk '{ for (i = 0; i < 64; i++) print }' >"$W/load"
accepts "64 clients that send the same are all answered" log_driver load "$(url log)" "$W/log/policy" "$W/load" "$W/notes" 64
cut -d' ' -f1,2 "$W/notes" | sort | uniq -c >"$W/answers"
same "each attestation 64 times, with one index" "50 64" "$(wc -l <"$W/answers") $(awk '{ print $1 }' "$W/answers" | sort -u)"
accepts "with one index each" log_driver check "$(url log)" "$W/log/policy" "$W/notes"
same "and one entry each" 4050 "$(cat "$W/out")"
: >"$W/pages"
pages=0 last=
while [ $pages -lt 100 ] && [ "$(get "/builder/$builder${last:+?after=$last}")" = 200 ]; do
    indices | tr ' ' '\n' | sed '/^$/d' >>"$W/pages"
    last=$(tail -n 1 "$W/pages") pages=$((pages + 1))
done
status "a builder's pages end" 404 "$(get "/builder/$builder?after=$last")"
if seq 0 4049 | cmp -s - "$W/pages"; then ok "all $pages together are what it built"; else not_ok "$pages pages with $(wc -l <"$W/pages") entries"; fi
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
status "a commit that fails ends the taking" 503 "$(soon 503 get /healthz)"
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
start w fake_witness serve "$W/w" once
new_log "witness w $(cat "$W/w.pub") $(url w)" "quorum w"
echo "quorum-timeout-ms 2000" >>"$W/log/config"
serve
same "the empty log is cosigned" 200 "$(soon 200 get /checkpoint)"
waiting() { curl -s "$(url log)/metrics" | sed -n 's/^stele_log_waiting_submissions //p'; }
post "$W/e0" >"$W/status" &
poster=$!
same "an attestation waits for a witness that says no more" 1 "$(soon 1 waiting)"
pid=$(cat "$W/run/log.pid")
kill -TERM "$pid"
wait $poster
status "SIGTERM: what waits is still answered" 503 "$(cat "$W/status")"
says "in full" 'no quorum of witnesses in time' "$W/body"
wait "$pid"
same "before the end, which is clean" 0 $?

echo "# a bit that flips before it is signed"
stop w
start w fake_witness serve "$W/w" mute
new_log "witness w $(cat "$W/w.pub") $(url w)" "quorum w"
echo "quorum-timeout-ms 2000" >>"$W/log/config"
# An entry whose leaf hash grep can look for: it reads lines.
for number in $(seq 900 999); do
    make_attestation "$W/builder" "$number" 1 >"$W/flip"
    { printf '\000'; tr -d '\n' <"$W/flip"; } | sha256sum | cut -c1-64 | sed 's/../& /g' | grep -q '0a ' || break
done
# The empty log's head is out, so that no other is signed; an entry is taken until that one's time is over.
tries=0 committed=0
while [ "$committed" = 0 ] && [ $tries -lt 20 ]; do
    stop log KILL
    serve
    answer=$(post "$W/flip")
    committed=$(curl -s "$(url log)/metrics" | sed -n 's/^stele_log_tree_size //p')
    tries=$((tries + 1))
done
same "committed, but its head has no quorum" "1 503" "$committed $answer"
stop log KILL
cp -r "$W/log/data" "$W/good-data"
sed -i 's/^quorum w/quorum none/' "$W/log/policy"
sig=$(sed 's/.*"sig":"//; s/".*//' "$W/flip" | cut -c 1-40 | sed 's/[+/]/./g')
case $sig in A*) letter=B ;; *) letter=A ;; esac
LC_ALL=C sed -i "s/.\(${sig#?}\)/$letter\1/g" "$W/log/data/data.mdb"
serve
same "it is found when the entries are read back" 503 "$(soon 503 get /healthz)"
says "and nothing is signed" 'do not hash to the root' "$W/body"
status "or published" 503 "$(get /checkpoint)"
stop log
rm -rf "$W/log/data"; cp -r "$W/good-data" "$W/log/data"
leaf=$({ printf '\000'; tr -d '\n' <"$W/flip"; } | sha256sum | cut -c1-64)
for at in $(LC_ALL=C grep -obUaP "$(echo "$leaf" | sed 's/../\\x&/g')" "$W/log/data/data.mdb" | cut -d: -f1); do
    printf "$(printf '\\%03o' $(($(od -An -tu1 -j "$at" -N1 "$W/log/data/data.mdb") ^ 1)))" |
        dd of="$W/log/data/data.mdb" bs=1 seek="$at" conv=notrunc 2>/dev/null
done
serve
same "so is one in the tile's hash of the entry" 503 "$(soon 503 get /healthz)"
says "and nothing is signed" 'do not hash to the root' "$W/body"
stop log
LC_ALL=C sed -i "s/.\(${sig#?}\)/!\1/g" "$W/log/data/data.mdb"
rm -rf "$W/log/index"
refuses "where an entry to be indexed is none, the log does not start" "entry 0 is no attestation" \
    timeout -k 5 20 stele-log serve "$W/log" --listen 127.0.0.1:0
rm -rf "$W/log/data"; cp -r "$W/good-data" "$W/log/data"
accepts "the control: with the good data it starts" serve
status "the attestation has its proof" 200 "$(post "$W/flip")"
same "at its index" "0 " "$(indices)"
stop log
stop w
done_testing
