#!/bin/sh
# The builder's side on real Nix: what an attestation says, that the hook never breaks a build and never claims what was not
# built, and that the deliverer loses nothing. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"

cat >"$W/builder.conf" <<END
policy policy
key key
state state
outbox outbox
END
accepts "a log's key is made" stele keygen log.example --out "$W/log-key" --type log --config "$W/builder.conf"
accepts "and says nothing of builds here" test ! -e "$W/state/machine-id"
accepts "a builder's key is made" stele keygen ci.example/builder --out "$W/key" --type builder --config "$W/builder.conf"
says "and it is said what the line is for" "trust files" "$W/out"
accepts "since when this machine builds is noted" test -s "$W/state/machine-id"
export STELE_CONFIG="$W/builder.conf"

# build ATTRIBUTE...: with the hook; the story's derivations.
build() {
    attributes=
    for a in "$@"; do attributes="$attributes -A $a"; done
    # shellcheck disable=SC2086 # a list of words
    nix-build --no-out-link "$here/graph.nix" $attributes --option post-build-hook "$hook"
}

accepts "the graph builds with the hook" build app library.dev
accepts "an attestation for each derivation" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 5
holds "two outputs are two subjects, sorted by output" library '[.subject[].annotations.output] == ["dev", "out"]'
holds "the digest is that of the NAR" app ".subject[0].digest.sha256 == \"$(nix-store --dump "$(build app 2>/dev/null)" | sha256sum | cut -d' ' -f1)\""
holds "the claim is build, by the key's name" app \
    '.predicate.buildDefinition.internalParameters.claim == "build" and .predicate.runDetails.builder.id == "https://ci.example/builder"'
holds "a source is told as one" library '.predicate.buildDefinition.resolvedDependencies[0].annotations.kind == "source"'
holds "a fixed output is told as one" data '[.predicate.buildDefinition.resolvedDependencies[].annotations.kind] == ["fixed"]'
holds "the used outputs are the inputs, with their derivations" app \
    '[.predicate.buildDefinition.resolvedDependencies[] | .annotations.kind == "output" and (.annotations.derivation | endswith(".drv"))] | length == 3 and all'
tool=$(build tool 2>/dev/null)
library=$(build library 2>/dev/null | head -n 1)
# hashed: how many inputs of app have the hash of their files.
hashed() {
    payload app | jq -r ".predicate.buildDefinition.resolvedDependencies[] | .name + \" \" + .digest.sha256" | while read -r input hash; do
        [ "$(nix-store --dump "$input" | sha256sum | cut -d' ' -f1)" = "$hash" ] && echo "$input"
    done | wc -l
}
same "each with its NAR hash" 3 "$(hashed)"
closure=$(nix-store -qR "$library" | sort | while read -r p; do echo "$p $(nix-store -q --hash "$p" | sed 's/sha256://' | xargs nix-hash --type sha256 --to-base16)"; done | sha256sum | cut -d' ' -f1)
holds "the closure digest is that of the inputs' closure" tool ".predicate.buildDefinition.internalParameters.closure == \"$closure\""
holds "the references are those of the database" tool ".subject[0].annotations.references == [\"$(basename "$library")\"]"

# The hook must never break a build, whatever is wrong with it.
rm -rf "$W/outbox" && again "$tool"
export STELE_CONFIG="$W/nothing.conf"
accepts "with no configuration the build succeeds" build tool
says "and the hook says why nothing is attested" "stele-hook: .*not attested|stele-hook: .*nothing.conf" "$W/out"
again "$tool"
sed 's/^key .*/key missing-key/' "$W/builder.conf" >"$W/nokey.conf"
export STELE_CONFIG="$W/nokey.conf"
accepts "with no key the build succeeds" build tool
says "and the hook names the key" "stele-hook: .*missing-key" "$W/out"
again "$tool"
chmod 644 "$W/key"
export STELE_CONFIG="$W/builder.conf"
accepts "with a key that others can read the build succeeds" build tool
says "and the hook refuses that key" "stele-hook: .*others can read.*chmod 600" "$W/out"
chmod 600 "$W/key"
again "$tool"
echo "nonsense" >>"$W/nokey.conf"
export STELE_CONFIG="$W/nokey.conf"
accepts "with a configuration that is wrong the build succeeds" build tool
says "and the hook names file and line" "nokey.conf line 5: unknown key" "$W/out"
again "$tool"
export STELE_CONFIG="$W/builder.conf"
mkdir "$W/bin"
printf '#!/bin/sh\nulimit -f 0\nexec "%s"\n' "$hook" >"$W/bin/full"
chmod +x "$W/bin/full"
hook=$W/bin/full
accepts "with no disk space the build succeeds" build tool
says "and the hook says that it cannot write" "stele-hook: .*not attested: cannot (write|create)" "$W/out"
accepts "nothing half-written is left" test -z "$(find "$W/outbox" -type f 2>/dev/null)"
hook=$STELE_BUILD/bin/stele-hook
again "$tool"
accepts "control: with everything in place the same build is attested" build tool
accepts "there is its attestation" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1

