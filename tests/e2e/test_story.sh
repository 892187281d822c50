#!/bin/sh
# The main job from end to end, on real Nix: built, attested, logged, witnessed, proven, checked at substitution; and what
# was added by hand is refused. Speaks TAP; lines that start with "# " tell the story. `make demo` shows it in colour.
. "$(dirname "$0")/lib.sh"
world
nix_world
tell() { echo "# $*"; }

# gate NAME UPSTREAM: a gate with its own state in front of one cache, under the user's policy and trust file.
gate() {
    mkdir -p "$W/$1-state"
    cat >"$W/$1.conf" <<END
policy $W/policy
trust $W/trust
state $W/$1-state
signing-key $W/gate.secret
store-dir $NIX_STORE_DIR
upstream $2
END
    start "$1" stele gate --config "$W/$1.conf" --listen 127.0.0.1:0
}

# substitute STORE URL KEY PATH: what a user's `nix build` does, with one substituter and one trusted key, into a new store.
substitute() {
    rm -rf "$W/home/cache"
    nix-store --store "$W/$1" --realise "$4" --option substituters "$2" --option trusted-public-keys "$3" --option max-jobs 0
}

tell "1. A log, and two independent witnesses that it must convince before anything counts."
stele-log init "$W/log" --origin log.example/stele >"$W/out" 2>&1
w2_port=$(free_port)
for w in w1 w2; do
    stele-witness init "$W/$w" --name "$w.example/witness" >"$W/out" 2>&1
    stele-witness add-log "$W/$w" "$(stele-log key "$W/log")" >"$W/out" 2>&1
    accepts "witness $w starts" start $w stele-witness serve "$W/$w" --listen "127.0.0.1:$([ $w = w2 ] && echo "$w2_port" || echo 0)"
done
cat >"$W/witnesses" <<END
witness w1 $(stele-witness key "$W/w1") $(url w1)
witness w2 $(stele-witness key "$W/w2") $(url w2)
group both all w1 w2
END
log_port=$(free_port)
{
    echo "log $(stele-log key "$W/log") http://127.0.0.1:$log_port"
    cat "$W/witnesses"
    echo "quorum both"
} >"$W/log-policy"
stele keygen ci.example/builder --out "$W/ci.secret" --type builder >"$W/out" 2>&1
cp "$W/ci.secret.pub" "$W/log-builders"
cat >"$W/log/config" <<END
origin log.example/stele
policy $W/log-policy
builders $W/log-builders
END
accepts "the log starts, under a policy that wants both cosignatures" start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port"

tell "2. A builder builds five derivations; Nix calls stele-hook after each, which signs what was built."
cat >"$W/builder.conf" <<END
policy $W/log-policy
key $W/ci.secret
state $W/builder-state
outbox $W/outbox
END
export STELE_CONFIG="$W/builder.conf"
accepts "nix builds with the hook" nix-build --no-out-link "$here/graph.nix" -A app -A library.dev --option post-build-hook \
    "$STELE_BUILD/bin/stele-hook"
accepts "there are five attestations in the outbox" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 5
app=$(nix-build --no-out-link "$here/graph.nix" -A app 2>/dev/null)
dev=$(nix-build --no-out-link "$here/graph.nix" -A library.dev 2>/dev/null)
library=$(nix-build --no-out-link "$here/graph.nix" -A library 2>/dev/null)
accepts "stele deliver sends them to the log and gets proofs" stele deliver --once
sed 's/^/#    /' "$W/out"
accepts "the outbox is empty" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 0

tell "3. The paths are copied to a static binary cache, signed with the cache's own key."
nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public"
accepts "nix copy fills the cache" nix copy --to "file://$W/cache?compression=xz&secret-key=$W/cache.secret" "$app" "$dev"
accepts "a static web server serves it" static_server cache "$W/cache"

