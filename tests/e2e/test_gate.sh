#!/bin/sh
# The gate against hostile caches and requests, on real Nix: each refusal for its reason, and with a control that passes. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
app=$(build "$here/graph.nix" app)
library=$(build "$here/graph.nix" library)
fetched=$(build "$here/graph.nix" fetched)
cat >"$W/big.nix" <<'NIX'
{ big = derivation { name = "big"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
    args = [ "-c" "mkdir $out; seq 1 60000 >$out/numbers; head -c 20000 /dev/zero >$out/zeros" ]; }; }
NIX
big=$(build "$W/big.nix" big)
accepts "the attestations are delivered" stele deliver --once
fill cache none "$app" "$fetched"
static_server cache "$W/cache" || exit 1
part=$(part "$library")
narinfo=$W/cache/$part.narinfo
cp "$narinfo" "$W/good.narinfo"

# refused WHAT REASON: the library's narinfo is 404, and `stele why` says why. Then the good one is put back, and passes.
refused() {
    is "$1: refused" 404 "/$part.narinfo"
    refuses "$1: for that reason" "$2" stele why --config "$W/gate.conf" "$library"
    cp "$W/good.narinfo" "$narinfo"
    new_gate >"$W/out"
    is "$1: control" 200 "/$part.narinfo"
}

# sign: the cache signs what its narinfo now says.
sign() {
    sed -i '/^Sig: /d' "$narinfo"
    nix store sign --store "file://$W/cache" -k "$W/cache.secret" "$library" >"$W/out" 2>&1
}

accepts "the gate starts" new_gate
is "it is a cache" 200 /nix-cache-info
says "that wants to be asked in bulk" "WantMassQuery: 1" "$W/body"
is "an attested path" 200 "/$part.narinfo"
says "is handed out with the gate's signature" "^Sig: gate.example-1:" "$W/body"
says "and its attested deriver" "^Deriver: .*library.drv" "$W/body"
accepts "and not the untrusted cache's" sh -c "! grep -q 'Sig: cache.example' $W/body"
nar=$(sed -n 's/^URL: //p' "$W/body")
is "HEAD finds it, too" 200 "/$part.narinfo" -I
is "its NAR comes" 200 "/$nar"
accepts "with the attested bytes" sh -c "nix-store --dump $library | cmp - $W/body"
# As many at once as Nix opens: of each request that has its answer, the NAR's bytes.
seq 25 | xargs -P 25 -I'{}' curl -s -o "$W/parallel.{}" "$(url gate)/$nar"
for i in $(seq 25); do cmp "$W/parallel.$i" "$W/body"; done >"$W/out" 2>&1
same "25 at once all get it" "" "$(cat "$W/out")"
fixed=$(part "$fetched")
is "a fixed output passes" 200 "/$fixed.narinfo"
says "by its builder or its name, unsigned by the gate" "^CA: fixed:" "$W/body"
accepts "since Nix checks it by its content" sh -c "! grep -q '^Sig: gate' $W/body"

# Requests.
is "an unknown path" 404 /00000000000000000000000000000000.narinfo
is "a hash part that is too short" 404 "/$(echo "$part" | cut -c1-31).narinfo"
is "a hash part in capitals" 404 "/$(echo "$part" | tr a-z A-Z).narinfo"
is "a walk upwards" 404 /nar/../../../etc/passwd
is "an escaped walk upwards" 404 "/nar/%2e%2e/%2e%2e/etc/passwd"
is "realisations" 404 /realisations/sha256:0000.doi
is "a log of a build" 404 /log/x.drv
is "another method" 405 /nix-cache-info -X DELETE
is "a page that talks to the gate: Origin" 403 /nix-cache-info -H "Origin: http://evil.example"
is "a page that talks to the gate: Sec-Fetch-Site" 403 /nix-cache-info -H "Sec-Fetch-Site: cross-site"
is "a page that talks to the gate: Cookie" 403 /nix-cache-info -H "Cookie: a=b"
is "another Host" 403 /nix-cache-info -H "Host: evil.example"
is "control: localhost as Host" 200 /nix-cache-info -H "Host: localhost:$(url gate | sed 's/.*://')"
is "a NAR under another hash" 404 "/nar/$part-0000000000000000000000000000000000000000000000000000.nar"

