# shellcheck shell=sh disable=SC2154
# The hook's rows of `make bench`, on a real Nix store; sourced by run.sh.
part "The hook: a whole process, one build of 10 KB with 20 inputs"
nix_world
printf 'key key\nstate state\noutbox outbox\n' >"$W/builder.conf"
export STELE_CONFIG="$W/builder.conf"
# hook_row NAME DRV RUNS AT_ONCE WANTED: times the hook for a built derivation; sets hook_p50.
hook_row() {
    DRV_PATH=$2 OUT_PATHS=$(nix-store -q --outputs "$2") "$bench/hook" "$3" "$4" "$STELE_BUILD/bin/stele-hook" >"$W/load" 2>"$W/out" || exit 1
    [ "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1 ] || { tail -n 3 "$W/out"; exit 1; }
    rm -rf "$W/outbox"
    hook_p50=$(figure p50_ms "$W/load")
    row "$1" "p50 $hook_p50 ms" "p99 $(figure p99_ms "$W/load") ms, $(figure cpu_ms "$W/load") ms of CPU${5:+ (wanted: $5)}"
}
# made CLOSURE ATTRIBUTE [BYTES]: builds it, prints its derivation.
made() {
    made=$(nix-instantiate "$here/hook.nix" --arg closure "$1" --arg big "${3:-1}" -A "$2" 2>"$W/out") || { tail -n 3 "$W/out"; exit 1; }
    nix-store --realise "$made" >"$W/out" 2>&1 || { tail -n 3 "$W/out"; exit 1; }
    echo "$made"
}
"$bench/limits" "$W" >"$W/limits" || exit 1
row "limit: a program that does nothing" "p50 $(env -u NIX_STATE_DIR "$bench/hook" 500 1 /bin/true | awk '/p50/ { print $2 }') ms" ""
row "limit: fdatasync" "p50 $(figure fdatasync_p50_ms "$W/limits") ms" "p99 $(figure fdatasync_p99_ms "$W/limits") ms; a letter takes two syncs"
few=$(made 300 small)
many=$(made 5000 small)
hook_row "closure of 300 paths" "$few" 500 1 "p50 5 p99 20"
small_p50=$hook_p50
hook_row "16 at once" "$few" 1600 16
hook_row "closure of 5,000 paths" "$many" 200 1 "p50 40"
bytes=$((512 << 20))
echo "hook-hash-max 4000000000" >>"$W/builder.conf"
hook_row "an output of 512 MiB" "$(made 300 big $bytes)" 5 1
speed=$(calc %.0f "$bytes / 1000 / ($hook_p50 - $small_p50)")
row "  hashed" "$speed MB/s" "$(calc %.0f "100 * $speed / $(figure sha256_mb_s "$W/limits")") % of SHA-256's $(figure sha256_mb_s "$W/limits") MB/s (wanted: 80)"