tell "4. A user substitutes through the gate: only paths that the builder 'ci' attested, in a log that both witnesses saw."
nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public"
cp "$W/log-policy" "$W/policy"
cat >"$W/trust" <<END
builder ci $(cat "$W/ci.secret.pub")
quorum ci
END
accepts "the gate starts" gate gate "$(url cache)"
accepts "nix substitutes the application through the gate" substitute user "$(url gate)" "$(cat "$W/gate.public")" "$app"
says "the gate says who built it, at which index, under which witnesses" "path=$app .*builder ci, index [0-9]+ in log.example/stele, cosigned by w1, w2" \
    "$W/run/gate.err"
grep -E "passed.*-app " "$W/run/gate.err" | sed 's/^/#    /'
accepts "the file that arrived is the one that was built" cmp "$app/app" "$W/user/nix/store/$(basename "$app")/app"

tell "5. Somebody adds a path by hand to the cache, and signs it with the cache's trusted key."
manual=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-openssl-3.0.99
echo "a backdoor" >"$manual"
printf '%s\n\n0\n' "$manual" | nix-store --register-validity
accepts "it is copied to the cache like any other path" nix copy --to "file://$W/cache?compression=xz&secret-key=$W/cache.secret" "$manual"
accepts "plain Nix, which trusts the cache's key, takes it" substitute plain "$(url cache)" "$(cat "$W/cache.public")" "$manual"
refuses "through the gate the same command is refused" "needs substitutes|no substituter|cannot be built|don't know how to build|does not exist" \
    substitute user "$(url gate)" "$(cat "$W/gate.public")" "$manual"
export STELE_CONFIG="$W/gate.conf"
refuses "stele why explains it" "no attestation" stele why "$manual"
sed 's/^/#    /' "$W/out"

tell "6. A cache that swaps the bytes of an attested path, and signs its lie with its own trusted key."
cp -r "$W/cache" "$W/evil"
nix copy --to "file://$W/evil-plain?compression=none" "$library" 2>/dev/null
hash_part=$(basename "$library" | cut -c1-32)
nar=$W/evil-plain/$(sed -n 's/^URL: //p' "$W/evil-plain/$hash_part.narinfo")
sed 's/hello/hullo/' "$nar" >"$W/evil/nar/evil.nar"
evil_hash=$(nix-hash --type sha256 --base32 --flat "$W/evil/nar/evil.nar")
sed -e "s|^URL: .*|URL: nar/evil.nar|; s|^NarHash: .*|NarHash: sha256:$evil_hash|; s|^FileHash: .*|FileHash: sha256:$evil_hash|" \
    -e '/^Sig: /d' "$W/evil-plain/$hash_part.narinfo" >"$W/evil/$hash_part.narinfo"
nix store sign --store "file://$W/evil" -k "$W/cache.secret" "$library" >"$W/out" 2>&1
accepts "the evil cache is served" static_server evil "$W/evil"
accepts "the gate stands in front of it" gate evil-gate "$(url evil)"
accepts "plain Nix takes the swapped bytes" substitute plain2 "$(url evil)" "$(cat "$W/cache.public")" "$library"
accepts "they are swapped indeed" grep -q hullo "$W/plain2/nix/store/$(basename "$library")/greeting"
refuses "through the gate they are refused" "" substitute user2 "$(url evil-gate)" "$(cat "$W/gate.public")" "$library"
export STELE_CONFIG="$W/evil-gate.conf"
refuses "for that reason" "other bytes" stele why "$library"
sed 's/^/#    /' "$W/out"
cp "$W/cache/$hash_part.narinfo" "$W/evil/"
accepts "the same cache with the true bytes back is accepted" substitute user2 "$(url evil-gate)" "$(cat "$W/gate.public")" "$library"

