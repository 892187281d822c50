#!/bin/sh
# The same for what runs on builders' and users' machines: memory runs out at the first call, the second, and so on, in the hook, in
# attest, deliver, audit, why and the gate, on real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/memory_lib.sh"
. "$here/../e2e/gate_lib.sh"
gate_world
app=$(build "$here/../e2e/graph.nix" app)
before=true
every "stele attest" 7 stele attest "$app"
DRV_PATH=$(nix-store -q --deriver "$app") OUT_PATHS=$app
export DRV_PATH OUT_PATHS
every "stele-hook" 7 stele-hook
accepts "the hook's attestation is whole" stele deliver --once
before=queue
queue() { stele attest "$app" >"$W/out" 2>&1; }
every "stele deliver" 11 stele deliver --once
before=true
fill cache none "$app"
static_server cache "$W/cache" || exit 1
new_gate >"$W/out"
cp "$W/gate.conf" "$W/user.conf"
stop gate
every "stele audit" 11 stele audit --config "$W/user.conf" "$app"
every "stele why" 11 stele why --config "$W/user.conf" "$app"
every "stele trust" 11 stele trust --config "$W/user.conf"

# The gate: its front and its signer.
part=$(part "$app")
ask_gate() {
    get "/$part.narinfo" -m 20 >"$W/status"
    nar=$(sed -n 's/^URL: //p' "$W/body" 2>/dev/null)
    [ -z "$nar" ] || get "/$nar" -m 20 >"$W/status"
}
every_serve gate 11 ask_gate stele gate --config "$W/user.conf" --listen 127.0.0.1:0
start gate stele gate --config "$W/user.conf" --listen 127.0.0.1:0 || exit 1
is "and then the path passes" 200 "/$part.narinfo"
done_testing
