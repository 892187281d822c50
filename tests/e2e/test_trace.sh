#!/bin/sh
# `stele trace` on real Nix: a trail that comes out, and each way in which one ends, beside it. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
NIX_CONFIG="${NIX_CONFIG}experimental-features = nix-command ca-derivations
"
stele keygen ci.example/builder --out "$W/key" >"$W/out" 2>&1
stele keygen friend.example/builder --out "$W/friend" >"$W/out" 2>&1
network "$W/policy" "$W/key.pub" "$W/friend.pub"
printf 'policy policy\ntrust trust\nkey key\nstate state\noutbox outbox\nskip unlogged*\nskip floating*\n' >"$W/builder.conf"
printf 'policy policy\ntrust trust\nstate user-state\n' >"$W/user.conf"
# trust LINE...: the user's trust file.
trust() {
    { printf 'builder ci %s\nbuilder friend %s\n' "$(cat "$W/key.pub")" "$(cat "$W/friend.pub")" && printf '%s\n' "$@"; } >"$W/trust"
}
# build [CONFIG] ARGUMENTS...: built with the hook; the path.
build() { STELE_CONFIG=$conf nix-build --no-out-link "$@" --option post-build-hook "$hook" 2>"$W/err"; }
deliver() { STELE_CONFIG=$conf stele deliver --once >"$W/out" 2>&1; }
db_hash() { sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "select hash from ValidPaths where path = '$1'"; }
conf=$W/builder.conf
export STELE_CONFIG="$W/user.conf"
trust "quorum ci"

app=$(build "$here/graph.nix" -A app)
library=$(nix-build --no-out-link "$here/graph.nix" -A library 2>"$W/err")
tool=$(nix-build --no-out-link "$here/graph.nix" -A tool 2>"$W/err")
deliver
accepts "a trail down to ground" stele trace "$app"
sed 's/^/# /' "$W/out"
says "it names who built the path" "^[^ ]*-app: attested by builder ci; builder ci, build, index [0-9]+ in log.example/stele" "$W/out"
says "and an input of an input" "^    [^ ]*-library: attested by builder ci" "$W/out"
says "a source" "[^ ]*-greeting.txt: ground: a source" "$W/out"
says "a fixed output" "[^ ]*-fetched: ground: a fixed output" "$W/out"
stele trace --json "$app" >"$W/json" 2>"$W/err"
accepts "as JSON, complete" jq -e '.complete and (.paths[.asked].path | endswith("-app")) and ([.paths[].state] | sort | unique == ["attested", "ground"])' "$W/json"
accepts "with the inputs of each by number" jq -e '.paths as $p | [.paths[.asked].attestations[0].inputs[] | $p[.].path] | length == 3' "$W/json"
in_reports trace "$W/json"
stele trace --dot "$app" >"$W/dot" 2>"$W/err"
says "and as a graph" '^  n0 -> n[0-9]+ .label="ci"' "$W/dot"
stop log
refuses "what is no store path is told once, with what is wanted" "^stele trace: $(basename "$app") is no store path: give it whole" stele trace "$(basename "$app")"
refuses "without the log nothing comes out" "not attested" stele trace "$app"
says "and it says so" "could be asked|could not" "$W/out"
serve_network || exit 1
accepts "control: with it it does" stele trace "$app"

# An input that nobody attested, and one that only a stranger did.
unlogged=$(build -E 'derivation { name = "unlogged"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo a >$out" ]; }')
above=$(build -E 'let d = name: attrs: script: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; } // attrs); in d "above" { unlogged = d "unlogged" { } "echo a >$out"; } "echo b >$out"')
deliver
refuses "an input that nobody attested" "ends 1 step down, at [^ ]*-unlogged, an input of [^ ]*-above: not attested" stele trace "$above"
trust "quorum ci" "exempt unlogged"
accepts "control: an exempt one ends the trail" stele trace "$above"
printf 'policy policy\nkey friend\nstate friend-state\noutbox friend-outbox\n' >"$W/friend.conf"
again "$unlogged"
conf=$W/friend.conf
build -E 'derivation { name = "unlogged"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo a >$out" ]; }' >"$W/out"
deliver
conf=$W/builder.conf
trust "quorum ci"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/trust"
above=$(build -E 'let d = name: attrs: script: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; } // attrs); in d "above" { unlogged = d "unlogged" { } "echo a >$out"; } "echo b >$out"')
deliver
refuses "one that only a stranger attested" "at [^ ]*-unlogged.*unknown builder" stele trace "$above"
trust "quorum ci" "quorum friend unlogged"
accepts "control: named, he counts" stele trace "$above"

# The builder's store is tampered with: below an honest input, and an input itself.
trust "quorum ci"
on() { echo "with import $here/graph.nix; derivation { name = \"$1\"; system = builtins.currentSystem; builder = \"/bin/sh\"; inherit tool; args = [ \"-c\" \"echo \$tool >\$out\" ]; }"; }
good=$(build -E "$(on good)")
tamper "$library" s/hello/hullo/ "$library/greeting"
low=$(build -E "$(on low)")
tamper "$library" s/hullo/hello/ "$library/greeting"
tamper "$tool" s/cat/dog/ "$tool/bin/tool"
swapped=$(build -E "$(on swapped)")
tamper "$tool" s/dog/cat/ "$tool/bin/tool"
deliver
accepts "control: built on honest inputs" stele trace "$good"
refuses "an indirect input tampered with under honest direct ones" "closure digest does not come out" stele trace "$low"
refuses "a dependency swapped" "at [^ ]*-tool, an input of [^ ]*-swapped: other bytes than the build used" stele trace "$swapped"

# A floating content-addressed output looks like a source, and is none.
export NIX_CONFIG
floating=$(build "$here/builds.nix" -A on-floating)
deliver
refuses "a floating output that nobody attested is no ground" "at [^ ]*-floating.*not attested" stele trace "$floating"
sed -i '/^skip floating/d' "$W/builder.conf"
for path in $(nix-store -q --references "$(nix-store -q --deriver "$floating")" | grep floating); do echo "$path"; done >"$W/inputs"
# shellcheck disable=SC2046 # a list of words
again $(cat "$W/inputs")
floating=$(build "$here/builds.nix" -A on-floating)
deliver
accepts "control: attested, it comes out" stele trace "$floating"
part=$(basename "$floating" | cut -c1-32)
curl -s "http://127.0.0.1:$log_port/output/$part" | sed -n '/^extra /{s/^extra //p;q}' | base64 -d | jq -r .payload | base64 -d >"$W/honest"
sed 's/"kind":"output","derivation":"[^"]*"/"kind":"source"/g; s/ci.example/friend.example/g' "$W/honest" >"$W/lie"
make_attestation sign "$W/friend" <"$W/lie" >"$W/lie.json"
STELE_CONFIG=$W/friend.conf accepts "somebody attests it as built from sources" stele submit "$W/lie.json"
trust "group both all ci friend" "quorum friend" "quorum both floating*"
refuses "a floating output that poses as a source is found" "recorded as a source, but a builder attests to have built it" stele trace "$floating"
trust "quorum friend" "quorum ci floating*"
accepts "control: where its true builder is enough" stele trace "$floating"
done_testing
