#!/bin/sh
# A builder that attests one path again and again: what it said last counts as what it said first, though a log gives only the first
# sixteen at once. The gate, `stele why`, `verify`, `audit`, `trace`, `staple` and `proofs`. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
gate_world
cat >"$W/builds.nix" <<'END'
let build = import ./build.nix; in rec {
  tool = build "tool" { } "echo tool > $out";
  app = build "app" { inherit tool; } "echo app > $out; read line < $tool";
  late = build "late" { } "echo late > $out";
  user = build "user" { inherit tool; } "echo $tool > $out";
}
END
app=$(build "$W/builds.nix" app) tool=$(build "$W/builds.nix" tool) user=$(build "$W/builds.nix" user)
accepts "what ci built is delivered" stele deliver --once
late=$(build "$W/builds.nix" late)
fill cache none "$app" "$user" "$late"
static_server cache "$W/cache" || exit 1
builder=$(tr -d '\n' <"$W/key.pub" | sha256sum | cut -d' ' -f1)

# statement FILE: the payload of an attestation of ci's, from its proof or its letter.
statement() {
    if grep -q '^extra ' "$1"; then sed -n 's/^extra //p' "$1" | base64 -d; else tail -n 1 "$1"; fi | jq -r .payload | base64 -d
}
# attest_again FILE FROM TO FILTER: ci logs that statement as FILTER alters it, once for each number $i from FROM to TO.
attest_again() {
    statement "$1" >"$W/statement"
    for i in $(seq "$2" "$3"); do
        jq -c --argjson i "$i" "$4" "$W/statement" | make_attestation sign "$W/key"
        echo
    done >"$W/again.intoto.jsonl"
    stele submit "$W/again.intoto.jsonl" >"$W/out" 2>&1 || sed 's/^/# /' "$W/out"
}
# shellcheck disable=SC2016 # jq's
agreeing='.predicate.runDetails.builder.version.stele = "0.\($i)"'
# shellcheck disable=SC2016
other='.subject[0].digest.sha256 |= .[:56] + ("\(10000000 + $i)")'
# logged PATH: how many attestations of it by ci the log has, by its own pages.
logged() {
    n=0
    after=
    while curl -sf -o "$W/page" "$(url log)/output/$(part "$1")?builder=$builder$after"; do
        n=$((n + $(grep -c '^index ' "$W/page")))
        after="&after=$(sed -n 's/^index //p' "$W/page" | tail -n 1)"
    done
    echo $n
}
# by_hand COMMAND...: of the client, with the gate's trust file and the log's address.
by_hand() { "$@" --config "$W/gate.conf"; }
gets() { substitute "user-$1" "$(url gate)" "$(cat "$W/gate.public")" "$2"; }
refused="the builder logged two results|attests other bytes"

echo "# all of them agree"
trust_builder "divergence refuse"
attest_again "$W/state/proofs/$(part "$tool").tlog-proof" 1 15 "$agreeing"
same "sixteen attestations, as many as an answer has" 16 "$(logged "$tool")"
new_gate "policy log-policy"
accepts "the gate lets it in" gets 1 "$tool"
attest_again "$W/state/proofs/$(part "$tool").tlog-proof" 16 31 "$agreeing"
same "thirty-two" 32 "$(logged "$tool")"
new_gate "policy log-policy"
accepts "the gate lets it in" gets 2 "$tool"
accepts "why says that it would" by_hand stele why "$tool"
same "and shows all of them" 32 "$(grep -c 'attestation by builder ci' "$W/out")"
accepts "verify agrees" by_hand stele verify "$tool"
accepts "audit too" by_hand stele audit "$tool"
accepts "and the trail of what was built with it comes out" by_hand stele trace "$app"

