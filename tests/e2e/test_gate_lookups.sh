#!/bin/sh
# The gate asks a log through a proxy that spoils its answers: one malformed proof takes no other with it, and what is no whole answer
# is none. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/builds.nix" <<'END'
let build = import ./build.nix; in rec {
  tool = build "tool" { } "echo tool > $out";
  library = build "library" { } "echo library > $out";
  app = build "app" { inherit tool library; } "echo $tool $library > $out";
}
END
app=$(build "$W/builds.nix" app) tool=$(build "$W/builds.nix" tool) library=$(build "$W/builds.nix" library)
accepts "what ci built is delivered" stele deliver --once
fill cache none "$app"
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
same "for which the log was asked in one request, ahead of the question" 1 "$(grep -c 'POST /outputs' "$W/nginx-plain/access.log")"

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
