#!/bin/sh
# Logs that attack: one that goes back, and one that forked under a witness that colludes, with real Nix through the gate. What the
# memory of heads does in each case is in test_memory.sh. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/attacks.nix" <<'END_NIX'
let build = name: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${name} >$out" ]; };
in { early = build "early"; one = build "one"; other = build "other"; }
END_NIX
nowhere="needs substitutes|no substituter|cannot be built|don't know how to build|does not exist" # as Nix says it
stores=0
gets() {
    stores=$((stores + 1))
    substitute "user-$stores" "$(url gate)" "$(cat "$W/gate.public")" "$1"
}
# keep NAME: the log and its witness as they are now. Whoever goes on with both from two of these colludes.
w1_at=$(url w1 | sed 's|http://||')
keep() {
    stop log
    stop w1
    mkdir "$W/$1"
    cp -r "$W/log" "$W/w1" "$W/$1"
}
# branch NAME: both go on from there.
branch() {
    stop log
    stop w1
    rm -rf "$W/log" "$W/w1"
    cp -r "$W/$1/log" "$W/$1/w1" "$W"
    start w1 stele-witness serve "$W/w1" --listen "$w1_at" && serve_network
}
size() { curl -s "$(url log)/checkpoint" | sed -n 2p; }
gate_again() { # the same gate, with the heads that it remembers
    stop gate
    start gate stele gate --config "$W/gate.conf" --listen 127.0.0.1:0
}

early=$(build "$W/attacks.nix" early)
accepts "a build is delivered" stele deliver --once
fill cache none "$early"
keep common
branch common || exit 1
one=$(build "$W/attacks.nix" one)
accepts "another is delivered" stele deliver --once
fill cache none "$one"
keep honest
rm "$W/state/proofs/$(part "$one").tlog-proof"
branch common || exit 1
other=$(build "$W/attacks.nix" other)
refuses "in a second history, under the same witness, a builder that saw the first takes no proof" "FORKED" stele deliver --once
rm -r "$W/state/heads" "$W/state/evidence"
accepts "one that did not is cheated" stele deliver --once
nix copy --to "file://$W/forked?compression=none&secret-key=$W/cache.secret" "$one" "$other" >"$W/out" 2>&1
cp "$W/cache/$(part "$one").tlog-proof" "$W/state/proofs/$(part "$other").tlog-proof" "$W/forked/"
same "both histories have the same size" 2 "$(size)"

echo "# a log that goes back"
branch honest || exit 1
mkdir "$W/bare"
cp -r "$W/cache"/*.narinfo "$W/cache/nar" "$W/cache/nix-cache-info" "$W/bare/"
new_gate "policy log-policy" "upstream file://$W/bare" >"$W/out"
accepts "control: the log answers, and a path without a proof beside it gets in" gets "$one"
branch common || exit 1
same "then the log shows less than before" 1 "$(size)"
rm -r "$W/gate-$gates/proofs"
gate_again >"$W/out"
refuses "a path that it alone could prove is kept out" "$nowhere" gets "$early"
refuses "for that reason" "ROLLED BACK: it showed 2 entries before, and shows 1 now" stele why --config "$W/gate.conf" "$early"
cp "$W/cache/$(part "$one").tlog-proof" "$W/cache/$(part "$early").tlog-proof" "$W/bare/"
gate_again >"$W/out"
accepts "control: with an old sidecar of that log it gets in" gets "$early"
accepts "and so does one that the log has forgotten" gets "$one"

echo "# a log that forked"
new_gate "upstream file://$W/forked" >"$W/out"
accepts "a path whose proof is of one history gets in" gets "$one"
refuses "one with a proof of the other is kept out" "$nowhere" gets "$other"
refuses "for that reason" "FORKED" stele why --config "$W/gate.conf" "$other"
refuses "and the first one gets in no more" "$nowhere" gets "$one"
says "the user is told loudly" "FORKED" "$W/run/gate.err"
new_gate "upstream file://$W/forked" >"$W/out"
accepts "control: for whom the second history is the only one" gets "$other"
done_testing
