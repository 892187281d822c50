#!/bin/sh
# `make bench`: the log and two witnesses on loopback, beside what this machine can do at most in the same run.
# Every figure is shared with the load generator: on two cores nothing here runs alone.
here=$(dirname "$0")
STELE_BUILD=$(cd "$1" && pwd)
export STELE_BUILD
. "$here/../e2e/lib.sh"
here=$(cd "$here" && pwd)
world
bench=$STELE_BUILD/tests/bench
seconds=${BENCH_SECONDS:-5}

# figure NAME FILE: a value of a generator's output.
figure() { awk -v name="$1" '$1 == name { print $2 }' "$2"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.0f %%", 100 * a / b; else print "-" }'; }
multiple() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.1f x", a / b; else print "-" }'; }
row() { printf '%-50s %14s   %s\n' "$1" "$2" "$3"; }

"$bench/limits" "$W" >"$W/limits" || exit 1
cores=$(nproc)
verify=$(figure verify_s "$W/limits")
verify_all=$((verify * cores))
sync_p50=$(figure fdatasync_p50_ms "$W/limits")
sync_p99=$(figure fdatasync_p99_ms "$W/limits")
row "limit: Ed25519 verifications, $cores cores" "$verify_all/s" "$verify/s a core"
row "limit: fdatasync, p50 / p99" "$(figure fdatasync_s "$W/limits")/s" "$sync_p50 / $sync_p99 ms"
row "limit: node hashes, one core" "$(figure node_hash_s "$W/limits")/s" ""

stele-log init "$W/log" --origin bench.example/log >"$W/out" 2>&1 || exit 1
log_port=$(free_port)
echo "log $(stele-log key "$W/log") http://127.0.0.1:$log_port" >"$W/policy"
for w in w1 w2; do
    stele-witness init "$W/$w" --name "$w.example" >"$W/out" 2>&1 || exit 1
    stele-witness add-log "$W/$w" "$(stele-log key "$W/log")" >"$W/out" 2>&1 || exit 1
    start $w stele-witness serve "$W/$w" --listen 127.0.0.1:0 || exit 1
    echo "witness $w $(stele-witness key "$W/$w") $(url $w)" >>"$W/policy"
done
printf 'group both all w1 w2\nquorum both\n' >>"$W/policy"
stele keygen bench.example/builder --out "$W/key" --type builder >"$W/out" 2>&1 || exit 1
cp "$W/key.pub" "$W/builders"
printf 'origin bench.example/log\npolicy %s\nbuilders %s\n' "$W/policy" "$W/builders" >"$W/log/config"
start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port" || exit 1

# post NAME CLIENTS PER_REQUEST [RATE]
post() {
    "$bench/load" post "http://127.0.0.1:$log_port" "$2" "$seconds" "$W/key" "$3" ${4:+"$4"} >"$W/load" || exit 1
    entries=$(figure entries_s "$W/load")
    row "$1" "$entries/s" "p50 $(figure p50_ms "$W/load") p99 $(figure p99_ms "$W/load") ms, $(ratio "$entries" "$verify_all") of verification, refused $(figure refused "$W/load")"
}
post "submissions, one a request, 1 client" 1 1
post "submissions, one a request, 64 clients" 64 1
post "submissions, one a request, 1,024 clients" 1024 1
post "submissions, JSON lines of 256, 8 clients" 8 256
post "submissions at 100 a second, 64 clients" 64 1 100
row "  against fdatasync in the same run" "" "p50 $(multiple "$(figure p50_ms "$W/load")" "$sync_p50"), p99 $(multiple "$(figure p99_ms "$W/load")" "$sync_p99")"

get() {
    "$bench/load" get "http://127.0.0.1:$log_port" 64 "$seconds" "$2" >"$W/load" || exit 1
    row "$1" "$(figure requests_s "$W/load")/s" "p50 $(figure p50_ms "$W/load") p99 $(figure p99_ms "$W/load") ms, $(figure mbytes_s "$W/load") MB/s"
}
get "reads: a full tile" /tile/0/000
get "reads: a full entry bundle" /tile/entries/000
get "reads: the checkpoint" /checkpoint
get "reads: health (the server's own limit)" /healthz

"$bench/verify" 5000 >"$W/load" || exit 1
row "proof verification, one core" "$(figure bundles_s "$W/load")/s" "$(ratio "$(figure bundles_s "$W/load")" "$verify") of verification; shared checkpoint verified once"