tell "7. A cache that serves a proof from a log that only one witness has seen."
stele-log init "$W/log2" --origin lonely.example/stele >"$W/out" 2>&1
for w in w1 w2; do introduce $w log2; done
log2_port=$(free_port)
{
    echo "log $(stele-log key "$W/log2") http://127.0.0.1:$log2_port"
    cat "$W/witnesses"
} >"$W/log2-common"
{ cat "$W/log2-common" && echo "quorum w1"; } >"$W/log2-policy"
cat >"$W/log2/config" <<END
origin lonely.example/stele
policy $W/log2-policy
builders $W/log-builders
END
# The user knows this log by its key, without an address: proofs reach him by the cache alone.
{
    echo "log $(stele-log key "$W/log2")"
    cat "$W/witnesses"
    echo "quorum both"
} >"$W/policy"
stop w2
accepts "the lonely log starts, content with one witness" start log2 stele-log serve "$W/log2" --listen "127.0.0.1:$log2_port"
sed -n '/^extra /{s/^extra //p;q}' "$W/builder-state/proofs/$hash_part.tlog-proof" | base64 -d >"$W/library.json"
cat >"$W/lonely.conf" <<END
policy $W/log2-policy
state $W/lonely-state
END
if STELE_CONFIG="$W/lonely.conf" stele submit "$W/library.json" >"$W/cache/$hash_part.tlog-proof" 2>"$W/out"; then
    ok "it takes the builder's attestation, and gives a proof"
else
    not_ok "it takes the builder's attestation, and gives a proof"
    sed 's/^/# /' "$W/out"
fi
accepts "the gate starts under a policy that wants both witnesses" gate strict-gate "$(url cache)"
refuses "the path is refused" "" substitute user3 "$(url strict-gate)" "$(cat "$W/gate.public")" "$library"
export STELE_CONFIG="$W/strict-gate.conf"
refuses "for want of a witness" "quorum" stele why "$library"
sed 's/^/#    /' "$W/out"
accepts "the second witness comes back" start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$w2_port"
{ cat "$W/log2-common" && echo "quorum both"; } >"$W/log2-policy"
kill -HUP "$(cat "$W/run/log2.pid")"
tries=0
until STELE_CONFIG="$W/lonely.conf" stele submit "$W/library.json" >"$W/cache/$hash_part.tlog-proof" 2>"$W/out" || [ $tries -gt 300 ]; do
    tries=$((tries + 1))
    sleep 0.2
done
accepts "with a proof that both witnesses saw, the same path is accepted" substitute user3 "$(url strict-gate)" "$(cat "$W/gate.public")" "$library"
cp "$W/log-policy" "$W/policy"

tell "8. An audit of the user's store, in which somebody has registered a path by hand."
export STELE_CONFIG="$W/gate.conf"
accepts "the store as it was substituted has nothing unexplained" stele audit --store "$W/user"
says "for every path of it was attested" "^4 paths: 4 attested$" "$W/out"
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted
planted_file=$W/user/nix/store/$(basename "$planted")
echo planted >"$planted_file"
printf '%s\n%s\n%s\n\n0\n' "$planted" "$(nix-hash --type sha256 "$planted_file")" "$(nix-store --dump "$planted_file" | wc -c)" |
    nix-store --store "$W/user" --load-db
refuses "the audit names the planted path" "unexplained.*$planted|$planted.*unexplained" stele audit --store "$W/user"
sed 's/^/#    /' "$W/out"

tell "9. The log and the witnesses are switched off: a proof file still verifies, offline."
stop log
stop log2
stop w1
stop w2
export STELE_CONFIG="$W/gate.conf"
proof=$W/builder-state/proofs/$(basename "$app" | cut -c1-32).tlog-proof
accepts "stele verify accepts the proof" stele verify "$proof"
sed 's/^/#    /' "$W/out"
sed 's/^index \(.*\)/index 1\1/' "$proof" >"$W/forged.tlog-proof"
refuses "and refuses one that was tampered with" "" stele verify "$W/forged.tlog-proof"
done_testing
