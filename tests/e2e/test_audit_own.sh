#!/bin/sh
# `stele audit` of a builder whose Nix collects what it built: what its own keys said of that is no alarm, and what they said of
# anything else is one, before and after. On real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
builder_world
stele keygen other.example/builder --out "$W/other" >"$W/out" 2>&1
network "$W/policy" "$W/key.pub"
nix-store --generate-binary-cache-key this.example-1 "$W/nix.secret" "$W/nix.public"
printf 'policy policy\ntrust trust\nkey key\nstate state\noutbox outbox\nskip data\n' >"$W/builder.conf"
printf 'builder other %s\nquorum other\n' "$(cat "$W/other.pub")" >"$W/trust"
export NIX_CONFIG="$NIX_CONFIG
secret-key-files = $W/nix.secret"

app=$(nix-build --no-out-link "$here/graph.nix" -A app --option post-build-hook "$hook" 2>"$W/err")
tool=$(nix-build --no-out-link "$here/graph.nix" -A tool 2>"$W/err")
fill() { nix copy --to "file://$W/cache?compression=none" "$@" 2>"$W/err"; }
fill "$app"
audit() { stele audit --cache "$W/cache" "$@"; }
is_quiet() { # WHAT: the last report has no alarm
    if grep -q ALARM "$W/out"; then not_ok "$1"; else ok "$1"; fi
}
collect() {
    nix-collect-garbage >"$W/err" 2>&1
    refuses "Nix has collected what was built" "is not valid" nix-store --check-validity "$app"
}

# What only this machine's key, and not this machine, made: PATH, with these bytes, in a store of its own and in the cache.
thieves=$W/thieves
forge() { # PATH TEXT
    file=$thieves/nix/store/$(basename "$1")
    rm -rf "$file" && echo "$2" >"$file"
    sqlite3 "$thieves/nix/var/nix/db/db.sqlite" "insert or replace into ValidPaths (path, hash, registrationTime, narSize) values ('$1', 'sha256:$(nix-store --dump "$file" | sha256sum | cut -d' ' -f1)', 1, $(nix-store --dump "$file" | wc -c))"
    nix store sign --store "$thieves" -k "$W/nix.secret" "$1" 2>"$W/err"
}
nix copy --no-check-sigs --from "file://$W/cache" --to "$thieves" "$(nix-store -q --references "$tool" | head -n 1)" 2>"$W/err"
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted

echo "# what was built here"
accepts "in the store: no alarm" audit
says "built here" "^built-here .*-app" "$W/out"
narinfo=$W/cache/$(basename "$app" | cut -c1-32).narinfo
cp "$narinfo" "$W/narinfo"
other="^unexplained .*-app: this machine built these bytes with other references"
sed -i "s/^References: .*/& zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz-more/" "$narinfo"
refuses "these bytes with a reference more" "$other" audit
sed -i 's/^References: .*/References: /' "$narinfo"
refuses "or without any" "$other" audit
cp "$W/narinfo" "$narinfo"
accepts "control: with its own" audit
forge "$planted" planted
nix copy --no-check-sigs --from "$thieves" --to "file://$W/cache?compression=none" "$planted" 2>"$W/err"
alarm="^ALARM .*-planted: it carries the signature of this machine's key this.example-1, but was not built here"
refuses "control: what was not built here, under this machine's Nix key" "$alarm" audit
same "is the only alarm" 1 "$(grep -c ALARM "$W/out")"

echo "# collected, and not delivered yet"
collect
refuses "is no alarm, but control" "$alarm" audit
same "which is the only one" 1 "$(grep -c ALARM "$W/out")"
says "it was built here" "^built-here .*-app: this machine built it" "$W/out"
says "also what is kept out of the log" "^built-here .*-data" "$W/out"
accepts "alone it is accepted" audit "$app"
accepts "as JSON, too" sh -c "stele audit --json --cache '$W/cache' '$app' | jq -e '.alarms == 0 and .paths[0].builtHere and .paths[0].class == \"built-here\"'"

echo "# delivered: it stands in the log under this machine's key"
accepts "the attestations are delivered" stele deliver --once
accepts "no alarm" audit "$app" "$tool"
is_quiet "at all"

echo "# other bytes for what was built here"
forge "$tool" forged
refuses "with this machine's signature: an alarm" "^ALARM .*-tool: it carries the signature of this machine's key" stele audit --store "$thieves" --offline "$tool"
payload=$(sed -n 's/^extra //p' "$W/state/proofs/$(basename "$tool" | cut -c1-32).tlog-proof" | base64 -d | jq -r .payload | base64 -d)
steal() { # FILTER: the attestation of the tool as the filter alters it, under this machine's key, as a thief logs it
    printf '%s' "$payload" | jq -c "$1" | make_attestation sign "$W/key" >"$W/stolen.json"
    stele submit "$W/stolen.json" >"$W/stolen" 2>&1
}
steal ".subject[0].digest.sha256 = \"$(printf x | sha256sum | cut -d' ' -f1)\""
in_log="^ALARM .*-tool: it stands in the log log.example/stele, index [0-9]+, under this machine's key ci.example/builder, but was not built here with those bytes"
refuses "in the log under this machine's key: an alarm" "$in_log" audit "$tool"
nix-build --no-out-link "$here/graph.nix" -A tool --option post-build-hook "$hook" >"$W/err" 2>&1
refuses "also while the tool is in the store, built again" "$in_log" audit "$tool"
refuses "and in an audit of that" "$in_log" stele audit "$tool"

echo "# a path that was never built here, in the log under this machine's key"
steal ".subject[0].name = \"$planted\""
refuses "an alarm" "^ALARM .*-planted: it " audit
cp "$W/stolen" "$W/state/proofs/$(basename "$planted" | cut -c1-32).tlog-proof"
sqlite3 "$thieves/nix/var/nix/db/db.sqlite" "update ValidPaths set sigs = '' where path = '$planted'"
refuses "also where a gate of this machine keeps its proof" "^ALARM .*-planted: it stands in the log" stele audit --store "$thieves" "$planted"

echo "# back from the cache"
collect
nix copy --no-check-sigs --from "file://$W/cache" "$app" 2>"$W/err"
accepts "what was built here and comes back is no alarm" stele audit "$app"
says "nor lost its support" "^1 paths: 1 built-here$" "$W/out"

echo "# what was noted is what speaks for it"
collect
mv "$W/state/built" "$W/built"
refuses "without it everything is an alarm" "^ALARM .*-app: it carries" audit "$app"
mkdir "$W/state/built"
refuses "where it cannot be read" "^ALARM .*-app: it carries" audit "$app"
says "that is told" "what was built here: cannot read .*state/built: Is a directory" "$W/out"
nix-build --no-out-link "$here/graph.nix" -A data --option post-build-hook "$hook" >"$W/err" 2>&1
says "and where it cannot be added to" "stele-hook: cannot add to .*state/built: Is a directory" "$W/err"
accepts "no build fails for it" nix-build --no-out-link "$here/graph.nix" -A app --option post-build-hook "$hook"
accepts "nor is left unattested" payload app
rmdir "$W/state/built"
{ printf 'torn /nix/st'; cat "$W/built"; printf '%s' "$app"; } >"$W/state/built"
collect
accepts "what is no line is passed over" audit "$app"
rm -r "$W/state/built" "$W/outbox"
nix-build --no-out-link "$here/graph.nix" -A app >"$W/err" 2>&1
accepts "a backfill" stele attest --built-on-this-machine "$app"
collect
accepts "is noted as well" audit "$app"
done_testing
