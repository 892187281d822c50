#!/bin/sh
# `stele doctor` on real Nix, beside a real log, witnesses and gate: a machine where nothing is wrong, then each thing that can be,
# provoked alone, named, with what to do, and gone when it is mended. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"
rm "$W/builder" # a key of log_lib.sh's; the hermetic Nix has its folder there
nix_world
unset NIX_CONFIG
conf=$NIX_CONF_DIR/nix.conf

new_log
for w in w1 w2; do
    new_witness $w || exit 1
    witness_line $w >>"$W/witnesses"
done
{ cat "$W/witnesses"; printf 'group some any w1 w2\nquorum some\n'; } >>"$W/log/policy"
log_port=$(free_port)
start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port" || exit 1
post "$W/e0" >"$W/got"
two_signatures() { signatures | sed 's/^3$/yes/'; }
soon yes two_signatures >"$W/got" # a busy machine may want longer than once
same "the log's head is cosigned by both witnesses" yes "$(soon yes two_signatures)"
log_line="log $(stele-log key "$W/log") $(url log)"
# policy QUORUM...: ours
policy() {
    { echo "$log_line"; cat "$W/witnesses"; printf '%s\n' "$@"; } >"$W/policy"
}
policy 'quorum w1'

# finds WHAT CHECK REGEX [ARGUMENT...]: exit 1, and a finding of that check, which says so, and what to do.
finds() {
    what=$1 check=$2 regex=$3
    shift 3
    stele doctor --config "$config" "$@" >"$W/out" 2>&1
    code=$?
    if [ $code = 1 ] && grep -A1 "^WRONG  $check: " "$W/out" | tr '\n' ' ' | grep -Eq "$regex.* do: [^ ]"; then ok "$what"; else
        not_ok "$what (status $code)"
        sed 's/^/# /' "$W/out"
    fi
}
# notes WHAT CHECK REGEX: the same, of what is not wrong.
notes() {
    what=$1
    stele doctor --config "$config" >"$W/out" 2>&1
    code=$?
    if [ $code = 0 ] && grep "^note   $2: " "$W/out" | grep -Eq "$3"; then ok "$what"; else
        not_ok "$what (status $code)"
        sed 's/^/# /' "$W/out"
    fi
}
# well WHAT: nothing is wrong.
well() { accepts "control: $1" stele doctor --config "$config"; }

echo "# a builder"
config=$W/builder.conf
cat >"$config" <<END
policy policy
key key
state state
outbox outbox
END
stele keygen ci.example/builder --out "$W/key" --config "$config" >"$W/got" 2>&1
mkdir -p "$W/outbox"
builder_conf() { printf 'experimental-features = nix-command\npost-build-hook = %s\n' "$1" >"$conf"; }
builder_conf "$STELE_BUILD/bin/stele-hook"
well "a builder where nothing is wrong"
says "it says what it looked at" "^looked at: configuration, policy, nix, hook, key, sign-agent, machine, outbox, log, clock" "$W/out"
stele doctor --config "$config" --json >"$W/json" 2>&1
accepts "and as JSON" jq -e '.wrong == 0 and (.checked | index("hook")) and .findings == []' "$W/json"

builder_conf ""
finds "no hook" hook "no post-build-hook"
printf '#!/bin/sh\nexit 0\n' >"$W/upload"
chmod +x "$W/upload"
builder_conf "$W/upload"
finds "another hook" hook "$W/upload after a build, not stele-hook"
stele doctor --config "$config" --json >"$W/json" 2>&1
accepts "as JSON: which check, what is wrong, what to do" \
    jq -e '.wrong == 1 and .findings[0].check == "hook" and .findings[0].wrong and (.findings[0].do | length) > 10' "$W/json"
printf '#!/bin/sh\n%s/bin/stele-hook\n' "$STELE_BUILD" >"$W/upload"
well "a script that calls ours"
builder_conf "$W/nowhere/stele-hook"
finds "a hook that is not there" hook "cannot be run: every build fails"
builder_conf "$STELE_BUILD/bin/stele-hook"
echo "next-hook $W/nowhere/upload" >>"$config"
finds "a next-hook that is not there" hook "next-hook. $W/nowhere/upload cannot be run"
sed -i '/^next-hook/d' "$config"

