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
unattested=$(nix-build --no-out-link "$W/inputs.nix" -A unattested 2>"$W/err") # without the hook
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
# requests: how many the log has answered so far; each time it is asked, that is one more.
requests() { curl -s "$(url log)/metrics" | sed -n 's/^stele_log_http_requests_total //p'; }
before=$(requests)
stop gate
start gate stele gate --config "$W/gate.conf" --listen 127.0.0.1:0 || exit 1
accepts "also by the next gate" gets "$app"
same "for which no log is asked" $((before + 1)) "$(requests)"

echo "# a trail that is slow"
trust_builder "inputs attested" "cache c $(cat "$W/cache.public")" "quorum c unattested"
fill vouched none "$unattested"
cp -r "$W/cache" "$W/slow"
fifo=$W/slow/$(part "$unattested").narinfo
mkfifo "$fifo"
new_gate "policy log-policy" "upstream file://$W/slow" >"$W/out"
exec 9<>"$fifo" # whoever opens it waits for what is written here
curl -s -o "$W/slow-body" -w '%{http_code}' "$(url gate)/$(part "$top").narinfo" >"$W/slow-status" 9>&- &
note slow $!
waits() { find "/proc/$(cat "$W/run/gate.pid")/fd" -lname "$fifo" | wc -l; }
same "the trail of one path waits for a cache" 1 "$(soon 1 waits)"
is "meanwhile another's comes out" 200 "/$(part "$app").narinfo" -m 100
same "and the first one still waits" 1 "$(waits)"
cat "$W/vouched/$(part "$unattested").narinfo" >&9
exec 9>&-
wait "$(cat "$W/run/slow.pid")"
rm "$W/run/slow.pid"
same "until the cache answers: then its trail comes out as well" 200 "$(cat "$W/slow-status")"
trust_builder "inputs attested"

echo "# the log is down"
new_gate "policy log-policy" >"$W/out"
stop log
refuses "with the log down nothing is followed, and nothing opens" "$nowhere" gets "$app"
refuses "why says so" "not attested down to the ground" stele why --config "$W/gate.conf" "$app"
trust_builder
new_gate "policy log-policy" >"$W/out"
accepts "the control: where inputs are not asked, both get in" gets "$app"
accepts "the other as well" gets "$top"
done_testing