# Caches.
sed -i "s|^References: .*|References: $(basename "$app")|" "$narinfo" && sign
refused "swapped references, signed again" "other references"
sed -i 's|^NarSize: .*|NarSize: 4096|' "$narinfo" && sign
refused "another size, signed again" "other bytes"
sed "s|^StorePath: .*|StorePath: $app|" "$W/cache/$part.narinfo" >"$W/x" && cp "$W/x" "$narinfo"
refused "another path's narinfo" "another path"
printf 'StorePath: %s\nURL: x\n' "$library" >"$narinfo"
refused "a narinfo that is cut" "malformed|missing"
awk 'BEGIN { for (i = 0; i < 200000; i++) print "Sig: a:b" }' >>"$narinfo"
is "a narinfo of more than a megabyte" 404 "/$part.narinfo"
cp "$W/good.narinfo" "$narinfo"
sed -i 's|^URL: .*|URL: ../../secret|' "$narinfo"
is "a URL that leaves the cache: ../" 404 "/$part.narinfo"
sed -i 's|^URL: .*|URL: file:///etc/passwd|' "$narinfo"
is "a URL that leaves the cache: file:" 404 "/$part.narinfo"
sed -i 's|^URL: .*|URL: http://other.example/x|' "$narinfo"
is "a URL that leaves the cache: another host" 404 "/$part.narinfo"
echo "CA: fixed:r:sha256:0000000000000000000000000000000000000000000000000000" >>"$narinfo"
refused "a false content address" "CA"

# Proofs.
cp "$W/cache/$part.tlog-proof" "$W/good.proof"
rm "$W/cache/$part.tlog-proof"
kept_proof() { [ -s "$W/gate-$gates/proofs/$part.tlog-proof" ] && echo yes; }
same "the gate keeps the proof of what it let through" yes "$(soon yes kept_proof)"
is "which does without the sidecar" 200 "/$part.narinfo"
new_gate >"$W/out"
is "a stripped sidecar" 404 "/$part.narinfo"
refuses "for that reason" "no attestation" stele why --config "$W/gate.conf" "$library"
cp "$W/cache/$(part "$app").tlog-proof" "$W/cache/$part.tlog-proof"
is "another path's proof" 404 "/$part.narinfo"
refuses "for that reason" "another path|no attestation" stele why --config "$W/gate.conf" "$library"
sed 's/^— w1.example .*//; /^$/{N;/^\n$/D}' "$W/good.proof" | grep -v '^— w1' >"$W/cache/$part.tlog-proof"
is "a proof without its cosignature" 404 "/$part.narinfo"
refuses "for that reason" "quorum" stele why --config "$W/gate.conf" "$library"
head -c 300 "$W/good.proof" >"$W/cache/$part.tlog-proof"
is "a proof that is cut" 404 "/$part.narinfo"
# What is kept of refusals is bounded: two files of about a megabyte, of which the older one goes.
kept=$W/gate-$gates/refusals
for round in first second third; do
    while [ "$(stat -c %s "$kept")" -le 1048576 ]; do cat "$kept" "$kept" >"$W/twice" && cp "$W/twice" "$kept"; done
    echo "$round" >>"$kept"
    get "/$part.narinfo" >"$W/out"
done
same "the older of two files of refusals goes" "0 0 1" "$(for round in first second third; do cat "$kept" "$kept.old" | grep -c "^$round"; done | tr '\n' ' ' | sed 's/ $//')"
at_most "the newer one begins anew" 1048576 "$(stat -c %s "$kept")"
refuses "the last one is there" "^the gate refused it at " stele why --config "$W/gate.conf" "$library"
cp "$W/good.proof" "$W/cache/$part.tlog-proof"
is "control: the proof is back" 200 "/$part.narinfo"
accepts "what was refused can be asked for later" sh -c "stele why --config $W/gate.conf --last | grep -q $part"

# NARs.
nar_file=$W/cache/$(sed -n 's/^URL: //p' "$W/good.narinfo")
cp "$nar_file" "$W/good.nar"
new_gate >"$W/out"
get "/$part.narinfo" >"$W/out"
nar=$(sed -n 's/^URL: //p' "$W/body")
sed -i 's/hello/hullo/' "$nar_file"
get "/$nar" >"$W/out"
accepts "bytes swapped between narinfo and NAR never arrive whole" test "$(stat -c %s "$W/body" 2>/dev/null || echo 0)" -lt "$(stat -c %s "$W/good.nar")"
head -c 100 "$W/good.nar" >"$nar_file"
get "/$nar" >"$W/out"
accepts "a cut NAR does not arrive whole" test "$(stat -c %s "$W/body" 2>/dev/null || echo 0)" -lt "$(stat -c %s "$W/good.nar")"
cat "$W/good.nar" "$W/good.nar" >"$nar_file"
get "/$nar" >"$W/out"
accepts "a NAR that is too long does not arrive whole" test "$(stat -c %s "$W/body" 2>/dev/null || echo 0)" -lt "$(stat -c %s "$W/good.nar")"
cp "$W/good.nar" "$nar_file"
is "an upstream that had other bytes is not asked for them again at once" 404 "/$nar"
new_gate >"$W/out"
is "control: the NAR is back" 200 "/$nar"
accepts "whole" cmp "$W/body" "$W/good.nar"

# The other compressions that Nix writes.
for compression in xz zstd bzip2 gzip br lz4 lzma lzip compress; do
    rm -rf "$W/cache2" && fill cache2 $compression "$app" "$big"
    new_gate "upstream file://$W/cache2"
    accepts "Nix substitutes from a cache in $compression" substitute "user-$compression" "$(url gate)" "$(cat "$W/gate.public")" "$app $big"