chmod 644 "$W/key"
finds "a key that others can read" key "key"
chmod 600 "$W/key"
mv "$W/key" "$W/key.away"
finds "no key" key "cannot open the secret key $W/key"
cp "$W/w1/key" "$W/key"
finds "a witness's key" key "type"
mv "$W/key.away" "$W/key"
sed -i '/^key/d' "$config"
finds "a configuration without a key" key "no .key." builder
echo 'key key' >>"$config"
mkdir -p "$NIX_STORE_DIR"
echo "sign-agent $W/agent" >>"$config"
finds "a sign-agent that does not listen" sign-agent "nobody listens at $W/agent"
stele sign-agent --config "$config" >"$W/run/agent.out" 2>&1 &
note agent $!
agent_listens() { [ -S "$W/agent" ] && echo yes; }
same "it is started" yes "$(soon yes agent_listens)"
well "one that does"
refuses "a second one does not take its place" "another sign-agent listens at $W/agent already" stele sign-agent --config "$config"
well "and the first goes on"
stop agent
sed -i '/^sign-agent/d' "$config"
cp "$W/state/machine-id" "$W/machine-id"
echo 'another 1' >"$W/state/machine-id"
finds "another machine's state" machine "machine"
rm "$W/state/machine-id"
finds "no note of the machine" machine "."
cp "$W/machine-id" "$W/state/machine-id"

sed "s|^outbox .*|outbox $config/outbox|" "$config" >"$W/no-outbox.conf"
refuses "an outbox that cannot be: nothing can be put there" "WRONG  outbox: nothing can be put into $config/outbox" \
    stele doctor builder --config "$W/no-outbox.conf"
echo '{}' >"$W/outbox/a.jsonl"
well "an attestation that has just been left"
touch -d '3 hours ago' "$W/outbox/a.jsonl"
finds "an outbox that is stuck" outbox "1 attestations and 0 tickets wait in .*, the oldest for 10[0-9]{3} s"
mkdir "$W/outbox/tickets"
mv "$W/outbox/a.jsonl" "$W/outbox/tickets/a.ticket"
finds "a ticket that is stuck" outbox "0 attestations and 1 tickets"
rm "$W/outbox/tickets/a.ticket"
mkdir "$W/outbox/refused"
touch "$W/outbox/refused/a.jsonl.why"
finds "what a log refused" refused "1 attestations lie in"
rm -r "$W/outbox/refused"
well "all of it mended"

echo "# the log and its witnesses"
cp "$W/policy" "$W/policy.good"
rm "$W/policy"
finds "no policy" policy "no file $W/policy"
sed "s/:$log_port\$/:9/" "$W/policy.good" >"$W/policy"
finds "a log that cannot be reached" log "cannot be asked"
sed 's|^\(log [^ ]*\) .*|\1|' "$W/policy.good" >"$W/policy"
finds "a log without an address" log "no log of the policy has an address"
stele keygen log.example/test --out "$W/other-log" --type log >"$W/got" 2>&1
sed "s|^log [^ ]*|log $(cat "$W/other-log.pub")|" "$W/policy.good" >"$W/policy"
finds "another log's key under its name" log "is no head of"
stele keygen w3.example --out "$W/w3" --type witness >"$W/got" 2>&1
policy "witness w3 $(cat "$W/w3.pub")" 'quorum w1'
finds "a witness that is missing, but not needed" witness "is not cosigned by w3"
policy "witness w3 $(cat "$W/w3.pub")" 'group both all w1 w3' 'quorum both'
finds "a quorum that this log can never satisfy" quorum "can never satisfy this machine.s policy: all 2 witnesses that it asks .* lacks w3"
# A log that does not say whom it asks: a copy of what it serves.
mkdir "$W/mirror"
curl -s -o "$W/mirror/checkpoint" "$(url log)/checkpoint"
static_server mirror "$W/mirror" || exit 1
sed -i "s|^\(log [^ ]*\) .*|\1 $(url mirror)|" "$W/policy"
finds "one that is not satisfied now" quorum "does not satisfy the policy: not cosigned by w3"
policy 'quorum w1'
well "the policy that the log satisfies"
mkdir -p "$W/state/evidence"
fork=$W/state/evidence/$(printf '%s' $origin | sha256sum | cut -d' ' -f1)
echo x >"$fork"
finds "a log that forked" fork "has signed two histories"
rm "$fork"

