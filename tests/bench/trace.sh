# The consumer's trails: for run.sh, after its functions.
# shellcheck shell=sh disable=SC2154
part "A complete trail: every input followed to ground, by the log's bulk look-up on loopback"
new_log trails
for w in w1 w2; do kill -HUP "$(cat "$W/run/$w.pid")"; done # they run already: now they know it
serve trails
sed "s|^log .*|log $(stele-log key "$W/trails") $base|" "$W/trails/policy" >"$W/trails-policy"
printf 'policy %s\ntrust %s\nstate %s\n' "$W/trails-policy" "$W/trust" "$W/trail-state" >"$W/trails.conf"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/trust"
# trail N DEPTH WANTED
trail() {
    "$bench/trace" post "$base/attestations" "$W/key" "$1" "$2" || exit 1
    limits
    "$bench/trace" follow "$W/trails.conf" "$W/key" "$1" "$2" >"$W/load" || exit 1
    row "$1 inputs, $2 steps deep, attested by $(figure attested "$W/load")" "$(figure attested_s "$W/load")/s" \
        "$(figure seconds "$W/load") s; $(calc %.0f "100 * $(figure attested_s "$W/load") / $verify") % of verification on all cores, $(calc %.0f "100 * $(figure attested_s "$W/load") / $(figure verify_s "$W/limits")") % on one${3:+ (wanted: $3)}"
    row "  asked again, remembered" "$(figure again_ms "$W/load") ms" ""
}
trail 5000 10 60
trail 50000 100
stop trails
