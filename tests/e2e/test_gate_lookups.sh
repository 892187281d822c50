#!/bin/sh
# The gate's look-ups in a log, through a proxy that writes down what is asked: the log is asked ahead of Nix's questions, a cache
# without sidecars is soon asked for none. Where the proxy spoils the answers, one malformed proof takes no other with it, and what is
# no whole answer is none. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/builds.nix" <<'END'
let build = import ./build.nix; in rec {
  tool = build "tool" { } "echo tool > $out";
  base = build "base" { } "echo base > $out";
  library = build "library" { inherit base; } "echo $base > $out";
  app = build "app" { inherit tool library; } "echo $tool $library > $out";
  many = build "many" { parts = map (n: build "part-${toString n}" { } "echo ${toString n} > $out") (builtins.genList (n: n) 40); } "echo $parts > $out";
}
END
app=$(build "$W/builds.nix" app) tool=$(build "$W/builds.nix" tool) library=$(build "$W/builds.nix" library)
base=$(build "$W/builds.nix" base) many=$(build "$W/builds.nix" many)
accepts "what ci built is delivered" stele deliver --once
fill cache none "$app" "$many"
rm "$W"/cache/*.tlog-proof
static_server cache "$W/cache" || exit 1
extra=$(sed -n 's/^extra //p' "$W/state/proofs/$(part "$tool").tlog-proof")

# proxy NAME DIRECTIVE...: in front of the log, and NAME-policy, by which it is asked there.
proxy() {
    proxy_name=$1
    shift
    nginx_server "$proxy_name" "location / { proxy_pass $(url log); proxy_set_header Accept-Encoding ''; sub_filter_types text/plain; } $*" ||
        exit 1
    sed "s|$(url log)|$(url "$proxy_name")|" "$W/log-policy" >"$W/$proxy_name-policy"
}
narinfo() { is "$1" "$2" "/$(part "$3").narinfo"; }

echo "# the control"
proxy plain
new_gate "policy plain-policy"
narinfo "the gate lets the application in" 200 "$app"
narinfo "and what it refers to" 200 "$tool"
asked() { accesses plain 'POST /outputs'; }
same "for which the log was asked in one request, ahead of the question" 1 "$(asked)"
narinfo "the library as well" 200 "$library"
same "at which the log is asked for what that refers to, though Nix did not yet" 2 "$(soon 2 asked)"
narinfo "and Nix's question" 200 "$base"
same "asks the log no more" 2 "$(asked)"

echo "# sidecars"
sidecars() { accesses cache 'tlog-proof'; }
new_gate "policy plain-policy"
before=$(sidecars)
narinfo "what 40 others are tied together by gets in" 200 "$many"
passed=0
for path in $(nix-store -q --references "$many"); do
    [ "$(get "/$(part "$path").narinfo")" != 200 ] || passed=$((passed + 1))
done
same "so do they" 40 "$passed"
same "a cache that had no sidecar for the first 8 is asked for one more in 32 paths" 9 "$(($(sidecars) - before))"
cp "$W/state/proofs/$(part "$app").tlog-proof" "$W/cache/"
before=$(asked)
narinfo "what a sidecar suffices for gets in" 200 "$app"
same "and no log is asked" "$before" "$(asked)"
rm "$W/cache/$(part "$app").tlog-proof"

nginx_server moody "root $W/cache; location ~ tlog-proof { if (-e $W/moody) { return 503; } }" || exit 1
touch "$W/moody"
new_gate "policy plain-policy" "upstream $(url moody)"
parts=$(nix-store -q --references "$many" | sed 's|.*/||' | cut -c1-32)
narinfo "a cache that fails where it is asked for sidecars" 200 "$many"
for hash_part in $(echo "$parts" | head -n 9); do
    get "/$hash_part.narinfo"
