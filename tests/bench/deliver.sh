# `stele deliver` with a full outbox, beside what the same log takes of JSON lines from a load generator in the same run. Sourced
# by run.sh, after its functions. BENCH_LETTERS: how many wait (default 20,000; the figures wanted are those of 100,000).
# shellcheck shell=sh
letters=${BENCH_LETTERS:-20000}

part "Delivery: $letters attestations wait in an outbox"
limits
new_log deliver
kill -HUP "$(cat "$W/run/w1.pid")" "$(cat "$W/run/w2.pid")"
serve deliver
post "JSON lines of 256, 8 clients" 8 256
lines=$entries
"$bench/deliver" "$W/outbox" "$W/key" 1 "$letters" || exit 1
"$bench/deliver" files "$W/outbox" "$W/files" >"$W/load" || exit 1
files=$(figure files_s "$W/load")
row "limit: as many files read, created and removed" "$files/s" "no log asked, nothing verified; then the log at that rate: $(calc %.0f "1 / (1 / $files + 1 / $lines)")/s"
"$bench/deliver" "$W/outbox" "$W/key" 1 "$letters" || exit 1
{
    echo "log $(stele-log key "$W/deliver") $base"
    grep -v '^log ' "$W/deliver/policy"
} >"$W/deliver.policy"
printf 'policy %s\nstate %s\noutbox %s\n' "$W/deliver.policy" "$W/deliver-state" "$W/outbox" >"$W/deliver.conf"
before=$(cpu_ticks)
started=$(date +%s.%N)
stele deliver --once --for 600 --config "$W/deliver.conf" >"$W/out" 2>"$W/err" &
deliverer=$!
memory=0
while kill -0 $deliverer 2>/dev/null; do
    now=$(awk '/^VmHWM/ { print $2 }' "/proc/$deliverer/status" 2>/dev/null)
    memory=${now:-$memory}
    ticks=$(awk '{ print $14 + $15 }' "/proc/$deliverer/stat" 2>/dev/null)
    used=${ticks:-${used:-0}}
    sleep 0.1
done
wait $deliverer || { cat "$W/err" && exit 1; }
took=$(calc %.3f "$(date +%s.%N) - $started")
rate=$(calc %.0f "$letters / $took")
kept=$(find "$W/deliver-state/proofs" -name '*.tlog-proof' | wc -l)
row "stele deliver, $letters waiting" "$rate/s" "$(calc %.0f "100 * $rate / $lines") % of the log's JSON lines (wanted: 60); $kept proofs kept"
row "  CPU per 1,000" \
    "$(calc %.4f "$used * 1000 / $(getconf CLK_TCK) / $letters") s" "and the log's $(calc %.4f "($(cpu_ticks) - $before) * 1000 / $(getconf CLK_TCK) / $letters") s"
row "  memory" "$(calc %.1f "$memory / 1024") MiB" "at most, whatever waits"
stop deliver
