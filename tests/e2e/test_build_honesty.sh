#!/bin/sh
# What was not built here is not attested, however it came into the store, in whatever way one asks for it; each refusal says why,
# and is counted. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
drv() { nix-instantiate "$here/builds.nix" --argstr nonce "$W/nonce" "$@" 2>/dev/null; }
counted() { awk -v reason="$1" '$1 == reason { n = $2 } END { print n + 0 }' "$W/state/counts" 2>/dev/null || echo 0; }

# Another machine's store, of the same name: what it builds comes here in every way but by building.
plain=$(drv -A plain)
out=$(nix-store --realise "$plain" 2>/dev/null)
nix-store --generate-binary-cache-key cache-1 "$W/sec" "$W/pub"
nix store sign -k "$W/sec" "$out" 2>/dev/null
nix copy --to "file://$W/cache" "$out" 2>/dev/null
cp -r "$W/cache" "$W/evil"
nix-store --export "$out" >"$W/export"

# Altered bytes, and a narinfo to fit.
mkdir "$W/altered"
nix-store --dump "$out" >"$W/nar"
sed 's/fixed/FIXED/' "$W/nar" >"$W/altered/nar"
narinfo=$W/evil/$(basename "$out" | cut -c1-32).narinfo
nar=$(sed -n 's/^URL: //p' "$narinfo")
xz -c "$W/altered/nar" >"$W/evil/$nar"
sed -i "s|^NarHash: .*|NarHash: sha256:$(sha256sum "$W/altered/nar" | cut -d' ' -f1 | xargs nix-hash --type sha256 --to-base32)|
s|^FileHash: .*|FileHash: sha256:$(sha256sum "$W/evil/$nar" | cut -d' ' -f1 | xargs nix-hash --type sha256 --to-base32)|
s|^FileSize: .*|FileSize: $(stat -c %s "$W/evil/$nar")|" "$narinfo"

refs=$(nix-store -q --references "$out")
copied() { nix copy --from "file://$W/cache" --trusted-public-keys "$(cat "$W/pub")" "$out"; }
altered() { nix copy --no-check-sigs --from "file://$W/evil" "$out"; }
imported() { nix-store --import <"$W/export"; }
registered() {
    nix-store --restore "$out" <"$W/nar"
    { echo "$out" && echo "$plain" && echo "$refs" | grep -c . && echo "$refs" | grep . ; } | sed '/^$/d' >"$W/registration"
    nix-store --register-validity <"$W/registration"
}
substituted() {
    nix-store --realise "$out" --option substituters "file://$W/cache" --option trusted-public-keys "$(cat "$W/pub")"
}

for way in copied altered imported registered substituted; do
    again "$out"
    accepts "$way: the path is in the store" $way
    accepts "$way: and Nix calls it valid" nix-store --check-validity "$out"
    before=$(counted no-output)
    refuses "$way: the hook refuses it" "no output of .* was built here" sh -c "DRV_PATH=$plain OUT_PATHS=$out $hook 2>&1; false"
    refuses "$way: also where Nix names no output" "no output of .* was built here" sh -c "DRV_PATH=$plain OUT_PATHS= $hook 2>&1; false"
    same "$way: both are counted" $((before + 2)) "$(counted no-output)"
    refuses "$way: by hand it is refused" "not built here.*substituted, copied, imported or registered" \
        stele attest --built-on-this-machine "$out"
    echo "hook-hash-max 0" >>"$W/builder.conf"
    refuses "$way: a ticket is not to be had" "no output of .* was built here" sh -c "DRV_PATH=$plain OUT_PATHS=$out $hook 2>&1; false"
    mkdir -p "$W/outbox/tickets"
    printf '%s\n%s\n' "$plain" "$out" >"$W/outbox/tickets/forged.ticket"
    printf 'quorum none\nlog %s http://127.0.0.1:9\n' "$(cat "$W/log-key.pub" 2>/dev/null || { stele keygen log.example --out "$W/log-key" --type log >/dev/null 2>&1; cat "$W/log-key.pub"; })" >"$W/policy"
    refuses "$way: a forged one is refused by the deliverer" "not built here" stele deliver --once
    sed -i '/^hook-hash-max/d' "$W/builder.conf"
    same "$way: nothing was attested" 0 "$(letters)"
    rm -rf "$W/outbox"
