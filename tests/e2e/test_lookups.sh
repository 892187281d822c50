#!/bin/sh
# stele-log's look-ups: by path, by many paths, by derivation and by builder, each from the published tree. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

part=$(part 5) part0=$(part 0) part2=$(part 2)
new_log "quorum none"
serve
cat "$W/e0" "$W/e1" "$W/many" "$W/e2" >"$W/all"
make_attestation "$W/builder" 1000 2 >>"$W/all"
status "the control: 305 attestations are logged" 200 "$(post "$W/all")"

echo "# look-ups of one path"
status "a path that nobody attested" 404 "$(get "/output/$part")"
status "a path that was attested" 200 "$(get "/output/$part0")"
same "where it was logged" "0 " "$(indices)"
status "by this builder or another" 200 "$(get "/output/$part0?builder=$other,$builder")"
status "by another alone" 404 "$(get "/output/$part0?builder=$other")"
status "after its index" 404 "$(get "/output/$part0?after=0")"
status "a malformed hash part" 400 "$(get /output/abc)"
status "a malformed builder" 400 "$(get "/output/$part0?builder=12")"
status "a malformed index" 400 "$(get "/output/$part0?after=-1")"
status "a builder and an empty one" 400 "$(get "/output/$part0?builder=$builder,")"
status "the control: an index" 200 "$(get "/output/$part2?after=301")"

echo "# look-ups of many paths"
printf '%s\n' "$part2" "$part" "$part0" >"$W/parts"
status "paths, attested and not" 200 "$(look_up "$W/parts")"
same "are answered in the order asked" "302 0 " "$(indices)"
same "all of them" 3 "$(answered)"
{ echo "builder $other"; echo "builder $builder"; cat "$W/parts"; } >"$W/bad"
status "by this builder or another" 200 "$(look_up "$W/bad")"
same "the same" "302 0 " "$(indices)"
{ echo "builder $other"; cat "$W/parts"; } >"$W/bad"
status "by another alone" 404 "$(look_up "$W/bad")"
printf '%s' "$part0" >"$W/bad"
status "a last line without its newline" 200 "$(look_up "$W/bad")"
echo "$part" >"$W/bad"
status "paths that nobody attested" 404 "$(look_up "$W/bad")"
status "an empty list" 400 "$(look_up "$W/empty")"
echo "builder $builder" >"$W/bad"
status "builders and no path" 400 "$(look_up "$W/bad")"
printf '%s\nbuilder %s\n' "$part0" "$builder" >"$W/bad"
status "a builder after a path" 400 "$(look_up "$W/bad")"
says "with the line" 'line 2' "$W/body"
printf '%s\n\n%s\n' "$part0" "$part2" >"$W/bad"
status "an empty line between two" 400 "$(look_up "$W/bad")"
sed 's/$/\r/' "$W/parts" >"$W/bad"
status "carriage returns" 400 "$(look_up "$W/bad")"
printf 'builder 12\n%s\n' "$part0" >"$W/bad"
status "a malformed builder in a line" 400 "$(look_up "$W/bad")"
hashes() { awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "builder %064x\n", i }'; }
{ hashes 257; cat "$W/parts"; } >"$W/bad"
status "257 builders" 413 "$(look_up "$W/bad")"
{ hashes 255; echo "builder $builder"; cat "$W/parts"; } >"$W/bad"
status "the control: 256" 200 "$(look_up "$W/bad")"
same "of which one built them" "302 0 " "$(indices)"
{ hashes 256; yes "$part0" | head -n 10000; } >"$W/bad"
status "256 builders and 10,000 paths are too much for one answer" 200 "$(look_up "$W/bad")"
same "which says how far it went" "1020 0" "$(answered) $(wc -c <"$W/body" | tr -d ' ')"
{ yes "$part" | head -n 10000; echo "$part0"; } >"$W/bad"
status "10,001 paths" 413 "$(look_up "$W/bad")"
sed 1d "$W/bad" >"$W/parts"
status "the control: 10,000" 200 "$(look_up "$W/parts")"
same "to the last" "0 10000" "$(indices)$(answered)"
yes "$part0" | head -n 10000 >"$W/parts"
pages=0 left=10000 bundles=0
while [ $left -gt 0 ] && [ $pages -lt 20 ] && tail -n $left "$W/parts" >"$W/bad" && [ "$(look_up "$W/bad")" = 200 ]; do
    [ "$(wc -c <"$W/body")" -le 8388608 ] || break
    bundles=$((bundles + $(indices | wc -w))) left=$((left - $(answered))) pages=$((pages + 1))
done
same "more than 8 MiB come in parts, to be asked for from where the last ended" "10000 0" "$bundles $left"
if [ $pages -gt 1 ]; then ok "in $pages parts"; else not_ok "in one part"; fi

echo "# look-ups by derivation and by builder"
drv2=$(derivation "$W/e2")
status "a derivation that was built" 200 "$(get "/derivation/$drv2")"
same "where it was logged" "302 " "$(indices)"
status "by this builder" 200 "$(get "/derivation/$drv2?builder=$builder&after=301")"
status "by another" 404 "$(get "/derivation/$drv2?builder=$other")"
status "after its index" 404 "$(get "/derivation/$drv2?after=302")"
status "a malformed derivation" 400 "$(get /derivation/abc)"
status "what a builder built" 200 "$(get "/builder/$builder")"
same "is all of this log" "$(seq 0 304 | tr '\n' ' ')" "$(indices)"
status "after an index" 200 "$(get "/builder/$builder?after=302")"
same "only the rest" "303 304 " "$(indices)"
status "after the last" 404 "$(get "/builder/$builder?after=304")"
status "another builder's" 404 "$(get "/builder/$other")"
status "a malformed builder" 400 "$(get "/builder/${builder}0")"
status "a malformed index" 400 "$(get "/builder/$builder?after=x")"
for route in "/derivation/$drv2" "/builder/$builder"; do
    status "POST to $route" 405 "$(get "$route" -d x)"
    says "says what is allowed" '^[Aa]llow: GET, HEAD' "$W/headers"
    status "HEAD of $route" 200 "$(get "$route" -I)"
done
status "GET of /outputs" 405 "$(get /outputs)"
says "says that it is posted" '^[Aa]llow: POST' "$W/headers"

echo "# what contradicts"
cat "$W/other.pub" >>"$W/log/builders"
kill -HUP "$(cat "$W/run/log.pid")"
same "another builder may submit, and says the same path is something else" 200 "$(soon 200 post "$W/foreign")"
both=$(printf '%s 0\n%s 305\n' "$builder" "$other" | sort | cut -d' ' -f2 | tr '\n' ' ')
drv=$(derivation "$W/e0")
echo "$part0" >"$W/parts"
status "what two builders say of one path is all given" 200 "$(get "/output/$part0")"
same "in the order of the builders" "$both" "$(indices)"
status "of many paths too" 200 "$(look_up "$W/parts")"
same "in this order" "$both" "$(indices)"
status "and of a derivation" 200 "$(get "/derivation/$drv")"
same "in this order as well" "$both" "$(indices)"
status "each builder's own stay apart" 200 "$(get "/builder/$other")"
same "the other's one" "305 " "$(indices)"
stop log
done_testing
