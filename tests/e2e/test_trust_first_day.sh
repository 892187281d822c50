#!/bin/sh
# A first day with Stele: caches vouch for everything but what is our own, which our builder must have attested. Nine paths pass on
# the word of a cache; the one `acme-*` path without an attestation is exactly what is refused. Real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/day.nix" <<'END'
let
  build = name: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${name} > $out" ];
  };
in {
  theirs = map build [ "bash-5.2" "coreutils-9.4" "curl-8.5" "git-2.43" "glibc-2.38" "openssl-3.0" "perl-5.38" "python3-3.11" "zlib-1.3" ];
  ours = build "acme-web-1.0";
}
END
theirs=$(nix-build --no-out-link "$W/day.nix" -A theirs 2>/dev/null)
ours=$(nix-build --no-out-link "$W/day.nix" -A ours 2>/dev/null) # by somebody else's machine: no attestation
same "nine paths are theirs, one is ours" "9 1" "$(echo "$theirs" | wc -l) $(echo "$ours" | wc -l)"
# shellcheck disable=SC2086 # a list of paths
nix copy --to "file://$W/cache?compression=none&secret-key=$W/cache.secret" $theirs "$ours" >"$W/out" 2>&1
static_server cache "$W/cache" || exit 1
printf 'builder our-ci %s\ncache known-cache %s\ngroup known-caches any known-cache\nquorum known-caches\nquorum our-ci acme-*\n' \
    "$(cat "$W/key.pub")" "$(cat "$W/cache.public")" >"$W/trust"
new_gate >"$W/out"
# one line each: the store that a user fills.
take() { substitute user "$(url gate)" "$(cat "$W/gate.public")" "$*" --option keep-going true; }
accepts "the trust file has no mistake that matters" sh -c "stele trust --config '$W/gate.conf' --offline >/dev/null"
# shellcheck disable=SC2086
accepts "nine vouched paths pass" take $theirs
same "each says who vouched" 9 "$(grep -c 'passed .*vouched for by cache known-cache' "$W/run/gate.err")"
refuses "the tenth is refused" "don't know how to build|needs substitutes|no substituter" take "$ours"
stele why --config "$W/gate.conf" --last >"$W/out"
same "it is exactly what is refused" "$ours" "$(sed -n 's/^  //p' "$W/out")"
says "in one line: how many, and why" "^the gate refused 1 path: 1 because not attested: the quorum .our-ci. is not met" "$W/out"
refuses "and what would let it pass" "would pass with: an attestation by the builder our-ci" stele why --config "$W/gate.conf" "$ours"
says "the cache's signature says nothing of who built it" "signed by the cache key cache.example-1: it served the path" "$W/out"
same "as JSON as well" "false our-ci" "$(stele why --config "$W/gate.conf" --json "$ours" 2>/dev/null | jq -r '.[0] | "\(.passes) \(.quorum)"')"
# Our builder builds and attests it; then it passes.
DRV_PATH=$(nix-store -q --deriver "$ours") OUT_PATHS=$ours "$STELE_BUILD/bin/stele-hook" >"$W/out" 2>&1
accepts "our builder attests it" stele deliver --once
cp "$W"/state/proofs/*.tlog-proof "$W/cache/"
accepts "and it passes" take "$ours"
# The next day no cache is believed any more, nor is our builder: many refusals at once, for two reasons.
trust_builder "revoke ci"
new_gate >"$W/out"
for path in $theirs "$ours"; do get "/$(part "$path").narinfo"; done >"$W/out"
stele why --config "$W/gate.conf" --last >"$W/out"
says "of many at once one line says how many and why" \
    "^the gate refused 10 paths: 9 because not attested: [^;]*, no attestation [^;]*; 1 because not attested: [^;]*; .*the builder is revoked" "$W/out"
done_testing
