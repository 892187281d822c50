#!/bin/sh
# Part of `make bench`: the log and two witnesses on loopback, each figure beside what this machine can do at most in the same run,
# and beside what is wanted of it. Every figure is shared with the load generator: on two cores nothing here runs alone.
# BENCH_ENTRIES: the size of the large log (default 1,000,000).
here=$(dirname "$0")
STELE_BUILD=$(cd "$1" && pwd)
export STELE_BUILD
. "$here/../e2e/lib.sh"
here=$(cd "$here" && pwd)
. "$here/../interop/litewitness.sh"
. "$here/lib.sh"
world
large=${BENCH_ENTRIES:-1000000}

# new_log NAME: a log that both witnesses know.
new_log() {
    stele-log init "$W/$1" --origin "bench.example/$1" >"$W/out" 2>&1 || exit 1
    cp "$W/key.pub" "$W/$1/builders"
    for w in w1 w2; do
        stele-witness add-log "$W/$w" "$(stele-log key "$W/$1")" >"$W/out" 2>&1 || exit 1
    done
}
# serve NAME
serve() {
    {
        echo "log $(stele-log key "$W/$1")"
        for w in w1 w2; do echo "witness $w $(stele-witness key "$W/$w") $(url $w)"; done
        printf 'group both all w1 w2\nquorum both\n'
    } >"$W/$1/policy"
    start "$1" stele-log serve "$W/$1" --listen 127.0.0.1:0 || exit 1
    base=$(url "$1") pid=$(cat "$W/run/$1.pid")
}
# timed NAME RATE P50_WANTED P99_WANTED
timed() {
    load 64 1 "$2"
    row "$1" "$entries/s" "$times (wanted: ${3:+p50 $3 }p99 $4)"
}

# get NAME PATH: turn by turn with a server that only serves as many bytes.
get() {
    bytes=$(curl -sf "$base$2" | wc -c)
    : >"$W/constant" # now: the last one's address must not be taken for this one's
    mkfifo "$W/until" || exit 1
    "$bench/constant" "$bytes" <"$W/until" >"$W/constant" &
    exec 3>"$W/until"
    until grep -q '^listening on ' "$W/constant"; do sleep 0.05; done
    ours=0 theirs=0
    for _ in 1 2 3 4 5; do
        "$bench/load" get "$(sed 's/^listening on //' "$W/constant")" 64 1 / >"$W/load" || exit 1
        theirs=$((theirs + $(figure requests_s "$W/load")))
        "$bench/load" get "$base" 64 1 "$2" >"$W/load" || exit 1
        ours=$((ours + $(figure requests_s "$W/load")))
    done
    exec 3>&-
    rm "$W/until"
    row "$1, $bytes bytes" "$((ours / 5))/s" "$(calc %.0f "100 * $ours / $theirs") % of a constant buffer's $((theirs / 5))/s (wanted: 80)${3:+; Tessera $3/s}"
}

stele keygen bench.example/builder --out "$W/key" --type builder >"$W/out" 2>&1 || exit 1
for w in w1 w2; do
    stele-witness init "$W/$w" --name "$w.example" >"$W/out" 2>&1 || exit 1
done
new_log log
new_log large
for w in w1 w2; do start $w stele-witness serve "$W/$w" --listen 127.0.0.1:0 || exit 1; done

# Tessera's figures: its POSIX store on two such cores, shared with its load generator; entries of 1.5 KB, no signature checked,
# no witness asked.
part "Submissions: proofs under two witnesses, about 1.9 KB an attestation"
limits
serve log
# over_load CLIENTS [PERCENT_WANTED CPU_WANTED]
over_load() {
    post "one a request, $1 client$([ "$1" = 1 ] || echo s)" "$1" 1 ${2:+"$2" "$3"}
    point load.dat "$1" "$entries" "$took_p50" "$took_p99"
}
for clients in 1 4 16; do over_load $clients; done
over_load 64 33 2.2
max=$entries small_us=$cpu_us
row "  Tessera, batches of 64 or 20 ms" "6580/s" "p50 66 p99 117 ms to publication"
over_load 256
over_load 1024 42 2.2
row "  Tessera, batches of 256 or 1 s" "15100/s" "p99 577 ms to publication; 0.095 s of CPU per 1,000"
post "JSON lines of 256, 8 clients" 8 256 62 1.7
small_lines_us=$cpu_us

part "From POST to proof, 64 clients, below the maximum"
limits
p50=$(calc %.1f "8 * $sync_p50 + 3") p99=$(calc %.1f "30 * $sync_p99 + 3")
timed "100 a second" 100 "$p50" "$p99"
timed "a quarter of the maximum" $((max / 4)) "$p50" "$p99"
timed "half of the maximum" $((max / 2)) "" 250
row "  Tessera, as above" "" "p50 66 p99 117 ms at its maximum"
stop log

part "A log of $large entries"
"$bench/grow" "$W/large" "$W/key" "$large" 1024 0 >"$W/out" || exit 1
limits
serve large
# The head of all that was put there, before anything is measured.
until curl -sf "$base/checkpoint" | grep -qx "$large"; do sleep 0.1; done
post "one a request, 64 clients" 64 1
row "  CPU beside that with none" "" "$(calc %.2f "$cpu_us / $small_us") times (wanted: at most 1.2)"
row "  Tessera" "" "0.180 s of CPU per 1,000, 1.3 times that at 10,000"
post "JSON lines of 256, 8 clients" 8 256
row "  CPU beside that with none" "" "$(calc %.2f "$cpu_us / $small_lines_us") times (wanted: at most 1.2)"

part "Reads of that log, 64 clients"
get "a full tile" /tile/0/000 11500
get "a full entry bundle" /tile/entries/000 4100
get "the checkpoint" /checkpoint 16700

part "Proofs"
"$bench/verify" 5000 >"$W/load" || exit 1
row "limit: their signatures alone, one core" "$(figure limit_cpu_s "$W/load")/s" "by CPU time, in turn with what follows"
row "5,000 bundles verified, one core" "$(figure bundles_cpu_s "$W/load")/s" "$(figure share_percent "$W/load") % of that (wanted: 80); a shared checkpoint verified once"
row "on two cores" "$(figure two_cores "$W/load") times" "of one, by the clock (wanted: 1.8); the signatures alone: $(figure limit_two_cores "$W/load") times"

. "$here/witness.sh"
. "$here/hook.sh"
. "$here/deliver.sh"
. "$here/trace.sh"
. "$here/audit.sh"
