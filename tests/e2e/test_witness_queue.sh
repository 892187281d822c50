#!/bin/sh
# A witness whose signer is held for a moment, as by a slow disk: what waits shares one sync, a log that asks for more than its share
# keeps no other out, and a witness that is stopped then answers what it has taken. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
stele-witness init "$W/w" --name w.example >/dev/null 2>&1
for log in noisy 1 2 3 4 5 6 7 8; do stele-witness add-log "$W/w" "$(witness_log vkey $log.example)" >/dev/null 2>&1; done
serve
pid=$(cat "$W/run/w.pid")
signer=$(cat "/proc/$pid/task/$pid/children" | tr -d ' ')
# statuses HOW-MANY NAME SIZE: as many requests at once for its head of this size, from 0; each status is a line of $W/NAME.
statuses() {
    witness_log request "$2.example" 0 "$3" >"$W/$2.request"
    curl -s -Z --parallel-immediate --parallel-max "$1" -o "$W/ignored" -w '%{http_code}\n' --data-binary "@$W/$2.request" \
        "$(url w)/add-checkpoint#[1-$1]" >>"$W/$2" 2>"$W/ignored.err"
}
told() { grep -cx "$1" "$W/$2"; }

kill -STOP "$signer"
for round in 1 2 3; do
    statuses 200 noisy 5 &
    eval "noisy$round=$!"
done
same "512 requests of a log wait" 512 "$(soon 512 metric stele_witness_waiting)"
same "600 were asked: what is above is told so" 88 "$(soon 88 metric 'stele_witness_requests_total{origin="noisy.example",result="limited"}')"
others=
for log in 1 2 3 4 5 6 7 8; do
    statuses 1 $log 7 &
    others="$others $!"
done
same "others' wait beside them" 520 "$(soon 520 metric stele_witness_waiting)"
same "none of which was refused" 0 "$(metric stele_witness_queue_full_total)"
kill -TERM "$pid"
says "the witness is stopped" 'stopping signal=15' "$W/run/w.err"
kill -CONT "$signer"
wait "$pid"
same "it ends cleanly" 0 $?
# shellcheck disable=SC2086,SC2154 # words; by eval
wait $noisy1 $noisy2 $noisy3 $others
same "once it has answered: the first of the log, its same again, and what was too much" "1 511 88" \
    "$(told 200 noisy) $(told 409 noisy) $(told 429 noisy)"
same "and all others" "1 1 1 1 1 1 1 1 " "$(for log in 1 2 3 4 5 6 7 8; do told 200 $log; done | tr '\n' ' ')"
# spec/files.md, "The heads file": bytes 88-95 of a record are its batch, written with one sync. The signer takes 256 requests at
# once, and where in a batch the first of the eight was is chance.
same "nine heads are remembered" $((128 * 10)) "$(wc -c <"$W/w/heads")"
at_most "with two syncs at most for the last eight" 2 "$(for i in 2 3 4 5 6 7 8 9; do od -An -tx1 -j $((i * 128 + 88)) -N 8 "$W/w/heads"; done | sort -u | wc -l)"
done_testing