done >"$W/out"
rm "$W/moody"
missed() { accesses moody 'tlog-proof.* 404 '; }
before=$(missed)
is "has not shown that it has none" 200 "/$(echo "$parts" | tail -n 1).narinfo"
same "it is asked for one" "$((before + 1))" "$(missed)"

echo "# what the inputs of a path are known to be"
trust_builder "inputs attested"
new_gate "policy plain-policy"
narinfo "a path whose inputs are followed" 200 "$app"
stop gate
rm "$W/gate-$gates/proofs/$(part "$app").tlog-proof"
start gate stele gate --config "$W/gate.conf" --listen 127.0.0.1:0 || exit 1
for hash_part in $(echo "$parts" | head -n 9); do
    get "/$hash_part.narinfo"
done >"$W/out"
cp "$W/state/proofs/$(part "$app").tlog-proof" "$W/cache/"
before=$(asked)
narinfo "of them what is remembered, and of itself a sidecar" 200 "$app"
same "want no log asked, though that cache had no sidecar so far" "$before" "$(asked)"
rm "$W/cache/$(part "$app").tlog-proof"
trust_builder

echo "# a log that gives no answer, though it was asked for all of them ahead, and a gate that is to end"
trust_builder "cache cache $(cat "$W/cache.public")" "exempt library"
cp "$W/state/proofs/$(part "$tool").tlog-proof" "$W/cache/"
printf '@hang\n' >"$W/hang"
start hanging "$STELE_BUILD/tests/e2e/fake_log" "$W/hang" || exit 1
sed "s|$(url log)|$(url hanging)|" "$W/log-policy" >"$W/hanging-policy"
new_gate "policy hanging-policy"
curl -s -o "$W/body" -m 1 "$(url gate)/$(part "$app").narinfo"
is "it holds up nothing that a sidecar suffices for" 200 "/$(part "$tool").narinfo" -m 5
is "nor what needs no proof" 200 "/$(part "$library").narinfo" -m 5
rm "$W/cache/$(part "$tool").tlog-proof"
trust_builder
before_s=$(date +%s)
stop gate
at_most "it does not wait for the log" 8 "$(($(date +%s) - before_s))"
accepts "and calls nothing refused for which there was no time" sh -c "! grep -r 'this program ends' $W/gate-$gates $W/run/gate.err"

echo "# a malformed proof between others"
proxy spoilt "sub_filter '$(echo "$extra" | tail -c 200)' '!';"
new_gate "policy spoilt-policy"
narinfo "the application gets in" 200 "$app"
narinfo "so does the library" 200 "$library"
narinfo "the tool, whose proof it is, is kept out" 404 "$tool"
says "the gate names what is wrong with it" "bad-proof .*the proof's extra line is not base64" "$W/run/gate.err"
refuses "as does why" "proof from log log.example/stele does not hold: the proof's extra line is not base64" \
    stele why --config "$W/gate.conf" "$tool"

echo "# an answer that is none"
proxy rubbish "sub_filter 'c2sp.org/tlog-proof@v1
extra $(echo "$extra" | head -c 900)' 'rubbish';"
new_gate "policy rubbish-policy"
narinfo "where nobody can tell what the log meant, nothing gets in" 404 "$app"
says "the gate says why" "log-down .*the log's answer does not parse" "$W/run/gate.err"
says "so does the refusal: nobody is told that there is no attestation, and no more" \
    "was found; but not every source answered: log log.example/stele: the log's answer does not parse" "$W/body"
trust_builder "divergence refuse"
cp "$W"/state/proofs/*.tlog-proof "$W/cache/"
for status in 403 410; do
    proxy "closed-$status" "location /output { return $status; }"
    new_gate "policy closed-$status-policy"
    narinfo "a log that answers with $status has not answered" 404 "$app"
    refuses "for why neither: it is no answer that nobody contradicts" "not every log answered" stele why --config "$W/gate.conf" "$app"
done
new_gate "policy plain-policy"
narinfo "the control: the same, answered" 200 "$app"
done_testing