# The operator's own hook goes on working.
printf '#!/bin/sh\necho "$DRV_PATH" >"%s"\nexit ${NEXT_STATUS:-0}\n' "$W/next-ran" >"$W/bin/next"
chmod +x "$W/bin/next"
echo "next-hook $W/bin/next" >>"$W/builder.conf"
again "$tool"
accepts "a next-hook is run" build tool
accepts "with the derivation in its environment" grep -q 'tool.drv$' "$W/next-ran"
again "$tool"
printf '#!/bin/sh\nexit 3\n' >"$W/bin/next"
refuses "its failure is Nix's to see" "hook|exit" build tool
sed -i '/^next-hook/d' "$W/builder.conf"

# What stays private.
echo "skip tool" >>"$W/builder.conf"
rm -rf "$W/outbox" && again "$tool"
accepts "a skipped name builds" build tool
accepts "and is not attested" test -z "$(find "$W/outbox" -name '*.jsonl' 2>/dev/null)"
sed -i '/^skip/d' "$W/builder.conf"

# Honesty: what was not built here is not attested, in any way.
sed "s|^state .*|state by-hand|" "$W/builder.conf" >"$W/by-hand.conf"
refuses "the hook is no way to attest by hand" "DRV_PATH" env -u DRV_PATH STELE_CONFIG="$W/by-hand.conf" sh -c "$STELE_BUILD/bin/stele-hook 2>&1; false"
accepts "and such a try is no build to be counted" test ! -e "$W/by-hand"
accepts "control: a build that is not attested is" sh -c "DRV_PATH=/none STELE_CONFIG=$W/by-hand.conf $STELE_BUILD/bin/stele-hook; test -s $W/by-hand/counts"
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted
echo planted >"$planted"
printf '%s\n\n0\n' "$planted" | nix-store --register-validity
refuses "a registered path is refused" "not built here" stele attest --built-on-this-machine "$planted"
refuses "a source is refused" "not built here" stele attest --built-on-this-machine "$(nix-store --add "$here/graph.nix")"
refuses "the hook attests no registered path either" "not built here|no output" \
    sh -c "DRV_PATH=$(nix-store -q --deriver "$tool") OUT_PATHS=$planted $STELE_BUILD/bin/stele-hook 2>&1; false"
app_drv=$(nix-instantiate "$here/graph.nix" -A app 2>/dev/null)
tool_drv=$(nix-store -q --deriver "$tool")
refuses "what another derivation built is not attested for this one" "tool is no output of .*app.drv" \
    sh -c "DRV_PATH=$app_drv OUT_PATHS=$tool $STELE_BUILD/bin/stele-hook 2>&1; false"
accepts "nothing was attested" test -z "$(find "$W/outbox" -name '*.jsonl' 2>/dev/null)"
accepts "control: for its own it is" sh -c "DRV_PATH=$tool_drv OUT_PATHS=$tool $STELE_BUILD/bin/stele-hook"
accepts "and waits" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1
rm -rf "$W/outbox"
refuses "a path that nobody knows is refused" "not a valid path" stele attest "$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyy-nothing"
accepts "control: what was built here can be attested by hand" stele attest --built-on-this-machine "$tool"
holds "as a backfill, not as a build" tool \
    '.predicate.buildDefinition.internalParameters.claim == "backfill" and .predicate.runDetails.builder.id == "https://ci.example/builder/backfill"'
rm -rf "$W/outbox"

# What was built is no source, also where the derivation that says so is gone.
printf 'derivation { name = "made"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo made >$out" ]; }\n' >"$W/made.nix"
made=$(nix-build --no-out-link "$W/made.nix" 2>/dev/null)
made_drv=$(nix-store -q --deriver "$made")
printf 'derivation { name = "user"; system = builtins.currentSystem; builder = "/bin/sh"; made = builtins.storePath %s; text = builtins.toFile "text" "x"; args = [ "-c" "echo $made >$out" ]; }\n' "$made" >"$W/user.nix"
accepts "the derivation is deleted" nix-store --delete --ignore-liveness "$made_drv"
accepts "its output is used as a source" nix-build --no-out-link "$W/user.nix" --option post-build-hook "$hook"
holds "a built path is an output, control: a file is a source" user \
    '[.predicate.buildDefinition.resolvedDependencies[] | [(.name | endswith("-made")), .annotations.kind, .annotations.derivation]] | sort == [[false, "source", null], [true, "output", "'"$made_drv"'"]]'