echo "# the last contradicts the others"
attest_again "$W/state/proofs/$(part "$tool").tlog-proof" 1 1 "$other"
same "thirty-three" 33 "$(logged "$tool")"
new_gate "policy log-policy"
refuses "the gate keeps it out" "needs substitutes|cannot be built|don't know how to build" gets 3 "$tool"
refuses "as why says" "$refused" by_hand stele why "$tool"
refuses "verify says so" "$refused" by_hand stele verify "$tool"
refuses "audit calls it contradicted" "1 contradicted; 1 contested" by_hand stele audit "$tool"
refuses "and the trail of what was built with it ends there" "$refused" by_hand stele trace "$app"
accepts "what nobody contradicts gets in all the same" gets 4 "$app"
trust_builder
new_gate "policy log-policy"
accepts "so does this one where the user takes either result" gets 5 "$tool"

echo "# only the last agrees with what is served"
attest_again "$(echo "$W"/outbox/*.jsonl)" 1 16 "$other"
same "sixteen other results" 16 "$(logged "$late")"
new_gate "policy log-policy"
refuses "the gate keeps it out" "needs substitutes|cannot be built|don't know how to build" gets 6 "$late"
accepts "the seventeenth, which agrees, is delivered" stele deliver --once
same "as one more" 17 "$(logged "$late")"
new_gate "policy log-policy"
accepts "and lets it in" gets 7 "$late"

echo "# a cache hands on all of them"
printf 'policy log-policy\nstate stapler-state\n' >"$W/stapler.conf"
proofs_in() { grep -c '^index ' "$1"; }
accepts "a cache that nobody delivers to is stapled" stele staple --all --config "$W/stapler.conf" "$W/cache"
same "with the seventeenth, too" 17 "$(proofs_in "$W/cache/$(part "$late").tlog-proof")"
same "and all of another path" 33 "$(proofs_in "$W/cache/$(part "$tool").tlog-proof")"
stele proofs --config "$W/stapler.conf" "$late" >"$W/printed" 2>"$W/err"
same "those in front of a store print them" 17 "$(proofs_in "$W/printed")"
stop log
new_gate "policy log-policy"
accepts "so that the gate lets in without the log what the seventeenth agrees with" gets 8 "$late"
serve_network || exit 1
rm -f "$W/cache/$(part "$late").tlog-proof"

echo "# a log that does not give all of it"
rm "$W"/cache/*.tlog-proof
nginx_server pages "location / { proxy_pass $(url log); } location /output/ { return 503; }" || exit 1
sed "s|$(url log)|$(url pages)|" "$W/log-policy" >"$W/pages-policy"
new_gate "policy pages-policy"
is "has not answered for that path" 404 "/$(part "$tool").narinfo"
says "as the gate says" "log-incomplete .*/output/$(part "$tool")\?builder=$builder answered with status 503" "$W/run/gate.err"
says "to who reads the refusals as well" "log log.example/stele: .*answered with status 503" "$W/gate-$gates/refusals"
is "but for another one" 200 "/$(part "$app").narinfo"
new_gate "policy pages-policy"
is "and for one that refers to it, which is asked for together with it" 200 "/$(part "$user").narinfo"
is "again it is kept out" 404 "/$(part "$tool").narinfo"
accepts "the log is not taken for down" sh -c "! grep log-down $W/run/gate.err"
trust_builder "divergence refuse"
accepts "audit judges the others" by_hand stele audit "$app" "$user" "$tool"
says "by what the log says" "^attested .*$user" "$W/out"
says "not this one" "^built-here .*$tool" "$W/out"
says "of which alone it has no answer" "not every source could be asked \(for 1 paths not every log\)" "$W/out"
says "and it says why" "log log.example/stele: .*answered with status 503" "$W/out"
cp "$W/state/proofs/$(part "$tool").tlog-proof" "$W/gate-$gates/proofs/"
refuses "a trail ends there, whatever else is known" "at .*-tool, .*not every log answered" by_hand stele trace "$user"
trust_builder
printf 'policy pages-policy\ntrust trust\nstate stapler-pages\n' >"$W/stapler-pages.conf"
refuses "staple says it, too" "of 1 logs 1 gave no answer, or not all of it" \
    stele staple --all --config "$W/stapler-pages.conf" "$W/cache"
