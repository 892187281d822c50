#!/bin/sh
# `stele submit`: statements of other tools, in the forms that they have, are logged and shown as foreign; they count for nobody and
# speak against nobody. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

if ! command -v openssl >"$W/out"; then
    skipped "foreign statements" "openssl is not installed, which signs them"
    done_testing
    exit
fi
new_log "quorum none"
cat "$W/other.pub" >>"$W/log/builders"
serve || exit 1
printf 'log %s %s\nquorum none\n' "$(stele-log key "$W/log")" "$(url log)" >"$W/policy"
printf 'policy policy\nstate state\ntrust trust\n' >"$W/stele.conf"
export STELE_CONFIG="$W/stele.conf"

# The other tool's key, for openssl: the seed in a secret key of ours, in the DER of RFC 8410.
{
    printf '\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040'
    cut -d+ -f5- "$W/other" | base64 -d | tail -c 32
} | openssl pkey -inform DER -out "$W/other.pem"
# envelope STATEMENT [KEYID]: a DSSE envelope around it, as other tools write them.
envelope() {
    {
        printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(wc -c <"$1")"
        cat "$1"
    } >"$W/pae"
    openssl pkeyutl -sign -rawin -inkey "$W/other.pem" -in "$W/pae" | base64 -w 0 >"$W/sig"
    jq -n --arg payload "$(base64 -w 0 "$1")" --arg sig "$(cat "$W/sig")" --arg keyid "${2:-}" \
        '{payloadType: "application/vnd.in-toto+json", payload: $payload, signatures: [{keyid: $keyid, sig: $sig}]}'
}
vkey=$(cat "$W/other.pub")
path=$(make_attestation path 0)
make_attestation "$W/builder" 0 1 | sed 's/.*"payload":"//; s/".*//' | base64 -d >"$W/honest"
digest=$(jq -r '.subject[0].digest.sha256' "$W/honest")
lie=$(echo lie | sha256sum | cut -d' ' -f1)

# As nix-attest's hook writes them: the path is the name, the digest also as Nix renders it, the whole derivation in the parameters.
jq -n --arg path "$path" --arg hex "$digest" '{
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{name: $path, digest: {narHash: "sha256-hRPiBmmpjgZiqCTwg9y3rq/UbVh6ELnyK8D5rGLdD1Q=", sha256: $hex}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://nixos.org/build/v1",
            "externalParameters": {"derivation": {args: ["-e"], builder: "/bin/sh", env: {name: "pkg"}, name: "pkg", outputs: {out: {path: $path}}}},
            "internalParameters": {},
            "resolvedDependencies": [{uri: "file:///nix/store/v6x3cs394jgqfbi0a42pam708flxaphh-builder.sh", digest: {sha256: $hex}}]},
        "runDetails": {"builder": {"id": "nix-daemon"}, "metadata": {"invocationId": "1"}}}}' >"$W/nix-attest"
# As sbomnix's `provenance` does: the output's name is the name, the path the uri; and it may lie.
jq -n --arg path "$path" --arg hex "$lie" '{
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{name: "out", uri: $path, digest: {sha256: $hex}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://example.org/build", "externalParameters": {target: "nixpkgs#pkg"}, "internalParameters": {},
            "resolvedDependencies": [{name: "stdenv", uri: "/nix/store/v6x3cs394jgqfbi0a42pam708flxaphh-stdenv", digest: {sha256: $hex}}]},
        "runDetails": {
            "builder": {id: "https://example.org/builder", builderDependencies: [], version: {}},
            "metadata": {invocationId: "2", startedOn: "", finishedOn: ""}, "byproducts": []}}}' >"$W/sbomnix"
indices() { grep -c '^index ' "$1"; }

envelope "$W/nix-attest" sha256:0123 >"$W/nix-attest.json"
refuses "an envelope whose keyid is no vkey wants the key" "say with --key" stele submit "$W/nix-attest.json"
accepts "with it nix-attest's is logged" stele submit --key "$vkey" "$W/nix-attest.json"
says "with a proof" "^index 0$" "$W/out"
says "and told to be foreign" "foreign statement, which is shown and never counts: a subject" "$W/out"
envelope "$W/sbomnix" >"$W/sbomnix.json"
accepts "sbomnix's names the path by its uri" stele submit --key "$vkey" "$W/sbomnix.json"
says "and is logged" "^index 1$" "$W/out"
jq -c . "$W/nix-attest.json" >"$W/two.intoto.jsonl"
jq -c '.signatures[0].keyid = $key' --arg key "$vkey" "$W/sbomnix.json" >>"$W/two.intoto.jsonl"
accepts "both as in-toto lines" stele submit --key "$vkey" "$W/two.intoto.jsonl"
same "two proofs" 2 "$(indices "$W/out")"
same "of the same entries, for the signatures are the same" 2 "$(curl -s "$(url log)/checkpoint" | sed -n 2p)"
jq '{mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial: {publicKey: {hint: "x"}, tlogEntries: []},
     dsseEnvelope: .}' "$W/nix-attest.json" >"$W/bundle.sigstore.json"
