#!/bin/sh
# Commits run ahead, heads do not (design, "Pipeline"): while the signer is held what is posted is committed all the same, but nothing
# of it is published or answered; then one head answers all that came meanwhile. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
gauge() { curl -s "$(url log)/metrics" | sed -n "s/^$1 //p"; }

new_log
echo 'quorum-timeout-ms 120000' >>"$W/log/config"
new_witness w1 || exit 1
under w1
make_attestation "$W/builder" 0 6 >"$W/all"
for i in 1 2 3 4 5 6; do sed -n ${i}p "$W/all" >"$W/$i.json"; done
accepts "the log starts" serve
same "a control: it takes one" 200 "$(post "$W/1.json")"
pid=$(cat "$W/run/log.pid")
signer=$(cat "/proc/$pid/task/$pid/children" | tr -d ' ')
heads=$(gauge stele_log_heads_total)
kill -STOP "$signer"
for i in 2 3 4 5 6; do
    curl -s -o "$W/$i.bundle" -w '%{http_code}\n' --data-binary "@$W/$i.json" -H 'Content-Type: application/json' \
        "$(url log)/attestations" >"$W/$i.status" &
    note "post$i" $!
    same "number $i is committed, though the signer is held" "$i" "$(soon "$i" gauge stele_log_tree_size)"
done
same "none of them is published" "1 $heads" "$(gauge stele_log_published_size) $(gauge stele_log_heads_total)"
get /checkpoint >"$W/got"
same "the checkpoint is as it was" 1 "$(sed -n 2p "$W/body")"
same "none is found" 404 "$(get "/output/$(part 1)")"
same "nor answered" "" "$(cat "$W"/[2-6].status)"
kill -CONT "$signer"
for i in 2 3 4 5 6; do
    wait "$(cat "$W/run/post$i.pid")"
    rm "$W/run/post$i.pid"
done
same "then all are answered" "200 200 200 200 200 " "$(cat "$W"/[2-6].status | tr '\n' ' ')"
same "each with its proof" "1 2 3 4 5 " "$(cat "$W"/[2-6].bundle | log_driver verify "$W/log/policy" | cut -d' ' -f1 | tr '\n' ' ')"
# The one that was held, and one for all that came meanwhile.
same "by two heads" $((heads + 2)) "$(gauge stele_log_heads_total)"
done_testing
