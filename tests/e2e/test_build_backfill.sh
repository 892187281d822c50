#!/bin/sh
# A whole store attested by hand, as backfills: what is passed over, what is refused, notes that were lost; and the source that the
# caller names, without its secrets. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
many=40
# shellcheck disable=SC2046 # a list of words
nix-store --realise $(nix-instantiate "$here/builds.nix" --arg many $many -A one-of 2>/dev/null) >/dev/null 2>&1
several=$(nix-store --realise "$(nix-instantiate "$here/builds.nix" -A several 2>/dev/null)" 2>/dev/null | head -n 1)
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted
echo planted >"$planted"
printf '%s\n\n0\n' "$planted" | nix-store --register-validity

refuses "by hand nothing is a build" "build.* is for the hook" stele attest --claim build "$several"
refuses "nor a rebuild" "rebuild.* for the diff-hook" stele attest --claim rebuild --all
refuses "a revision wants its source" "belong to --source" stele attest --all --revision x
refuses "paths or all" "give paths, or --all" stele attest
refuses "and not both" "give paths, or --all" stele attest --all "$several"

accepts "all of a store is attested" stele attest --claim backfill --all
says "which it says" "^$((many + 3)) attested, 0 done before, 0 refused" "$W/out"
same "an attestation for each derivation" $((many + 1)) "$(letters)"
says "what was not built here is passed over" "passed over: $((many + 2)) not built here" "$W/out"
holds "all outputs of one derivation stand together" several '[.subject[].annotations.output] == ["dev", "doc", "out"]'
holds "as a backfill" several '.predicate.buildDefinition.internalParameters.claim == "backfill"'
accepts "a second time there is nothing to do" stele attest --all
says "which it says" "^0 attested, $((many + 3)) done before" "$W/out"
cp "$W"/outbox/*.jsonl "$W"
tail -n 5 "$W/state/backfilled" >"$W/five"
printf 'torn' >>"$W/five"
cp "$W/five" "$W/state/backfilled"
accepts "a note that was lost or torn" stele attest --all
says "is done again" "^$((many + 3 - 5)) attested, 5 done before|^$((many + 3 - 7)) attested, 7 done before" "$W/out"
same "and gives the same attestations" $((many + 1)) "$(letters)"

# Built anew with another result.
different() { nix-store --realise "$(nix-instantiate "$here/builds.nix" --argstr nonce "$W/nonce" -A differs 2>/dev/null)" 2>/dev/null; }
echo one >"$W/nonce"
different >"$W/paths"
stele attest --all >"$W/out" 2>&1 # also what the torn line cost its neighbour
holds "what was built since is attested" differs "[.subject[].digest.sha256] | index(\"$(nix-store --dump "$(head -n 1 "$W/paths")" | sha256sum | cut -d' ' -f1)\")"
rm -rf "$W/outbox"
# shellcheck disable=SC2046 # a list of words
again $(cat "$W/paths")
echo two >"$W/nonce"
different >"$W/paths"
accepts "what was built anew, with another result" stele attest --all
says "is attested anew, and no more" "^2 attested, $((many + 4)) done before, 0 refused" "$W/out"
holds "with the bytes of that" differs "[.subject[].digest.sha256] | index(\"$(nix-store --dump "$(head -n 1 "$W/paths")" | sha256sum | cut -d' ' -f1)\")"
# shellcheck disable=SC2046 # a list of words
again $(cat "$W/paths" && nix-store -q --references $(cat "$W/paths") | grep -e -fixed)

# What is refused is named, and does not hold up the others.
rm -rf "$W/outbox" "$W/state/backfilled"
chmod u+w "$several" && echo altered >"$several"
refuses "an altered path is refused" "ALARM.*several on disk|3 paths were refused" stele attest --all
says "by its name" "refused: ALARM: .*-several" "$W/out"
same "all others are attested" $many "$(letters)"
echo "skip one-*" >>"$W/builder.conf"
rm -rf "$W/outbox" "$W/state/backfilled"
refuses "private names are passed over" "$many kept private" stele attest --all
sed -i '/^skip/d' "$W/builder.conf"
printf '%s %s\n' "$(cat /etc/machine-id 2>/dev/null | grep . || echo unknown)" "$(($(date +%s) + 1000))" >"$W/state/machine-id"
accepts "so is what is older than this key's work here" stele attest --all
says "which is counted" "$((many + 3)) older than this key" "$W/out"

# The source.
one=$(nix-instantiate "$here/builds.nix" --arg many 1 -A one-of 2>/dev/null | xargs nix-store -q --outputs)
rev=0123456789abcdef0123456789abcdef01234567
accepts "a source is taken" stele attest --built-on-this-machine \
    --source "git+https://me:secret@example.org/r?ref=main&rev=$rev&access_token=hidden#packages.one" "$one"
says "it is said what is logged of it" "logged is git\+https://example.org/r\?ref=main&rev=$rev:" "$W/out"
holds "which is what is logged" one-0 ".predicate.buildDefinition.externalParameters.source ==
    {flakeRef: \"git+https://example.org/r?ref=main&rev=$rev\", revision: \"$rev\", attribute: \"packages.one\"}"
accepts "no secret is in the outbox" sh -c "! tail -n 1 $W/outbox/*.jsonl | jq -r .payload | base64 -d | grep -E 'secret|hidden'"
done_testing
