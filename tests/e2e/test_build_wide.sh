#!/bin/sh
# 3,000 inputs, and an output that refers to them all: attested, delivered to a log with its input list, proven, and the list served.
# TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
many=3000
network "$W/policy" "$W/key.pub"

wide=$(nix-instantiate "$here/builds.nix" --arg many $many -A wide 2>"$W/out")
accepts "it builds with the hook" nix-store --realise "$wide" --option post-build-hook "$hook"
out=$(nix-store -q --outputs "$wide")
same "Nix finds as many references" $many "$(nix-store -q --references "$out" | wc -l)"
same "it is attested" 1 "$(letters)"
names=$(nix-store -q --references "$out" | sed 's|.*/||' | LC_ALL=C sort | sha256sum | cut -d' ' -f1)
holds "the references stand by their digest" wide ".subject[0].annotations | (.referencesSha256 == \"$names\") and (has(\"references\") | not)"
list=$(payload wide | jq -r '.predicate.buildDefinition.resolvedDependencies | if length == 1 and .[0].name == "inputs" then .[0].digest.sha256 else "none" end')
inputs() {
    sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "select path || ' ' || substr(hash, 8) || '$1' from ValidPaths where path like '%-input-%' order by path"
}
closure=$(inputs "" | sha256sum | cut -d' ' -f1)
holds "the closure digest is over all of them" wide ".predicate.buildDefinition.internalParameters.closure == \"$closure\""
accepts "it is delivered" stele deliver --once
curl -s -o "$W/list" "$(url log)/inputs/$list"
same "the log serves the list, under its hash" "$list" "$(sha256sum <"$W/list" | cut -d' ' -f1)"
inputs " source" >"$W/want"
accepts "which has every input with its hash" cmp "$W/list" "$W/want"
accepts "and the proof verifies" stele verify "$W/state/proofs/$(basename "$out" | cut -c1-32).tlog-proof"
done_testing
