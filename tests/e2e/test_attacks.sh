#!/bin/sh
# Attacks on trust, proofs and logs, with real Nix through the gate: each is kept out for its reason, beside a control that gets in.
# Those on narinfos, NARs and requests are in test_gate.sh, those with logs that fork in test_memory.sh. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/attacks.nix" <<'END'
let build = import ./build.nix; in rec {
  tool = build "tool" { } "echo tool > $out";
  app = build "app" { inherit tool; } "echo $tool > $out";
  random = build "random" { } "od -An -N16 -tx1 /dev/urandom > $out";
  old = build "old" { } "echo old > $out";
}
END
# make ATTRIBUTE: built by ci, with the hook.
make() { build "$W/attacks.nix" "$1"; }
# logged_by NAME PATH: the builder NAME attests to have built PATH just now, and delivers.
logged_by() {
    export STELE_CONFIG="$W/$1.conf"
    DRV_PATH=$(nix-store -q --deriver "$2") OUT_PATHS=$2 "$STELE_BUILD/bin/stele-hook" >"$W/out" 2>&1
    stele deliver --once >"$W/out" 2>&1 || sed 's/^/# /' "$W/out"
    export STELE_CONFIG="$W/builder.conf"
}
# another_builder NAME LOG: a builder with its own key and state, which LOG (log or log2) takes.
another_builder() {
    stele keygen "$1.example/builder" --out "$W/$1.key" >"$W/out" 2>&1
    printf 'policy %s-policy\nkey %s.key\nstate %s-state\noutbox %s-outbox\n' "$2" "$1" "$1" "$1" >"$W/$1.conf"
    cat "$W/$1.key.pub" >>"$W/builders"
}
another_builder friend log
kill -HUP "$(cat "$W/run/log.pid")"
app=$(make app) tool=$(nix-store -q --references "$app") old=$(make old) random=$(make random)
accepts "what ci built is delivered" stele deliver --once
fill cache none "$app" "$old" "$random"
static_server cache "$W/cache" || exit 1
cache_key=$(cat "$W/cache.public")

# A second log of the same operator, under the same witness, that takes the same builders.
stele-log init "$W/log2" --origin other.example/stele >"$W/out" 2>&1
introduce w1 log2
without_address log2 "$W/log-policy" >"$W/log2-only"
cp "$W/log2-only" "$W/log2/policy"
cp "$W/builders" "$W/log2/builders"
start log2 stele-log serve "$W/log2" --listen 127.0.0.1:0 || exit 1
sed "s|^log .*|& $(url log2)|" "$W/log2-only" >"$W/log2-policy"

nowhere="needs substitutes|no substituter|cannot be built|don't know how to build|does not exist" # as Nix says it
stores=0
gets() {
    stores=$((stores + 1))
    substitute "user-$stores" "$(url gate)" "$(cat "$W/gate.public")" "$1"
}
# control WHAT PATH [LINE...]: gets in, by a new gate with these lines in its configuration.
control() {
    control_what=$1 control_path=$2
    shift 2
    new_gate "$@" >"$W/out"
    accepts "$control_what: gets in" gets "$control_path"
}
# attack WHAT REASON PATH [LINE...]: Nix finds it nowhere, and `stele why` gives the reason.
attack() {
    attack_what=$1 attack_reason=$2 attack_path=$3
    shift 3
    new_gate "$@" >"$W/out"
    refuses "$attack_what: is kept out" "$nowhere" gets "$attack_path"
    refuses "$attack_what: for that reason" "$attack_reason" stele why --config "$W/gate.conf" "$attack_path"
}
both_logs() { { head -n 1 "$W/log2-only" && cat "$W/policy"; } >"$W/both-policy"; }
both_logs

