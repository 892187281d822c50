#!/bin/sh
# `inputs attested` in the gate: what a path was built from, though it is not part of it, must be attested down to the ground. Real
# Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/inputs.nix" <<'END'
let
  build = name: attrs: script: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/usr/bin:/bin";
  } // attrs);
in rec {
  source = builtins.toFile "source" "a source\n";
  compiler = build "compiler" { inherit source; } "cat $source > $out";
  library = build "library" { inherit compiler; } "cat $compiler > $out; echo library >> $out";
  app = build "app" { inherit library; } "cat $library > $out; echo app >> $out";
  unattested = build "unattested" { inherit source; } "cat $source > $out; echo who built this >> $out";
  middle = build "middle" { inherit unattested; } "cat $unattested > $out; echo middle >> $out";
  top = build "top" { inherit middle; } "cat $middle > $out; echo top >> $out";
}
END
nix-build --no-out-link "$W/inputs.nix" -A unattested >"$W/out" 2>&1 # without the hook
app=$(build "$W/inputs.nix" app)
top=$(build "$W/inputs.nix" top)
same "neither refers to what it was built from" "" "$(nix-store -q --references "$app" "$top")"
accepts "five builds are delivered" stele deliver --once
fill cache none "$app" "$top"
static_server cache "$W/cache" || exit 1
stores=0
gets() {
    stores=$((stores + 1))
    substitute "user-$stores" "$(url gate)" "$(cat "$W/gate.public")" "$1"
}
nowhere="don't know how to build|needs substitutes|no substituter"

trust_builder "inputs attested"
new_gate "policy log-policy" >"$W/out"
accepts "what was built from attested things alone gets in" gets "$app"
refuses "what was built from something that nobody attested does not" "$nowhere" gets "$top"
refuses "why says where its trail ends" "its trail ends 2 steps? down, at .*-unattested" stele why --config "$W/gate.conf" "$top"
accepts "and that the other's does not" stele why --config "$W/gate.conf" "$app"
accepts "what is complete is remembered" grep -q "^$app " "$W/gate-$gates/trails"
new_gate "policy log-policy" >"$W/out"
stop log
refuses "with the log down nothing is followed, and nothing opens" "$nowhere" gets "$app"
refuses "why says so" "not attested down to the ground" stele why --config "$W/gate.conf" "$app"
trust_builder
new_gate "policy log-policy" >"$W/out"
accepts "the control: where inputs are not asked, both get in" gets "$app"
accepts "the other as well" gets "$top"
done_testing
