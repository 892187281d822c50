#!/bin/sh
# `inputs attested` in the gate: what a path was built from, though it is not part of it, must be attested down to the ground. Real
# Nix. TAP.
. "$(dirname "$0")/lib.sh"
STELE_NIX_CONFIG="experimental-features = nix-command ca-derivations"
. "$here/gate_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
gate_world
cat >"$W/inputs.nix" <<'END'
let build = import ./build.nix; in rec {
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
refuses "so does verify" "does not count: what it was built from .* at .*-unattested" stele verify --config "$W/gate.conf" "$top"
accepts "of a path in the store" stele verify --config "$W/gate.conf" "$app"
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
cp "$W/vouched/$(part "$unattested").narinfo" "$W/cache/"
echo "hold $(part "$unattested")" >"$W/mode"
start slow flaky_cache "$W/cache" "$W/mode" || exit 1
new_gate "policy log-policy" "upstream $(url slow)" "upstream-timeout 100" >"$W/out"
curl -s -o "$W/slow-body" -w '%{http_code}' "$(url gate)/$(part "$top").narinfo" >"$W/slow-status" &
note asking $!
held() { grep -c "$(part "$unattested").narinfo" "$W/run/slow.out"; }
same "the trail of one path waits for a cache" 1 "$(soon 1 held)"
is "meanwhile another's comes out" 200 "/$(part "$app").narinfo" -m 100
same "and the first one still waits" "" "$(cat "$W/slow-status")"
echo ok >"$W/mode"
wait "$(cat "$W/run/asking.pid")"
rm "$W/run/asking.pid"
same "until the cache answers: then its trail comes out as well" 200 "$(cat "$W/slow-status")"
rm "$W/cache/$(part "$unattested").narinfo"
trust_builder "inputs attested"

echo "# what a builder's store hid from it"
cat >"$W/on.nix" <<END
let on = name: derivation { inherit name; inherit (import $here/graph.nix) tool; system = builtins.currentSystem; builder = "/bin/sh";
      args = [ "-c" "echo \$tool >\$out" ]; };
in { good = on "good"; low = on "low"; }
END
tool=$(build "$here/graph.nix" tool) library=$(build "$here/graph.nix" library | head -n 1)
good=$(build "$W/on.nix" good)
tamper "$library" s/hello/hullo/ "$library/greeting"
low=$(build "$W/on.nix" low)
tamper "$library" s/hullo/hello/ "$library/greeting"
echo 'skip floating*' >>"$W/builder.conf"
floating=$(build "$here/builds.nix" on-floating)
accepts "all but a floating output is delivered" stele deliver --once
fill cache none "$good" "$low" "$floating"
new_gate "policy log-policy" >"$W/out"
accepts "control: what was built on honest inputs gets in" gets "$good"
refuses "an indirect input tampered with under honest direct ones is kept out" "$nowhere" gets "$low"
refuses "for that reason" "closure digest does not come out" stele why --config "$W/gate.conf" "$low"
under=$(nix-store -q --references "$floating" | grep 'floating$')
accepts "a floating output has a content address, as ground has" grep -q "^CA: fixed:r:sha256:" "$W/cache/$(part "$under").narinfo"
refuses "what was built on one that nobody attested is kept out" "$nowhere" gets "$floating"
refuses "for that reason" "at .*-floating.*not attested" stele why --config "$W/gate.conf" "$floating"
sed -i '/^skip floating/d' "$W/builder.conf"
# shellcheck disable=SC2046 # a list of words
again $(nix-store -q --references "$(nix-store -q --deriver "$floating")" | grep floating)
same "built anew it is the same" "$floating" "$(build "$here/builds.nix" on-floating)"
accepts "and its floating input is attested" stele deliver --once
fill cache none "$floating"
new_gate "policy log-policy" >"$W/out"
accepts "control: then it gets in" gets "$floating"

echo "# the log is down"
new_gate "policy log-policy" >"$W/out"
stop log
refuses "with the log down nothing is followed, and nothing opens" "$nowhere" gets "$app"
refuses "why says so" "not attested down to the ground" stele why --config "$W/gate.conf" "$app"
trust_builder
new_gate "policy log-policy" >"$W/out"
accepts "the control: where inputs are not asked, both get in" gets "$app"
accepts "the other as well" gets "$top"

echo "# a log that forks below the path that is asked for"
# branch NAME: the log and its witness as they were in $W/NAME, the witness at its address again.
branch() {
    stop log
    stop w1
    rm -rf "$W/log" "$W/w1"
    cp -r "$W/$1/log" "$W/$1/w1" "$W"
    start w1 stele-witness serve "$W/w1" --listen "${witness#http://}" && serve_network
}
# deliver_of ATTRIBUTE STATE: its letter alone, out of $W/letters; its proof is then in $W/STATE.
deliver_of() {
    for letter in "$W"/letters/*.jsonl; do
        tail -n 1 "$letter" | jq -r .payload | base64 -d | jq -r ".subject[].name" | grep -q -- "-$1\$" && cp "$letter" "$W/outbox/"
    done
    sed "s/^state .*/state $2/" "$W/builder.conf" >"$W/$2.conf"
    accepts "$1 is delivered, into $2" stele deliver --once --config "$W/$2.conf"
}
cat >"$W/fork.nix" <<'END'
let build = import ./build.nix; in rec {
  other = build "other" { } "echo other > $out";
  lower = build "lower" { } "echo lower > $out";
  upper = build "upper" { inherit lower; } "cat $lower > $out; echo upper >> $out";
}
END
witness=$(url w1)
upper=$(build "$W/fork.nix" upper) lower=$(build "$W/fork.nix" lower)
build "$W/fork.nix" other >"$W/out"
mkdir "$W/common" "$W/letters"
mv "$W"/outbox/*.jsonl "$W/letters/"
stop log
stop w1
cp -r "$W/log" "$W/w1" "$W/common"
branch common
deliver_of other forked
deliver_of lower forked
branch common
deliver_of upper honest
deliver_of lower honest
fill cache none "$upper"
curl -s "$(url log)/output/$(part "$upper")" >"$W/cache/$(part "$upper").tlog-proof"
size_of() { sed -n '/^log.example\/stele$/{n;p;q}' "$1"; }
same "both histories have a head of the same size" "$(size_of "$W/forked/proofs/$(part "$lower").tlog-proof")" \
    "$(size_of "$W/cache/$(part "$upper").tlog-proof")"
stop log
trust_builder "inputs attested"
# gate_with STATE [LINE]...: a gate that asks no log, and has of the path's input the proof in STATE.
gate_with() {
    gate_state=$1
    shift
    new_gate "$@" >"$W/out"
    mkdir -p "$W/gate-$gates/proofs"
    cp "$W/$gate_state/proofs/$(part "$lower").tlog-proof" "$W/gate-$gates/proofs/"
    evidence=$W/gate-$gates/evidence/$(printf log.example/stele | sha256sum | cut -d' ' -f1)
}
gate_with honest
accepts "the control: both proofs are of one history" gets "$upper"
accepts "and no evidence of anything" test ! -e "$evidence"
gate_with forked
refuses "the input's proof is of another history of that size, under the quorum: it does not" "$nowhere" gets "$upper"
accepts "the evidence convinces others" stele verify-evidence "$evidence"
says "the gate tells" "log-forked" "$W/run/gate.err"
cp "$W/honest/proofs/$(part "$lower").tlog-proof" "$W/gate-$gates/proofs/"
refuses "from then on nothing of that log counts, whichever history it is of" "$nowhere" gets "$upper"
is "and that is the reason" 404 "/$(part "$upper").narinfo"
says "that is given" FORKED "$W/body"
gate_with forked
refuses "why finds it, too" "FORKED" stele why --config "$W/gate.conf" "$upper"
accepts "with the same evidence" stele verify-evidence "$evidence"

echo "# another log that has both"
stele-log init "$W/log2" --origin other.example/stele >"$W/out" 2>&1
introduce w1 log2
without_address log2 "$W/log-policy" >"$W/log2/policy"
cp "$W/builders" "$W/log2/builders"
start log2 stele-log serve "$W/log2" --listen 127.0.0.1:0 || exit 1
sed "s|^log .*|& $(url log2)|" "$W/log2/policy" >"$W/log2-policy"
printf 'policy log2-policy\nkey key\nstate second\noutbox letters\n' >"$W/second.conf"
accepts "it takes what the first one took" stele deliver --once --config "$W/second.conf"
{ head -n 1 "$W/log2/policy" && cat "$W/policy"; } >"$W/both-policy"
cat "$W/second/proofs/$(part "$upper").tlog-proof" >>"$W/cache/$(part "$upper").tlog-proof"
mkdir -p "$W/both/proofs"
cat "$W/forked/proofs/$(part "$lower").tlog-proof" "$W/second/proofs/$(part "$lower").tlog-proof" >"$W/both/proofs/$(part "$lower").tlog-proof"
gate_with both "policy both-policy"
is "the answer that brings the fork to light is no" 404 "/$(part "$upper").narinfo"
accepts "the evidence is kept" stele verify-evidence "$evidence"
accepts "the next one rests on the other log alone" gets "$upper"
says "as the gate says" "passed path=[^ ]*-upper .*by=\"builder ci, index [0-9]+ in other.example/stele, cosigned by w1\"$" "$W/run/gate.err"
cp "$W/second/proofs/$(part "$upper").tlog-proof" "$W/cache/"
cat "$W/forked/proofs/$(part "$lower").tlog-proof" "$W/honest/proofs/$(part "$lower").tlog-proof" >"$W/both/proofs/$(part "$lower").tlog-proof"
gate_with both "policy both-policy"
is "nor does a path that the other log has get in over an input that this one has in two histories" 404 "/$(part "$upper").narinfo"
accepts "of which the evidence is kept" stele verify-evidence "$evidence"
done_testing