if [ "$(basename "$STELE_BUILD")" = plain ]; then
    shift_clock -4000 0
    finds_shifted() {
        (shifted stele doctor --config "$config" >"$W/out" 2>&1)
        echo $?
    }
    same "a clock that is behind is wrong" 1 "$(finds_shifted)"
    says "and named" "^WRONG  clock: .* (39|40)[0-9]{2} s behind" "$W/out"
    shift_clock 4000 0
    same "a clock that is ahead is wrong" 1 "$(finds_shifted)"
    says "and named" "^WRONG  clock: .* (39|40)[0-9]{2} s ahead" "$W/out"
    shift_clock 100 0
    same "control: a little is not" 0 "$(finds_shifted)"
else
    skipped "a clock that is off" "the clock is shifted in the plain build"
fi
echo 'fresh-for 1' >>"$config"
old_head() { stele doctor --config "$config" 2>&1 | grep -o '^WRONG  fresh'; }
same "an old head" "WRONG  fresh" "$(soon "WRONG  fresh" old_head)"
sed -i '/^fresh-for/d' "$config"
well "the builder again"

echo "# a consumer"
config=$W/gate.conf
port=$(free_port)
nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public"
nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/trust"
mkdir "$W/cache"
printf 'StoreDir: %s\n' "$NIX_STORE_DIR" >"$W/cache/nix-cache-info"
cat >"$config" <<END
policy policy
trust trust
state gate-state
signing-key gate.secret
listen 127.0.0.1:$port
store-dir $NIX_STORE_DIR
upstream file://$W/cache
END
start gate stele gate --config "$config" || exit 1
gate_conf() {
    {
        printf 'experimental-features = nix-command\nsubstituters = http://127.0.0.1:%s\ntrusted-public-keys = %s\n' "$port" "$(cat "$W/gate.public")"
        printf 'narinfo-cache-negative-ttl = 0\ntrusted-users = root\n'
        printf '%s\n' "$@"
    } >"$conf"
}
gate_conf
well "a consumer where nothing is wrong"
says "what was looked at" "^looked at: .*trust, gate, upstream, substituters, trusted-substituters, gate-key, trusted-keys, require-sigs" "$W/out"
gate_conf "substituters = http://localhost:$port/"
well "the gate under its other name"
gate_conf "extra-substituters = https://cache.example.org"
finds "another substituter" substituters "https://cache.example.org beside the gate"
gate_conf "substituters = https://cache.example.org"
finds "no gate among them" substituters "does not ask the gate"
gate_conf "substituters = http://127.0.0.1:$port?trusted=1"
finds "trusted=1" substituters "without any signature"
gate_conf "trusted-substituters = https://cache.example.org"
finds "trusted-substituters" trusted-substituters "any user may have Nix ask https://cache.example.org"
gate_conf "extra-trusted-public-keys = $(cat "$W/cache.public")"
finds "another trusted key" trusted-keys "trusts cache.example-1:.* beside the gate"
gate_conf "trusted-public-keys = $(cat "$W/cache.public")"
finds "the gate's key not trusted" trusted-keys "does not trust the gate.s key"
gate_conf "require-sigs = false"
finds "signatures not asked for" require-sigs "without any signature"
gate_conf "trusted-users = root @wheel"
finds "trusted users" trusted-users "@wheel may have Nix take any path"
gate_conf "narinfo-cache-negative-ttl = 3600"
notes "a refusal that is remembered" negative-ttl "remembers a refusal"
gate_conf "builders = ssh://other x86_64-linux"
notes "remote builders" builders "without a signature: ssh://other"
gate_conf "max-jobs = 0"
notes "a stop without a reason" refusals "does not say why"
gate_conf "substitute = false"
notes "no substitution at all" substituters "substitutes nothing"
gate_conf
echo 'mode warn' >>"$config"
notes "mode warn" mode "only counts"
sed -i '/^mode/d' "$config"
mv "$W/gate.secret" "$W/gate.away"
finds "no gate's key" gate-key "gate.secret"
mv "$W/gate.away" "$W/gate.secret"
echo 'nonsense' >>"$W/trust"
finds "a trust file with a mistake" trust "trust line 3"
sed -i '$d' "$W/trust"
printf 'StoreDir: /gnu/store\n' >"$W/cache/nix-cache-info"
finds "a cache for another store" upstream "another store folder"
rm "$W/cache/nix-cache-info"
finds "a cache that is not there" upstream "nix-cache-info answers 404"
printf 'StoreDir: %s\n' "$NIX_STORE_DIR" >"$W/cache/nix-cache-info"
# The environment counts as well: that is what is in effect.
NIX_CONFIG="require-sigs = false"
export NIX_CONFIG
finds "what the environment says" require-sigs "without any signature"
unset NIX_CONFIG
# A Nix of another time prints plain lines, or has another command.
mkdir "$W/bin"
cat >"$W/bin/nix" <<'END'
#!/bin/sh
case "$*" in *--json*) exit 1 ;; *"config show"*) ;; *) exit 1 ;; esac
printf 'require-sigs = false\nsubstituters = \n'
END
chmod +x "$W/bin/nix"
real=$PATH
PATH=$W/bin:$PATH
finds "plain lines are read, too" require-sigs "without any signature"
printf '#!/bin/sh\nexit 1\n' >"$W/bin/nix"
finds "a Nix that does not tell" nix "cannot be learnt"
PATH=$real