accepts "a bundle as sigstore has it" stele submit --key "$vkey" "$W/bundle.sigstore.json"
says "is the same, too" "^index 0$" "$W/out"
jq '.payload |= (gsub("\\+"; "-") | gsub("/"; "_")) | .signatures[0].sig |= (gsub("\\+"; "-") | gsub("/"; "_"))' \
    "$W/nix-attest.json" >"$W/url.json"
accepts "the other base64 alphabet" stele submit --key "$vkey" "$W/url.json"
says "as well" "^index 0$" "$W/out"
jq '.signatures = [{sig: "MEUCIQDx", keyid: "ecdsa"}] + .signatures' "$W/nix-attest.json" >"$W/several.json"
accepts "beside a signature of another kind" stele submit --key "$vkey" "$W/several.json"
says "the one that verifies counts" "^index 0$" "$W/out"

refuses "another's key" "does not verify" stele submit --key "$(cat "$W/builder.pub")" "$W/nix-attest.json"
jq '.payload = (.payload | @base64d | sub("pkg"; "pkh") | @base64)' "$W/nix-attest.json" >"$W/altered.json"
refuses "what was altered" "does not verify" stele submit --key "$vkey" "$W/altered.json"
jq '.subject[0] |= {name: "hello", digest}' "$W/nix-attest" >"$W/nameless"
envelope "$W/nameless" "$vkey" >"$W/nameless.json"
refuses "what names no store path" "no subject is a store path" stele submit "$W/nameless.json"
jq '._type = "https://in-toto.io/Statement/v0.1"' "$W/nix-attest" >"$W/old"
envelope "$W/old" "$vkey" >"$W/old.json"
refuses "an older statement" "_type is .*v0.1" stele submit "$W/old.json"
jq --arg long "$(head -c 60000 /dev/zero | tr '\0' x)" '.predicate.more = $long' "$W/nix-attest" >"$W/long"
envelope "$W/long" "$vkey" >"$W/long.json"
refuses "what does not fit an entry" "bytes, more than" stele submit "$W/long.json"
make_attestation key stranger.example/tool "$W/stranger"
refuses "a key that the log does not admit" "403.*stranger|does not verify" \
    stele submit --key "$(cat "$W/stranger.pub")" "$W/nix-attest.json"

echo "# shown, never counted"
printf 'builder other %s\nbuilder ci %s\nquorum other\n' "$vkey" "$(cat "$W/builder.pub")" >"$W/trust"
curl -s "$(url log)/output/$(part 0)" >"$W/both.tlog-proof"
accepts "a look-up gives them" stele verify "$W/both.tlog-proof"
same "both, and says that they are foreign" 2 "$(grep -c 'foreign statement by .*other.example' "$W/out")"
# A cache of one narinfo, over which `stele why` says what a gate would.
mkdir "$W/cache"
references=$(jq -r '.subject[0].annotations.references | join(" ")' "$W/honest")
printf 'StorePath: %s\nURL: nar/x\nCompression: none\nNarHash: sha256:%s\nNarSize: %s\nReferences: %s\n' "$path" \
    "$(nix-hash --type sha256 --to-base32 "$digest")" "$(jq -r '.subject[0].annotations.narSize' "$W/honest")" "$references" \
    >"$W/cache/$(part 0).narinfo"
printf 'store-dir /nix/store\nupstream file://%s\n' "$W/cache" >>"$W/stele.conf"
refuses "the key is trusted, and all the same nothing counts" "does not count: it is no complete" stele why "$path"
make_attestation "$W/builder" 0 1 >"$W/ours.json"
accepts "a builder attests the path" stele submit "$W/ours.json"
printf 'builder other %s\nbuilder ci %s\ngroup both any other ci\nquorum both\ndivergence refuse\n' "$vkey" \
    "$(cat "$W/builder.pub")" >"$W/trust"
accepts "which passes, though a foreign statement has other bytes and divergence is refused" stele why "$path"
says "the foreign ones are shown" "key other.example|builder other" "$W/out"
done_testing
