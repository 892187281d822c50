# Shared by the parts of `make bench`: rows, and what a load costs beside the limits of this machine. Read in after
# tests/e2e/lib.sh; wants its `world`.
# BENCH_SECONDS: how long a load runs (default 5). BENCH_TABLE: a file that gets every row as one of a Markdown table besides.
# BENCH_DATA: the folder of what plot.sh draws.
# shellcheck shell=sh
bench=$STELE_BUILD/tests/bench
seconds=${BENCH_SECONDS:-5}

# figure NAME FILE: a value of a generator's output.
figure() { awk -v name="$1" '$1 == name { print $2 }' "$2"; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# row NAME FIGURE BESIDE: NAME begins with two spaces where it adds to the row above.
row() {
    printf '%-50s %14s   %s\n' "$1" "$2" "$3"
    [ -z "${BENCH_TABLE:-}" ] || printf '| %s | %s | %s |\n' "$1" "$2" "$3" | sed 's/^|   /| – /' >>"$BENCH_TABLE"
}
# part TITLE
part() {
    printf '\n%s\n' "$1"
    [ -z "${BENCH_TABLE:-}" ] || printf '| **%s** | | |\n' "$1" >>"$BENCH_TABLE"
}
# point FILE VALUE...: one more to draw.
point() {
    point_file=${BENCH_DATA:-$W}/$1
    shift
    echo "$@" >>"$point_file"
}
# measure_limits: what all that follows is held against.
measure_limits() {
    "$bench/limits" "$W" >"$W/limits" || exit 1
    verify=$(figure verify_all_s "$W/limits") verify_us=$(figure verify_cpu_us "$W/limits")
    sync_p50=$(figure fdatasync_p50_ms "$W/limits") sync_p99=$(figure fdatasync_p99_ms "$W/limits")
}
# limits: the same as rows, before each part.
limits() {
    measure_limits
    row "limit: Ed25519 verifications, $(figure cores "$W/limits") cores" "$verify/s" "$verify_us us of CPU each"
    row "limit: fdatasync" "$(figure fdatasync_s "$W/limits")/s" "p50 $sync_p50 p99 $sync_p99 ms"
}

# cpu_ticks: what the log's processes, the server $pid and its signer, have used.
cpu_ticks() {
    for p in $pid $(cat "/proc/$pid/task/$pid/children"); do cat "/proc/$p/stat"; done | awk '{ n += $14 + $15 } END { print n }'
}
# load CLIENTS PER_REQUEST [RATE]: of the log at $base; sets entries (a second), cpu_us (an entry), took_p50 and took_p99 (ms).
load() {
    before=$(cpu_ticks)
    "$bench/load" post "$base" "$1" "$seconds" "$W/key" "$2" ${3:+"$3"} >"$W/load" || exit 1
    entries=$(figure entries_s "$W/load")
    cpu_us=$(calc %.1f "($(cpu_ticks) - $before) * 1000000 / $(getconf CLK_TCK) / ($(figure answered "$W/load") * $2)")
    took_p50=$(figure p50_ms "$W/load") took_p99=$(figure p99_ms "$W/load")
    times="p50 $took_p50 p99 $took_p99 ms"
    refused=$(figure refused "$W/load")
    [ "$refused" = 0 ] || times="$times, $refused refused"
}
# post NAME CLIENTS PER_REQUEST [PERCENT_WANTED [CPU_WANTED]]
post() {
    load "$2" "$3"
    row "$1" "$entries/s" "$times; $(calc %.0f "100 * $entries / $verify") % of verification${4:+ (wanted: $4)}"
    row "  CPU per 1,000" "$(calc %.4f "$cpu_us / 1000") s" "$(calc %.2f "$cpu_us / $verify_us") times the verifications' own${5:+ (wanted: at most $5)}"
}