rm -rf "$W/outbox"
printf '%s %s\n' "$(cat /etc/machine-id 2>/dev/null | grep . || echo unknown)" "$(($(date +%s) + 100))" >"$W/state/machine-id"
refuses "a path older than this key's work here is refused" "before this key began" stele attest "$tool"
printf '%s %s\n' 00000000000000000000000000000000 1 >"$W/state/machine-id"
refuses "so is any path under another machine's state" "another machine" stele attest "$tool"
rm "$W/state/machine-id"
chmod u+w "$tool/bin" "$tool/bin/tool" && echo "altered" >>"$tool/bin/tool"
refuses "a path altered on disk is an alarm" "ALARM.*altered" stele attest --built-on-this-machine "$tool"
nix-store --repair-path "$tool" >/dev/null 2>&1
again "$tool"
accepts "control: built anew, it is attested" build tool
accepts "and waits" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1

# Outputs that take long to hash: the hook leaves a ticket, the deliverer hashes and signs.
rm -rf "$W/outbox" && again "$tool"
echo "hook-hash-max 100" >>"$W/builder.conf"
printf 'quorum none\nlog %s http://127.0.0.1:9\n' "$(cat "$W/log-key.pub")" >"$W/policy"
accepts "a large output builds" build tool
accepts "and is not attested by the hook" test -z "$(find "$W/outbox" -name '*.jsonl')"
accepts "but there is a ticket" test "$(find "$W/outbox/tickets" -name '*.ticket' | wc -l)" = 1
mv "$W/key" "$W/key.away"
refuses "without the key the ticket stays" "1 tickets still wait in .*: .*key" stele deliver --once
accepts "it is there" test "$(find "$W/outbox/tickets" -name '*.ticket' | wc -l)" = 1
mv "$W/key.away" "$W/key"
timeout --foreground -s TERM 2 stele deliver --once >"$W/deliver" 2>&1
accepts "with it the ticket becomes an attestation" test -z "$(find "$W/outbox/tickets" -type f)"
holds "which says build" tool '.predicate.buildDefinition.internalParameters.claim == "build"'
says "and waits for the log" "1 attestations still wait" "$W/deliver"
rm -rf "$W/outbox" && again "$tool"
build tool >/dev/null 2>&1
chmod u+w "$tool/bin" "$tool/bin/tool" && echo "altered" >>"$tool/bin/tool"
refuses "an output altered before its ticket is redeemed is an alarm" "ALARM.*altered" stele deliver --once
accepts "and set aside with the reason" grep -q "^ALARM" "$W"/outbox/refused/*.ticket.why
rm -rf "$W/outbox"
mkdir -p "$W/outbox/tickets" && echo rubbish >"$W/outbox/tickets/x.ticket"
refuses "rubbish for a ticket is set aside" "x.ticket is not a ticket as stele-hook writes it: it names no output" stele deliver --once
rm -rf "$W/outbox"
sed -i '/^hook-hash-max/d' "$W/builder.conf"
nix-store --repair-path "$tool" >/dev/null 2>&1
again "$tool"
build tool >/dev/null 2>&1

# A wrong address is not the log's word.
mkdir "$W/www"
static_server www "$W/www" || exit 1
printf 'quorum none\nlog %s %s\n' "$(cat "$W/log-key.pub")" "$(url www)" >"$W/policy"
timeout --foreground -s TERM 2 stele deliver --once >"$W/deliver" 2>&1
says "where no log answers the deliverer tries again" "wait: .*answered 40[45]" "$W/deliver"
accepts "and sets nothing aside" test ! -e "$W/outbox/refused"
accepts "the attestation stays" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1

# Delivery.
stele-log init "$W/log" --origin log.example/stele >"$W/out" 2>&1
log_port=$(free_port)
echo "log $(stele-log key "$W/log") http://127.0.0.1:$log_port" >"$W/policy"
for w in w1 w2; do
    new_witness $w
    witness_line $w >>"$W/policy"
done
printf 'group both all w1 w2\nquorum both\n' >>"$W/policy"
cp "$W/key.pub" "$W/builders"
printf 'origin log.example/stele\npolicy %s\nbuilders %s\nquorum-timeout-ms 1500\n' "$W/policy" "$W/builders" >"$W/log/config"
stele deliver --once >"$W/deliver" 2>&1 &
deliverer=$!
sleep 1
accepts "with the log down the deliverer goes on trying" kill -0 $deliverer
accepts "and keeps the attestation" test "$(find "$W/outbox" -name '*.jsonl' | wc -l)" = 1
accepts "the log starts" start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port"
accepts "then it is delivered" wait $deliverer
says "with its index and witnesses" "tool: index 0 in log.example/stele, cosigned by w1, w2" "$W/deliver"
accepts "the outbox is empty" test -z "$(find "$W/outbox" -name '*.jsonl')"
proof=$W/state/proofs/$(basename "$tool" | cut -c1-32).tlog-proof
accepts "its proof is kept" test -s "$proof"
accepts "and verifies" stele verify "$proof"
accepts "also by the path" sh -c "printf 'builder ci %s\nquorum ci\n' \"$(cat "$W/key.pub")\" >$W/trust; echo 'trust trust' >>$W/builder.conf; stele verify $tool"
accepts "as JSON, too" sh -c "stele verify --json $proof | jq -e '.[0].verified and .[0].index == 0'"
accepts "with the builder's name in the trust file" sh -c "stele verify --json $proof | jq -e '.[0].builder == \"ci\"'"
accepts "a path's verdict as JSON" sh -c "stele verify --json $tool | jq -e '(.[0].verified and .[0].index == 0) and (.[-1].path == \"$tool\" and .[-1].passes)'"
sed 's/^index 0$/index 7/' "$proof" >"$W/forged.tlog-proof"
accepts "what does not verify is in the JSON, too" \
    sh -c "! stele verify --json $W/forged.tlog-proof >$W/json && jq -e 'length == 1 and .[0].verified == false and (.[0].why | test(\"index 7\"))' $W/json"

# Envelopes in other forms that DSSE allows: the same attestation.
sed -n 's/^extra //p' "$proof" | base64 -d | jq '.signatures[0].keyid = "mine" | .more = 1' >"$W/foreign.json"
refuses "an envelope whose keyid is no vkey wants one" "say with --key" stele submit "$W/foreign.json"
accepts "with it the envelope is submitted" stele submit --key "$(cat "$W/key.pub")" "$W/foreign.json"
says "in its one form: it has its old index" '^index 0$' "$W/out"
refuses "another's key is refused" "does not verify" stele submit --key "$(cat "$W/log-key.pub")" "$W/foreign.json"
again "$tool"
build tool >/dev/null 2>&1
accepts "the same build again is delivered" stele deliver --once
says "and has its old index" "index 0 in" "$W/out"

# A letter that the log refuses does not hold up the others.
rm -rf "$W/outbox" && again "$tool"
build tool >/dev/null 2>&1
stele keygen stranger.example --out "$W/stranger" >"$W/out" 2>&1
sed 's/^key .*/key stranger/' "$W/builder.conf" >"$W/stranger.conf"
STELE_CONFIG=$W/stranger.conf stele attest --built-on-this-machine "$library" >"$W/out" 2>&1
echo "garbage" >"$W/outbox/00000000000000000000000000000000-0.jsonl"
refuses "a stranger's attestation is refused by the log, garbage by the deliverer" "1 delivered, 2 refused" stele deliver --once
accepts "both are set aside with their reasons" test "$(find "$W/outbox/refused" -name '*.why' | wc -l)" = 2
says "the log's reason is told" "403.*stranger|stranger.*403|not among|builder" "$(grep -l 403 "$W"/outbox/refused/*.why | head -n 1)"
accepts "the outbox is empty again" test -z "$(find "$W/outbox" -maxdepth 1 -name '*.jsonl')"

# Short of quorum nothing is removed; when the witness is back, it is delivered.
again "$tool" "$library"
build library tool >/dev/null 2>&1
w2_listen=$(url w2 | sed 's|http://||')
stop w2
stele deliver --once >"$W/deliver" 2>&1 &
deliverer=$!
sleep 4
accepts "short of quorum the attestations stay" test -n "$(find "$W/outbox" -maxdepth 1 -name '*.jsonl')"
says "and the deliverer says why" "503" "$W/deliver"
accepts "the witness comes back" start w2 stele-witness serve "$W/w2" --listen "$w2_listen"
accepts "then they are delivered" wait $deliverer
accepts "all of them" test -z "$(find "$W/outbox" -maxdepth 1 -name '*.jsonl')"
done_testing
