#!/bin/sh
# `stele setup`, on real Nix: it changes nothing unless told to; what it writes is what Nix, systemd, the gate and the hook take; an
# own hook goes on working; a machine set up is one in which the doctor finds nothing. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
unset NIX_CONFIG
mkdir -p "$W/nix"
export NIX_CONF_DIR="$W/nix"
image=$W/image
# An operator's own hook, and the caches and keys of every day.
printf '#!/bin/sh\necho "$OUT_PATHS$DRV_PATH" >>%s/uploaded\n' "$W" >"$W/upload"
chmod +x "$W/upload"
nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public" 2>"$W/got"
{
    printf 'experimental-features = nix-command\nbuild-users-group =\nsandbox = false\npost-build-hook = %s\n' "$W/upload"
    printf 'substituters = file://%s/cache?priority=5\ntrusted-public-keys = %s\ntrusted-users = root @wheel' "$W" "$(cat "$W/cache.public")"
} >"$W/nix/nix.conf" # without a newline at its end
effective() { NIX_CONF_DIR="$image$W/nix" nix show-config --json | jq -r ".\"$1\".value | if type == \"array\" then join(\" \") else . end"; }
# left WHAT: nothing was written anywhere it could be.
left() {
    found=$(find "$image" "$W/nix" "$W/etc" "$W/home/state" -newer "$W/mark" -type f 2>/dev/null)
    same "$1" "" "$found"
}
mkdir -p "$image$W/nix"
cp "$W/nix/nix.conf" "$image$W/nix/nix.conf"
touch "$W/mark"

echo "# a builder, dry"
config=$W/etc/builder.conf
accepts "setup builder" stele setup builder --config "$config" --root "$image"
says "names become public for ever" "public FOR EVER" "$W/out"
says "the hook that is there is chained" "^next-hook $W/upload$" "$W/out"
says "nix.conf's line" "^post-build-hook = $STELE_BUILD/bin/stele-hook$" "$W/out"
says "and where it is included" "^include stele-builder.conf$" "$W/out"
says "a unit for the deliverer, with this configuration" "^ExecStart=$STELE_BUILD/bin/stele deliver --config $config$" "$W/out"
says "how the key is made" "stele keygen NAME --out /etc/stele/builder.key --type builder" "$W/out"
says "that nothing was changed, and what would" "nothing was changed: .stele setup builder --config $config --root $image --write. " "$W/out"
says "the doctor is to look at this configuration" "[0-9]\. stele doctor builder --config $config$" "$W/out"
left "and nothing was"

