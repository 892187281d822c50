#!/bin/sh
# Part of `make bench`: what an entry costs as the log grows tenfold, again and again: `growth.sh BUILD [SIZE]`, up to SIZE entries
# (default 1,000,000; ten million take 22 GB of TMPDIR). tests/bench/grow fills a log of each size by the store's own way; then the
# log itself is started without witnesses, once with its files out of the page cache, and given posts; then fsck goes over it.
# Entries from 1,000,000 on are not signed by a builder, so there `fsck --full` is left out.
here=$(dirname "$0")
STELE_BUILD=$(cd "$1" && pwd)
export STELE_BUILD
. "$here/../e2e/lib.sh"
. "$here/../bench/lib.sh"
world
last=${2:-1000000} signed=1000000

# serve: starts the log on a free port; $took_ms is how long it took to answer.
serve() {
    : >"$W/run/log.out"
    from_ms=$(now_ms)
    stele-log serve "$W/log" --listen 127.0.0.1:0 >"$W/run/log.out" 2>>"$W/run/log.err" &
    pid=$!
    note log $pid
    until grep -q '^listening on ' "$W/run/log.out"; do
        kill -0 $pid 2>/dev/null || { tail "$W/run/log.err" >&2 && exit 1; }
        sleep 0.01
    done
    took_ms=$(($(now_ms) - from_ms)) base=$(url log)
}
# out_of_cache: the log's files, as after a boot.
out_of_cache() {
    find "$W/log" -type f -exec dd if={} iflag=nocache count=0 status=none \;
}
# posted NAME CLIENTS PER_REQUEST: the CPU time of an entry beside that of its verification, and that beside what it was at 100,000
# entries: what else this machine does changes from minute to minute.
posted() {
    measure_limits
    load "$2" "$3"
    row "$1" "$entries/s" "$times; $(calc %.0f "100 * $entries / $verify") % of verification"
    own=$(calc %.3f "$cpu_us / $verify_us")
    [ $size != 100000 ] || eval "own_at_100k_$3=$own"
    eval "own_at_100k=\${own_at_100k_$3:-}"
    row "  CPU per 1,000" "$(calc %.4f "$cpu_us / 1000") s" "$(calc %.2f "$own") times the verifications' own\
${own_at_100k:+; $(calc %.2f "$own / $own_at_100k") times that at 100,000 (wanted: at most 1.2)}"
}
# check NAME WANTED [--full]
check() {
    measure_limits
    from_ms=$(now_ms)
    stele-log fsck "$W/log" $3 >"$W/out" 2>&1 || { cat "$W/out" >&2 && exit 1; }
    rate=$(calc %.0f "$tree_size * 1000 / ($(now_ms) - $from_ms)")
    row "$1" "$rate/s" "$(calc %.0f "100 * $rate / $verify") % of verification (wanted: $2)"
}

stele keygen bench.example/builder --out "$W/key" --type builder >"$W/out" 2>&1 || exit 1

at_100k=
for size in 10000 100000 1000000 10000000 100000000; do
    [ $size -le "$last" ] || break
    # Anew: what is posted to one may be more than the next has.
    rm -rf "$W/log"
    stele-log init "$W/log" --origin bench.example/log >"$W/out" 2>&1 || exit 1
    echo 'quorum none' >>"$W/log/policy"
    cat "$W/key.pub" >>"$W/log/builders"
    "$bench/grow" "$W/log" "$W/key" $size 1024 $signed >"$W/grow" 2>>"$W/run/log.err" || { tail "$W/run/log.err" >&2 && exit 1; }
    cpu=$(figure cpu_us_entry "$W/grow") entry=$(figure entry_bytes "$W/grow")
    [ $size = 100000 ] && at_100k=$cpu
    part "Growth: a log of $size entries of $entry bytes, published without witnesses"
    limits
    # A part of an entry's cost, which is that of the posts below: at 100,000 next to nothing has been written out or merged yet.
    row "store and indices, of the last half" "$cpu us CPU" \
        "${at_100k:+$(calc %.1f "$cpu - $at_100k") us more than at 100,000; }$(figure written_bytes_entry "$W/grow") bytes written an entry"
    used=$(du -s --block-size=1 "$W/log" | cut -f1)
    row "on disk" "$(calc %.0f "$used / $size") bytes" "$(calc %.2f "$used / $size / $entry") times an entry's own (wanted: at most 1.3)"
    out_of_cache
    serve
    cold_ms=$took_ms
    stop log
    serve
    row "start to first answer" "$took_ms ms" "$cold_ms ms with nothing in the page cache"
    posted "one a request, 64 clients" 64 1
    set -- "$entries" "$took_p50" "$took_p99"
    posted "JSON lines of 256, 8 clients" 8 256
    point growth.dat $size "$@" "$entries" "$took_p50" "$took_p99"
    row "memory besides mapped pages" "$(calc %.0f "$(awk '$1 == "RssAnon:" { print $2 }' /proc/$pid/status) / 1024") MiB" "(wanted: under 128)"
    tree_size=$(curl -s "$(url log)/metrics" | awk '$1 == "stele_log_tree_size" { print $2 }')
    stop log
    check "fsck: entries and tree" "300,000/s" ""
    [ $size -le $signed ] || continue
    check "fsck --full" "60 %" --full
done