echo "# paths"
trust_builder
control "what ci built" "$app"
manual=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-manual-1.0
echo manual >"$manual"
printf '%s\n\n0\n' "$manual" | nix-store --register-validity
nix copy --to "file://$W/cache?compression=none&secret-key=$W/cache.secret" "$manual" >"$W/out" 2>&1
attack "a manual addition, signed by the cache" "no attestation of this path was found" "$manual"
trust_builder "cache c $cache_key" "quorum c manual-*"
control "the same where the user lets the cache vouch" "$manual"
trust_builder "exempt manual-*"
attack "an exempt path of a cache that is not named" "no .cache. line's key signed it" "$manual"
trust_builder
attack "an unattested path under mode warn, of a cache that is not named" "no attestation" "$manual" "mode warn"
trust_builder "cache c $cache_key"
control "the same, of a cache that is named" "$manual" "mode warn"
accepts "what enforce would have refused is counted by reason" stele why --config "$W/gate.conf" --last
says "in one line" "let 1 path pass by .mode warn. that .mode enforce. would have refused: 1 because not attested" "$W/out"
sed -i '/^Sig: /d' "$W/cache/$(part "$manual").narinfo"
attack "the same, unsigned" "no attestation" "$manual" "mode warn"
trust_builder "cache c $cache_key" "exempt manual-*"
attack "unsigned, and exempt" "no .cache. line's key signed it" "$manual"
trust_builder "cache c $cache_key"
nix-store --generate-binary-cache-key stranger-1 "$W/stranger.secret" "$W/stranger.public"
rm -rf "$W/home/cache"
nix store sign --store "file://$W/cache" -k "$W/stranger.secret" "$manual" >"$W/out" 2>&1
attack "the same, signed by a stranger" "no attestation" "$manual" "mode warn"
trust_builder "cache c $cache_key" "exempt manual-*"
attack "signed by a stranger, and exempt" "no .cache. line's key signed it" "$manual"
nix store sign --store "file://$W/cache" -k "$W/cache.secret" "$manual" >"$W/out" 2>&1
control "signed by a named cache, and exempt" "$manual"
trust_builder "cache c $cache_key" "exempt manual-*" "revoke c"
attack "signed by a cache that was revoked since, and exempt" "no .cache. line's key signed it" "$manual"
trust_builder "cache c $cache_key" "revoke c"
attack "the same under mode warn" "no attestation" "$manual" "mode warn"

echo "# a dependency swapped under an honest top path"
trust_builder
info=$W/cache/$(part "$tool").narinfo
cp "$info" "$W/good.narinfo"
nar=$W/cache/$(sed -n 's/^URL: //p' "$info")
sed 's/tool/evil/' "$nar" >"$W/cache/nar/evil.nar"
evil=$(nix-hash --type sha256 --base32 --flat "$W/cache/nar/evil.nar")
sed -i "s|^URL: .*|URL: nar/evil.nar|; s|^NarHash: .*|NarHash: sha256:$evil|; s|^FileHash: .*|FileHash: sha256:$evil|; /^Sig/d" "$info"
rm -rf "$W/home/cache" # Nix remembers what it read there
nix store sign --store "file://$W/cache" -k "$W/cache.secret" "$tool" >"$W/out" 2>&1
accepts "plain Nix takes it with the cache's signature" substitute plain "$(url cache)" "$cache_key" "$app"
accepts "swapped" grep -q evil "$W/plain/nix/store/$(basename "$tool")"
new_gate >"$W/out"
refuses "through the gate the whole is kept out" "$nowhere" gets "$app"
refuses "for that reason" "other bytes" stele why --config "$W/gate.conf" "$tool"
says "and why says what would pass" "would pass with: a cache that serves what ci built" "$W/out"
cp "$W/good.narinfo" "$info"
control "the same with the true dependency" "$app"

echo "# proofs"
sidecar=$W/cache/$(part "$old").tlog-proof
cp "$sidecar" "$W/good.proof"
cp "$W/cache/$(part "$tool").tlog-proof" "$sidecar"
attack "another path's proof" "it is about another path" "$old"
rm "$sidecar"
logged_by friend "$old"
another_builder elsewhere log2
cp "$W/builders" "$W/log2/builders"
kill -HUP "$(cat "$W/run/log2.pid")"
sed 's/^policy .*/policy log2-policy/; s/^state .*/state state2/; s/^outbox .*/outbox outbox2/' "$W/builder.conf" >"$W/builder2.conf"
logged_by builder2 "$old"
cp "$W/state2/proofs/$(part "$old").tlog-proof" "$sidecar"
attack "another log's proof" "the policy names no log other.example/stele" "$old"
control "the same log, named in the policy" "$old" "policy both-policy"
cp "$W/good.proof" "$sidecar"
stele-witness init "$W/w2" --name w2.example >"$W/out" 2>&1
{ grep -v '^quorum' "$W/policy" && printf 'witness w2 %s\ngroup both all w1 w2\nquorum both\n' "$(stele-witness key "$W/w2")"; } >"$W/two-policy"
attack "a proof under too few witnesses" "has not the quorum of witnesses" "$old" "policy two-policy"
says "and why says what would pass" "would pass with: a proof under a checkpoint that the policy's quorum of witnesses cosigned" "$W/out"
awk '{ print } /^— w1.example / { print }' "$W/good.proof" >"$sidecar"
attack "the same witness twice in one proof" "has not the quorum of witnesses" "$old" "policy two-policy"
{ grep -v '^quorum' "$W/policy" && printf 'witness w9 %s\ngroup both all w1 w9\nquorum both\n' "$(stele-witness key "$W/w1")"; } >"$W/twice-policy"
refuses "the same witness under two names is no policy" "this witness's public key stands in the file already" new_gate "policy twice-policy"
cp "$W/good.proof" "$sidecar"
control "the proof under the witnesses that are asked" "$old"