done

# The controls: built here, each of these attests it.
again "$out"
nix-store --realise "$plain" >/dev/null 2>&1
for how in "env DRV_PATH=$plain OUT_PATHS=$out $hook" "env DRV_PATH=$plain OUT_PATHS= $hook" "stele attest --built-on-this-machine $out"; do
    # shellcheck disable=SC2086 # a list of words
    accepts "control: built here, it is attested: ${how%% *}" $how
    same "control: and waits" 1 "$(letters)"
    rm -rf "$W/outbox"
done

# Each refusal has its own message, and its own count. (ambiguous: test_build_kinds.sh; not-a-check, not-allowed: test_build_agent.sh.)
# all: every reason's count, one a line.
all() { cut -d' ' -f1,2 "$W/state/counts" 2>/dev/null; }
# refused REASON REGEX COMMAND...: it says so, that reason is counted once, and no other.
refused() {
    kind=$1 regex=$2
    shift 2
    all | grep -v "^$kind " >"$W/others"
    before=$(counted "$kind")
    refuses "$kind: it says why" "$regex" sh -c "$* 2>&1; false"
    same "$kind: it is counted once" $((before + 1)) "$(counted "$kind")"
    same "$kind: and nothing else is" "$(cat "$W/others")" "$(all | grep -v "^$kind ")"
    same "$kind: nothing was attested" 0 "$(letters)"
}
again "$out"
nix-store --realise "$plain" >/dev/null 2>&1
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted
echo planted >"$planted"
printf '%s\n\n0\n' "$planted" | nix-store --register-validity
hand="stele attest --built-on-this-machine"
refused no-derivation "$out is no derivation" "DRV_PATH=$out OUT_PATHS=$out $hook"
refused not-valid "is not a valid path of this store" "$hand $NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyy-nothing"
refused not-built-here "$planted was not built here" "$hand $planted"
refused no-output "no output of .* was built here" "DRV_PATH=$(drv -A several) OUT_PATHS= $hook"
refused other-derivation "$out is no output of .*several.drv" "DRV_PATH=$(drv -A several) OUT_PATHS=$out $hook"
cp "$W/state/machine-id" "$W/machine-id"
printf '%s %s\n' "$(cut -d' ' -f1 "$W/machine-id")" "$(($(date +%s) + 1000))" >"$W/state/machine-id"
refused too-early "registered before this key began to build" "stele attest $out"
mv "$W/machine-id" "$W/state/machine-id"
fixed=$(drv -A fixed)
mv "$fixed" "$W/fixed.drv"
refused input-unknown "input derivation $fixed is not in this store" "DRV_PATH=$plain OUT_PATHS=$out $hook"
refused input-unknown "input derivation $fixed is not in this store" "$hand $out"
mv "$W/fixed.drv" "$fixed"
accepts "control: when that is back it is attested" env DRV_PATH="$plain" OUT_PATHS="$out" "$hook"
same "control: and waits" 1 "$(letters)"
rm -rf "$W/outbox"
chmod u+w "$out"
echo altered >>"$out"
refused altered "ALARM: $out on disk" "DRV_PATH=$plain OUT_PATHS=$out $hook"
refused altered "ALARM: $out on disk" "$hand $out"
mkdir -p "$W/outbox/tickets"
printf '%s\n%s\n' "$plain" "$out" >"$W/outbox/tickets/late.ticket"
refused altered "ALARM: $out on disk" "stele deliver --once"
rm -rf "$W/outbox"

# Hooks that run at once lose no count.
before=$(counted altered)
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    DRV_PATH=$plain OUT_PATHS=$out "$hook" 2>/dev/null &
done
wait
same "twelve hooks at once are twelve counts" $((before + 12)) "$(counted altered)"
done_testing
