# The witness's part of `make bench`; run.sh reads it in. One witness for each row, with logs that it does not know yet.
# shellcheck shell=sh

# litewitness: its rate in this run, where Go and its modules are there; else nothing.
litewitness() {
    lite_build "$here/../interop" && lite_start || return
    "$bench/witness" vkeys "$1" | while read -r _ vkey; do
        "$W/interop" add-log "$W/lite.db" "${vkey%%+*}" "$vkey" || exit
    done
    "$bench/witness" load "$lite_url" "$1" "$2" "$3" "$seconds" >"$W/load" && figure heads_s "$W/load"
    stop lite
    stop agent
}

# witness_run LOGS CLIENTS HEADS: sets heads (a second), times, and witness_bytes, what its processes hold in memory.
witness_run() {
    rm -rf "$W/witness"
    stele-witness init "$W/witness" --name witness.example >"$W/out" 2>&1 || exit 1
    "$bench/witness" vkeys "$1" >>"$W/witness/logs" || exit 1
    start witness stele-witness serve "$W/witness" --listen 127.0.0.1:0 || exit 1
    "$bench/witness" load "$(url witness)" "$1" "$2" "$3" "$seconds" >"$W/load" || exit 1
    pid=$(cat "$W/run/witness.pid")
    witness_bytes=$(for p in $pid $(cat "/proc/$pid/task/$pid/children"); do cat "/proc/$p/smaps_rollup"; done |
        awk '$1 == "Pss:" { kib += $2 } END { print kib * 1024 }')
    stop witness
    heads=$(figure heads_s "$W/load")
    times="p50 $(figure p50_ms "$W/load") p99 $(figure p99_ms "$W/load") ms"
    refused=$(figure refused "$W/load")
    [ "$refused" = 0 ] || times="$times, $refused refused"
}

part "Witness: add-checkpoint, proofs of some twenty hashes, every answer durable"
limits
witness_run 1 1 40000
syncs=$(figure fdatasync_s "$W/limits")
row "one log in sequence" "$heads/s" "$times; $(calc %.0f "100 * $heads / $syncs") % of fdatasync (wanted: 3000/s or 33 %)"
row "  litewitness, Sunlight, omniwitness" "748, 603, 1504" ""
witness_run 100 64 1200
both=$(calc %.0f "$(figure cores "$W/limits") * 1000000 / ($verify_us + $(figure sign_us "$W/load"))")
row "100 logs, 64 clients" "$heads/s" "$times (wanted: p99 15); $(calc %.0f "100 * $heads / $both") % of one verification and one signature each (wanted: 11000/s or 40 %)"
row "  litewitness, Sunlight, omniwitness" "1244, 1020, 704" ""
ours=$heads
theirs=$(litewitness 100 64 1200)
[ -z "$theirs" ] || row "  litewitness in this run" "$theirs/s" "ours is $(calc %.1f "$ours / $theirs") times that (wanted: 8)"
witness_run 10000 64 1
row "10,000 logs, each cosigned once" "$heads/s" "$(calc %.1f "$witness_bytes / 1048576") MiB of memory (wanted: at most 64)"