echo "# builders"
friend="builder friend $(cat "$W/friend.key.pub")"
cp "$W/friend-state/proofs/$(part "$old").tlog-proof" "$sidecar"
attack "a builder that is not named" "no builder of the trust file has this key" "$old"
says "and why gives the line that would name it" "would pass with: if you trust friend.example/builder to build: a line .builder NAME friend.example/builder\+" "$W/out"
trust_builder "$friend" "quorum friend old"
control "the same, named and asked" "$old"
trust_builder "$friend" "quorum friend other"
attack "a builder that is not asked for this path" "this builder is not asked for this path" "$old"
trust_builder "$friend" "quorum friend old" "revoke friend"
attack "a revoked builder" "the builder is revoked" "$old"
index=$(sed -n 's/^index //p' "$sidecar")
trust_builder "$friend" "quorum friend old" "revoke friend from $index log.example/stele"
attack "a builder revoked from that index on" "the builder is revoked" "$old"
trust_builder "$friend" "quorum friend old" "revoke friend from $((index + 1)) log.example/stele"
control "one revoked from the next index on" "$old"
cp "$W/state2/proofs/$(part "$old").tlog-proof" "$sidecar"
trust_builder "revoke ci from 99 log.example/stele"
attack "a revoked key that logs elsewhere" "the builder is revoked" "$old" "policy both-policy"
trust_builder "revoke ci from 99 log.example/stele" "revoke ci from 99 other.example/stele"
control "where the other log has a bound of its own" "$old" "policy both-policy"
stele keygen late.example/builder --out "$W/late.key" >"$W/out" 2>&1
cat "$W/late.key.pub" >>"$W/builders"
kill -HUP "$(cat "$W/run/log.pid")"
printf 'policy log-policy\nkey late.key\nstate late-state\noutbox late-outbox\n' >"$W/late.conf"
STELE_CONFIG=$W/late.conf stele attest --built-on-this-machine "$old" >"$W/out" 2>&1
STELE_CONFIG=$W/late.conf stele deliver --once >"$W/out" 2>&1
cp "$W/late-state/proofs/$(part "$old").tlog-proof" "$sidecar"
trust_builder "builder late $(cat "$W/late.key.pub")" "quorum late old"
attack "a builder that only backfills" "it is a backfill, and the trust file refuses those" "$old"
index=$(sed -n 's/^index //p' "$sidecar")
trust_builder "builder late $(cat "$W/late.key.pub")" "quorum late old" "backfill accept before $index log.example/stele"
attack "a backfill from after the bound" "it is a backfill" "$old"
trust_builder "builder late $(cat "$W/late.key.pub")" "quorum late old" "backfill accept before $((index + 1)) log.example/stele"
control "a backfill from before it" "$old"

echo "# a builder that contradicts itself"
nix-store --delete "$random" >"$W/out" 2>&1
same "the second build has the same path" "$random" "$(make random)"
accepts "and its own attestation" stele deliver --once
trust_builder "divergence warn"
control "the first result, under divergence warn" "$random" "policy log-policy"
trust_builder "divergence refuse"
attack "the same under divergence refuse" "the builder logged two results|attests other bytes" "$random" "policy log-policy"
control "what nobody contradicts" "$app" "policy log-policy"
attack "the same without an address of the log" "not every log answered" "$app"
stop log
attack "the same while the log is down" "not every log answered" "$app" "policy log-policy"
trust_builder
control "without divergence refuse no log is needed" "$app"
done_testing
