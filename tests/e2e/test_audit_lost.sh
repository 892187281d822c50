#!/bin/sh
# `stele audit`: what has lost its support, by a revocation or a stricter trust file, and what never had any that could be lost: the
# backfills of a whole store, and statements of another kind. On real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
builder_world
stele keygen other.example/builder --out "$W/other" >"$W/out" 2>&1
network "$W/policy" "$W/key.pub" "$W/other.pub"
printf 'policy policy\ntrust trust\nkey key\nstate state\noutbox outbox\n' >"$W/builder.conf"
printf 'policy policy\ntrust trust\nstate user-state\n' >"$W/user.conf"
trust() { # LINE...: whom it names, and what is asked of them
    { printf 'builder ci %s\nbuilder other %s\n' "$(cat "$W/key.pub")" "$(cat "$W/other.pub")" && printf '%s\n' "$@"; } >"$W/trust"
}
audit() { STELE_CONFIG=$W/user.conf stele audit --store "$W/user" "$@"; } # of a machine that built nothing of it
nothing_lost="^[0-9]+ paths: [^;]*$"

app=$(nix-build --no-out-link "$here/graph.nix" -A app 2>"$W/err")
accepts "a whole store is attested, as backfills" stele attest --all
accepts "which are delivered" stele deliver --once
nix copy --no-check-sigs --to "$W/user" "$app" 2>"$W/err"

echo "# backfills that never counted"
trust "quorum ci"
accepts "where they were built" stele audit
says "that is all that is told" "^built-here .*-app" "$W/out"
says "and nothing lost its support" "$nothing_lost" "$W/out"
refuses "elsewhere" "^unexplained .*-app: nobody answers" audit
says "nothing lost its support either" "$nothing_lost" "$W/out"
trust "quorum ci" "revoke ci from 0 log.example/stele"
refuses "nor does a revocation take what was none" "^unexplained .*-app" audit
says "from any of it" "$nothing_lost" "$W/out"
accepts "also where it was built" stele audit
says "from nothing" "$nothing_lost" "$W/out"

echo "# backfills that count, or did"
trust "quorum ci" "backfill accept"
accepts "control: accepted" audit
trust "quorum ci" "backfill accept" "revoke ci from 0 log.example/stele"
refuses "a revocation takes them" "lost its support: .*-app: the attestation by ci does not count: the builder is revoked" audit
trust "quorum ci"
mkdir -p "$W/user-state/proofs"
cp "$W/state/proofs/$(basename "$app" | cut -c1-32).tlog-proof" "$W/user-state/proofs/"
refuses "so does a stricter trust file: of what the gate let through and kept the proof of" \
    "lost its support: .*-app: the attestation by ci does not count: it is a backfill, and the trust file refuses those" audit
says "and of that alone" "; 1 lost their support$" "$W/out"
rm -r "$W/user-state/proofs"

echo "# what counts under no trust file"
curl -s "http://127.0.0.1:$log_port/output/$(basename "$app" | cut -c1-32)" | sed -n '/^extra /{s/^extra //p;q}' | base64 -d |
    jq -r .payload | base64 -d | sed 's/ci.example/other.example/g; s/urn:stele:nix-build:v1/urn:other:v1/' >"$W/payload"
make_attestation sign "$W/other" <"$W/payload" >"$W/foreign.json"
accepts "a statement of another kind" stele submit "$W/foreign.json"
trust "quorum other"
refuses "is nobody's answer" "^unexplained .*-app" audit
says "that could be lost" "$nothing_lost" "$W/out"

echo "# builds"
tool=$(nix-store -q --references "$app" | grep -e "-tool\$")
sed 's/other.example/ci.example/g; s/urn:other:v1/urn:stele:nix-build:v1/; s/"backfill"/"build"/; s,ci.example/builder/backfill,ci.example/builder,' \
    "$W/payload" | make_attestation sign "$W/key" >"$W/build.json"
accepts "a build of the same" stele submit "$W/build.json"
trust "quorum ci"
refuses "which counts" "^attested .*-app" audit
says "beside backfills that do not" "^unexplained .*$(basename "$tool")" "$W/out"
trust "quorum ci" "divergence refuse"
refuses "where others' word is wanted as well" "^attested .*-app" audit
mkdir -p "$W/user-state/proofs"
stele proofs "$app" >"$W/user-state/proofs/$(basename "$app" | cut -c1-32).tlog-proof" 2>"$W/err"
refuses "and no log is asked for it" "^unexplained .*-app: .divergence refuse. needs every log's word" audit --offline
says "nothing lost its support" "$nothing_lost" "$W/out"
rm -r "$W/user-state/proofs"
trust "quorum other"
refuses "a builder that is asked no more" "lost its support: .*-app: the attestation by ci does not count: this builder is not asked" audit
accepts "takes nothing from where it was built" stele audit
says "which is what it stands by" "$nothing_lost" "$W/out"
trust "quorum ci" "revoke ci from 0 log.example/stele"
stele audit >"$W/out" 2>&1
says "but a revocation is told there, too" "lost its support: .*-app: the attestation by ci does not count: the builder is revoked" "$W/out"
says "of what counted" "; 1 lost their support$" "$W/out"
done_testing