echo "# a builder, written"
accepts "setup builder --write" stele setup builder --config "$config" --root "$image" --write
accepts "the state of an image is noted by its first build" test ! -e "$image/var/lib/stele/machine-id"
same "Nix reads the hook" "$STELE_BUILD/bin/stele-hook" "$(effective post-build-hook)"
same "and what was there before" "root @wheel" "$(effective trusted-users)"
cp -r "$image" "$W/before"
accepts "again" stele setup builder --config "$config" --root "$image" --write
accepts "changes nothing" diff -r "$W/before" "$image"
# The hook, as this Nix calls it now, and the one that was there.
mkdir -p "$W/etc"
sed "s|/etc/stele|$W/etc|; s|/var/lib/stele|$W/state|" "$image$config" >"$config"
stele keygen ci.example/builder --out "$W/etc/builder.key" --config "$config" >"$W/got" 2>&1
export STELE_CONFIG="$config"
NIX_CONF_DIR="$image$W/nix" nix-build --no-out-link "$here/graph.nix" -A library >"$W/got" 2>"$W/err"
same "a build is attested" 1 "$(find "$W/state/outbox" -name '*.jsonl' 2>/dev/null | wc -l)"
says "and the operator's own hook ran as well" "library" "$W/uploaded"
unset STELE_CONFIG
accepts "a configuration that is there is the operator's" stele setup builder --config "$config"
if grep -q '^--- [^ ]*/etc/builder.conf ' "$W/out"; then not_ok "and not offered anew"; else ok "and not offered anew"; fi
sed -i '/^next-hook/d' "$config"
accepts "one without the chain" stele setup builder --config "$config"
says "gets a line at its end" "^next-hook $W/upload$" "$W/out"
echo "next-hook $W/other" >>"$config"
accepts "one with another hook in the chain" stele setup builder --config "$config"
says "is left to its owner" "names $W/other: name there" "$W/out"
sed -i "s|^next-hook.*|sign-agent /run/stele/agent|" "$config"
accepts "one with a sign-agent" stele setup builder --config "$config"
says "gets its unit" "^ExecStart=$STELE_BUILD/bin/stele sign-agent --config $config$" "$W/out"
says "and the diff-hook" "^diff-hook = $STELE_BUILD/bin/stele-diff-hook$" "$W/out"
rm -r "$W/state"
# On the machine itself the moment is noted.
HOME=$W/home NIX_CONF_DIR=$W/none stele setup builder --config "$config" --nixos >"$W/got" 2>&1
accepts "dry, no machine is noted" test ! -e "$W/state/machine-id"
if [ "$(id -u)" = 0 ] && [ -d /etc/systemd ] && unshare -m true 2>/dev/null; then
    mkdir -p "$W/here/systemd" "$W/here/nix"
    before=$(date +%s)
    accepts "written" unshare -m sh -c "mount --bind $W/here/systemd /etc/systemd && NIX_CONF_DIR=$W/here/nix stele setup builder --config $config --write"
    accepts "where it is to be" test -e "$W/here/systemd/system/stele-deliver.service"
    read -r id since <"$W/state/machine-id" || id=none since=0
    same "this machine is noted" "$(cat /etc/machine-id 2>/dev/null | grep . || echo unknown)" "$id"
    at_least "from now on" "$before" "$since"
    cp "$W/state/machine-id" "$W/noted"
    accepts "written again" unshare -m sh -c "mount --bind $W/here/systemd /etc/systemd && NIX_CONF_DIR=$W/here/nix stele setup builder --config $config --write"
    accepts "it is noted as before" cmp "$W/noted" "$W/state/machine-id"
    rm -r "$W/state"
else
    skipped "written, this machine is noted" "not root, or no mount namespaces"
fi

echo "# a consumer, dry"
gate_conf=$W/etc/gate.conf
touch "$W/mark"
accepts "setup consumer" stele setup consumer --config "$gate_conf" --root "$image"
says "404 is explained" "answers with 404: .* BUILDS the path itself|404.*BUILDS" "$W/out"
says "451 as well" "refuse-with 451. .*stops at once" "$W/out"
says "max-jobs 0 as well" "max-jobs = 0" "$W/out"
says "the gate is the only substituter" "^substituters = http://127.0.0.1:7382$" "$W/out"
says "what was one before is an upstream" "^upstream file://$W/cache$" "$W/out"
says "its key is a cache that vouches" "^cache cache.example-1 cache.example-1:" "$W/out"
says "no refusal is remembered" "^narinfo-cache-negative-ttl = 0$" "$W/out"
says "the socket" "^ListenStream=127.0.0.1:7382$" "$W/out"
left "nothing was changed"
refuses "without the gate's key nothing is written" "generate-binary-cache-key gate-1 /etc/stele/gate.key" \
    stele setup consumer --config "$gate_conf" --root "$image" --write
left "not even in part"
refuses "a path that a unit or a shell would take for two" "a b/gate.conf: a space" stele setup consumer --config "$W/a b/gate.conf" --root "$image"
refuses "a builder's configuration is not the gate's" "configuration of its own" stele setup consumer --config "$config"