done

# What the trust file says, and when it changes.
new_gate "refuse-with 451"
trust_builder "revoke ci"
kill -HUP "$(cat "$W/run/gate.pid")"
tries=0
until [ "$(get "/$part.narinfo")" = 451 ] || [ $tries -gt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
is "a builder that was revoked, with 451 and the reason" 451 "/$part.narinfo"
says "which Nix prints" "revoked" "$W/body"
trust_builder "" nonsense
kill -HUP "$(cat "$W/run/gate.pid")"
tries=0
until grep -q not-reread "$W/run/gate.err" || [ $tries -gt 600 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
is "a trust file that is wrong changes nothing" 451 "/$part.narinfo"
says "and the operator is told" "not-reread.*line 3" "$W/run/gate.err"
trust_builder
new_gate >"$W/out"
is "control" 200 "/$part.narinfo"

# Reloads, the next while the last one is at it.
: >"$W/run/gate.err"
reloads=0
rereads() { grep -c ' reread ' "$W/run/gate.err"; }
while [ "$(rereads)" -lt 20 ] && [ $reloads -lt 1000000 ] && kill -HUP "$(cat "$W/run/gate.pid")" 2>"$W/out"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -HUP "$(cat "$W/run/gate.pid")" 2>"$W/out"; done
    reloads=$((reloads + 1))
done
at_least "a gate that is told to reread while it rereads does so" 20 "$(rereads)"
is_serving() { get "/$part.narinfo"; }
same "and serves" 200 "$(soon 200 is_serving)"

# More connections than descriptors that a shell gives: the gate takes all that the system lets it have.
soft=$(ulimit -S -n)
ulimit -S -n 64
new_gate >"$W/out"
ulimit -S -n "$soft"
for n in $(seq 100); do printf 'url = "%s/%s.narinfo"\noutput = "%s/answer-%d"\n' "$(url gate)" "$part" "$W" "$n"; done >"$W/requests"
same "a hundred connections are answered" "100 200" \
    "$(curl -s --no-progress-meter --parallel --parallel-immediate --parallel-max 100 -w '%{http_code}\n' -K "$W/requests" | sort | uniq -c | tr -s ' ' | sed 's/^ //')"

manual=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-manual-1.0
echo manual >"$manual"
printf '%s\n\n0\n' "$manual" | nix-store --register-validity
nix copy --to "file://$W/cache?compression=none&secret-key=$W/cache.secret" "$manual" >"$W/out" 2>&1
manual_part=zyxwvsrqpnmlkjihgfdcba9876543210
is "a path that nobody attested" 404 "/$manual_part.narinfo"
trust_builder "exempt manual-*"
new_gate >"$W/out"
is "exempt, but of a cache whose key is not named" 404 "/$manual_part.narinfo"
trust_builder "cache c $(cat "$W/cache.public")" "exempt manual-*"
new_gate >"$W/out"
is "exempt, and signed by a cache that is named" 200 "/$manual_part.narinfo"
says "with the cache's signature beside the gate's" "^Sig: cache.example-1:" "$W/body"
is "an attested path of that cache" 200 "/$part.narinfo"
says "has both signatures as well" "^Sig: cache.example-1:" "$W/body"
trust_builder "cache c $(cat "$W/cache.public")" "revoke c"
new_gate >"$W/out"
is "an attested path of a cache that was revoked" 200 "/$part.narinfo"
accepts "comes without the cache's signature" sh -c "! grep -q '^Sig: cache' $W/body"
trust_builder "cache c $(cat "$W/cache.public")" "quorum c manual-*"
new_gate >"$W/out"
is "vouched for by a cache" 200 "/$manual_part.narinfo"
trust_builder
new_gate "mode warn"
is "mode warn lets nothing through that plain Nix would refuse" 404 "/$manual_part.narinfo"
trust_builder "cache c $(cat "$W/cache.public")"
new_gate "mode warn"
is "mode warn lets through what a named cache signed" 200 "/$manual_part.narinfo"
says "and warns" "passed-by-warning" "$W/run/gate.err"
new_gate
is "control: enforced, it is refused" 404 "/$manual_part.narinfo"

# Nothing opens because something is down.
because() { # WHAT REASON STATUS PATH: so `stele why` ends
    stele why --config "$W/gate.conf" "$4" >"$W/out" 2>&1
    same "$1: status $3" "$3" $?
    says "which is told" "$2" "$W/out"
}
because "what no cache has" "no upstream cache has this path" 1 00000000000000000000000000000000
stop cache
new_gate >"$W/out"
is "an upstream that is down" 404 "/$part.narinfo"
because "why does not take that for an answer" "of 1 upstream caches 1 gave no answer" 4 "$library"
sed -i '/^upstream /d' "$W/gate.conf"
because "nor that there is none to ask" "no .upstream URL. in the configuration" 4 "$library"
done_testing