accepts "and staples the others" [ -e "$W/cache/$(part "$user").tlog-proof" ]
accepts "but nothing that is not whole" [ ! -e "$W/cache/$(part "$tool").tlog-proof" ]
rm "$W"/cache/*.tlog-proof

echo "# strangers say much of it, too"
for i in 1 2 3; do
    stele keygen "stranger$i.example" --out "$W/stranger$i" >"$W/out" 2>&1
    cat "$W/stranger$i.pub" >>"$W/builders"
done
kill -HUP "$(cat "$W/run/log.pid")"
statement "$W/state/proofs/$(part "$late").tlog-proof" >"$W/statement"
for i in 1 2 3; do
    # shellcheck disable=SC2016
    for n in $(seq 16); do
        jq -c --arg name "stranger$i.example" --arg text "$(printf '%034000d' "$n")" '.predicate.runDetails.builder.id = "https://" + $name |
            .predicate.buildDefinition.internalParameters.text = $text' "$W/statement" | make_attestation sign "$W/stranger$i"
        echo
    done >"$W/stranger$i.intoto.jsonl"
    said() { stele submit "$W/stranger$i.intoto.jsonl" >"$W/stranger$i.tlog-proof" 2>"$W/out" && echo yes; }
    same "stranger $i attests it sixteen times, at length" yes "$(soon yes said)"
done
accepts "the log's answer is of megabytes" [ "$(curl -s "$(url log)/output/$(part "$late")" | wc -c)" -gt 3000000 ]
new_gate "policy log-policy"
accepts "the gate finds its builder's words among theirs" gets 9 "$late"
accepts "why does" by_hand stele why "$late"
accepts "verify does" by_hand stele verify "$late"
accepts "audit does" by_hand stele audit "$late"
of_ci() { stele verify --json "$W/cache/$(part "$late").tlog-proof" 2>"$W/err" | jq '[.[] | select(.key == "ci.example/builder")] | length'; }
# What stands there stays first, whichever key comes first in the log's answer.
cp "$W/stranger1.tlog-proof" "$W/cache/$(part "$late").tlog-proof"
accepts "a cache that has one stranger's is stapled with what is there" stele staple --all --config "$W/stapler.conf" "$W/cache"
accepts "which strangers fill" [ "$(of_ci)" -lt 17 ]
echo "trust trust" >>"$W/stapler.conf"
accepts "by whom a trust file names" stele staple --all --config "$W/stapler.conf" "$W/cache"
same "theirs is there first, and to the last" 17 "$(of_ci)"
accepts "a second time" stele staple --all --config "$W/stapler.conf" "$W/cache"
says "nothing is written" ": 0 sidecars written" "$W/out"
stop log
new_gate "policy log-policy"
accepts "so that the gate needs no log" gets 10 "$late"

echo "# and often: hundreds of short attestations of a path that nobody else attests"
strange=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-strange
echo strange >"$strange"
printf '%s\n\n0\n' "$strange" | nix-store --register-validity
nix copy --to "file://$W/cache?compression=none" "$strange" >"$W/out" 2>&1
: >"$W/often"
for i in $(seq 60); do
    make_attestation key "often$i.example" "$W/often$i"
    cat "$W/often$i.pub" >>"$W/builders"
    for n in $(seq 16); do
        printf '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"%s","digest":{"sha256":"%064d"}}],"predicateType":"x","predicate":{}}' \
            "$strange" "$n" | make_attestation sign "$W/often$i"
        echo
    done >>"$W/often"
done
serve_network || exit 1
logs_them() { curl -s -o "$W/body" -w '%{http_code}' --data-binary "@$W/often" -H 'Content-Type: application/json' "$(url log)/attestations"; }
same "sixty strangers attest it sixteen times" 200 "$(soon 200 logs_them)"
new_gate "policy log-policy"
same "it is refused" 404 "$(get "/$(part "$strange").narinfo")"
at_most "and what is kept of the refusal is its beginning" 70000 "$(wc -c <"$W/gate-$gates/refusals")"
accepts "which ends in that" grep -Eq '^    and [0-9]+ bytes more$' "$W/gate-$gates/refusals"
done_testing