echo "# a log that has ended"
stop log
stele-log freeze "$W/log" --note "go on at https://next.example" >"$W/got" 2>&1
mv "$W/log" "$W/ended"
start log stele-log serve "$W/ended" --listen "127.0.0.1:$log_port" || exit 1
notes "to a consumer a frozen log is worth knowing" frozen "log $origin is frozen: .*looked up as ever"
says "with what to do" "do: put the log that follows it into the policy" "$W/out"
config=$W/builder.conf
builder_conf "$STELE_BUILD/bin/stele-hook"
finds "to a builder that has no other it is the end" frozen "every log of the policy .*nothing can be delivered"
stele keygen log.example/next --out "$W/next" --type log >"$W/got" 2>&1
echo "log $(cat "$W/next.pub")" >>"$W/policy"
finds "another log without an address is none" frozen "every log of the policy .*nothing can be delivered"
sed -i '$d' "$W/policy"
origin=log.example/next new_log
{ cat "$W/witnesses"; printf 'group some any w1 w2\nquorum some\n'; } >>"$W/log/policy"
introduce w1 log
introduce w2 log
start next stele-log serve "$W/log" --listen 127.0.0.1:0 || exit 1
echo "log $(stele-log key "$W/log") $(url next)" >>"$W/policy"
two_signatures_next() { curl -s "$(url next)/checkpoint" | grep -c '^— ' | sed 's/^3$/yes/'; }
curl -s -o "$W/got" --data-binary "@$W/e0" "$(url next)/attestations"
same "another log is there" yes "$(soon yes two_signatures_next)"
notes "and beside it the frozen one is worth knowing" frozen "log log.example/test is frozen"
config=$W/gate.conf
gate_conf
stop gate
finds "a gate that does not answer" gate "127.0.0.1:$port"

echo "# neither"
printf 'policy policy\nstate state\n' >"$W/neither.conf"
config=$W/neither.conf
finds "a configuration of neither side" configuration "neither a builder"
rm "$W/home/config/stele/stele.conf"
if [ ! -e /etc/stele/stele.conf ]; then
    refuses "no configuration at all" "WRONG  configuration: there is none" stele doctor
else
    skipped "no configuration at all" "this machine has one"
fi
done_testing
