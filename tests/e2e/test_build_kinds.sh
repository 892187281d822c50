#!/bin/sh
# Every kind of build of spec/builds.md on a real Nix: the one on PATH, and so `make check-nix` runs this against a newer one. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
NIX_CONFIG="${NIX_CONFIG}experimental-features = nix-command ca-derivations impure-derivations
"
builder_world
echo one >"$W/nonce"
# With the hook; what is said goes to $W/hooked. (2.8.0 builds an impure derivation and then fails to name what it built.)
hooked() { nix-store --realise "$@" --option post-build-hook "$hook" >"$W/built" 2>"$W/hooked"; }
drv() { nix-instantiate "$here/builds.nix" --argstr nonce "$W/nonce" "$@" 2>/dev/null; }
built() { hooked "$(drv -A "$@")"; }

built several
row several several-dev several-doc several
built fixed
row fixed fixed
built grounded
holds "a source and a fixed output are the inputs" grounded \
    '[.predicate.buildDefinition.resolvedDependencies[].annotations.kind] | sort == ["fixed", "source"]'
row grounded grounded
built floating
row floating floating-dev floating
built on-floating
resolved=$(nix-store -q --deriver "$(cat "$W/built")")
holds "a floating input is no source" on-floating \
    '[.predicate.buildDefinition.resolvedDependencies[].annotations.kind] == ["output", "output"]'
holds "the derivation is the resolved one" on-floating ".predicate.buildDefinition.externalParameters.derivation == \"$resolved\""
row on-floating on-floating
DRV_PATH=$(drv -A on-floating) OUT_PATHS=$(cat "$W/built") "$hook" >"$W/said" 2>&1
no_row unresolved "$W/said"
accepts "and that counts as no refusal" test ! -e "$W/state/counts"
built structured
row structured structured-dev structured
built json
row json json
built impure
row impure impure
echo two >"$W/nonce"
built impure
holds "another result, and only that" impure ".subject[0].digest.sha256 == \"$(nix-store --dump "$W/nonce" | sha256sum | cut -d' ' -f1)\""
row impure-again impure
DRV_PATH=$(drv -A impure)
export DRV_PATH
sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "update ValidPaths set registrationTime = registrationTime - 100 where deriver = '$DRV_PATH'"
OUT_PATHS='' "$hook" >"$W/said" 2>&1
no_row impure-old "$W/said"
says "which is counted" "^ambiguous 1 [0-9]+ .*impure.drv" "$W/state/counts"
OUT_PATHS=$(nix-store -q --outputs "$DRV_PATH" 2>/dev/null || sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "select path from ValidPaths where deriver = '$DRV_PATH' limit 1") "$hook" >"$W/out" 2>&1
same "control: where Nix names the path it is attested" 1 "$(letters)"
rm -rf "$W/outbox"
unset DRV_PATH
built odd
row odd 'odd+name-1.0_x?y=z.tar'
built plain
holds "the sandbox is Nix's setting" plain '.predicate.buildDefinition.internalParameters.sandbox == "false"'
holds "the store folder is that of the environment" plain \
    ".predicate.buildDefinition.internalParameters.storeDir == \"$NIX_STORE_DIR\" and (.subject[0].name | startswith(\"$NIX_STORE_DIR/\"))"
row store-folder plain
DRV_PATH=$(drv -A several) OUT_PATHS='' "$hook"
cat "$W"/outbox/*.jsonl >"$W/unnamed"
row no-out-paths several-dev several-doc several
# shellcheck disable=SC2046 # a list of words
DRV_PATH=$(drv -A several) OUT_PATHS=$(echo $(nix-store -q --outputs "$(drv -A several)" | sort -r)) "$hook"
accepts "named, in whatever order, they are the same attestation" cmp "$W"/outbox/*.jsonl "$W/unnamed"
rm -rf "$W/outbox"
accepts "an equal --check succeeds" nix-build --no-out-link --check "$here/builds.nix" -A plain --option post-build-hook "$hook"
row check-equal plain

# Some outputs are there already, from a cache: they are not ours.
doc=$(nix-store -q --outputs "$(drv -A several)" | grep -e -doc)
nix copy --to "file://$W/cache" "$doc" 2>/dev/null
# shellcheck disable=SC2046 # a list of words
again $(nix-store -q --outputs "$(drv -A several)")
nix-store --realise "$doc" --option substituters "file://$W/cache" --option require-sigs false >"$W/out" 2>&1
built several
row some-built several-dev several
done_testing