echo "# a consumer, written"
port=$(free_port)
nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public" 2>"$W/got"
stele keygen log.example --out "$W/log-key" --type log >"$W/got" 2>&1
printf 'log %s\nquorum none\n' "$(cat "$W/log-key.pub")" >"$W/policy"
mkdir -p "$W/cache"
printf 'StoreDir: %s\n' "$NIX_STORE_DIR" >"$W/cache/nix-cache-info"
printf 'policy %s\ntrust %s\nstate /var/lib/stele-one\nsigning-key %s\nlisten 127.0.0.1:%s\nupstream file://%s/cache\nstore-dir %s\n' \
    "$W/policy" "$W/trust" "$W/gate.secret" "$port" "$W" "$NIX_STORE_DIR" >"$gate_conf"
accepts "setup consumer --write" stele setup consumer --config "$gate_conf" --root "$image" --write
same "the gate is the only substituter that Nix has" "http://127.0.0.1:$port" "$(effective substituters)"
same "its key the only one" "$(cat "$W/gate.public")" "$(effective trusted-public-keys)"
same "and root the only one whom Nix trusts" root "$(effective trusted-users)"
units=$image/etc/systemd/system
says "the socket is where the configuration says" "^ListenStream=127.0.0.1:$port$" "$units/stele-gate.socket"
says "the service has its configuration" "^ExecStart=$STELE_BUILD/bin/stele gate --config $gate_conf$" "$units/stele-gate.service"
says "and its folder" "^StateDirectory=stele-one$" "$units/stele-gate.service"
if command -v systemd-analyze >"$W/got" 2>&1; then
    for unit in stele-gate.service stele-deliver.service; do
        accepts "$unit is valid" systemd-analyze verify --man=no "$units/$unit"
    done
else
    skipped "the units are valid" "systemd-analyze is not installed"
fi
mv "$image$W/trust" "$W/trust"
sed -i "s|^state .*|state $W/gate-state|" "$gate_conf"
start gate stele gate --config "$gate_conf" || exit 1
export NIX_CONF_DIR="$image$W/nix"
accepts "the doctor finds nothing wrong with what setup wrote" stele doctor consumer --config "$gate_conf"
export NIX_CONF_DIR="$W/nix"
refuses "control: but with what was there before" "WRONG  substituters" stele doctor consumer --config "$gate_conf"
accepts "a gate that is set up is no upstream of itself" env NIX_CONF_DIR="$image$W/nix" stele setup consumer --root "$image" --config "$gate_conf"
if grep -q '^upstream http://127' "$W/out"; then not_ok "so it is not named"; else ok "so it is not named"; fi
stop gate

echo "# NixOS"
for side in builder consumer; do
    accepts "a module for a $side" stele setup $side --config "$W/none-$side.conf" --root "$image" --nixos
    says "the doctor is to look at the module's configuration" "stele doctor $([ $side = builder ] && echo builder || echo "consumer --config /etc/stele/gate.conf")$" "$W/out"
    sed -n '/^--- .*\.nix (/,/^$/p' "$W/out" | sed '1d' >"$W/$side.nix"
    accepts "that Nix can read" nix-instantiate --parse "$W/$side.nix"
    says "with what this machine has" "$([ $side = builder ] && echo "nextHook = \"$W/upload\"" || echo "upstreams = \[ \"file://$W/cache\" \]")" "$W/$side.nix"
done
mkdir -p "$W/nixos/etc"
touch "$W/nixos/etc/NIXOS"
accepts "on NixOS without being asked" stele setup builder --config "$W/none.conf" --root "$W/nixos" --write
accepts "it is all that is written" test "$(find "$W/nixos" -type f | sort | tr '\n' ' ')" = "$W/nixos/etc/NIXOS $W/nixos/etc/nixos/stele-builder.nix "

refuses "a side that there is not" "setup builder. and .stele setup consumer" stele setup server
refuses "a configuration that is not named in full" "absolute" stele setup builder --config x.conf
PATH=$STELE_BUILD/bin:/nowhere "$STELE_BUILD/bin/stele" setup builder --config "$W/none.conf" --root "$image" >"$W/out" 2>&1
same "without Nix it still tells" 0 $?
PATH=$STELE_BUILD/bin:$PATH says "and says what it does not know" "cannot be learnt.*taken as unset" "$W/out"
done_testing
