#!/bin/sh
# Small NARs read ahead: Nix asks for one after the other, the gate for those that come next meanwhile. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
gate_world
cat >"$W/large.nix" <<'NIX'
{ large = derivation { name = "large"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
    args = [ "-c" "head -c 300000 /dev/zero >$out" ]; }; }
NIX
app=$(build "$here/graph.nix" app)
large=$(build "$W/large.nix" large)
accepts "the attestations are delivered" stele deliver --once
fill cache xz "$app" "$large"
static_server cache "$W/cache" || exit 1
small=$(for p in $(nix-store -qR "$app"); do [ ! -f "$W/cache/$(part "$p").tlog-proof" ] || echo "$p"; done)
small_n=$(echo "$small" | wc -l)

# narinfos: asks for all of them, as Nix does first; prints nothing but what did not pass.
narinfos() {
    for p in $small $large; do
        [ "$(get "/$(part "$p").narinfo")" = 200 ] || echo "$p"
        cp "$W/body" "$W/$(part "$p").narinfo"
    done
}
# nar PATH: where the gate has its NAR.
nar() { sed -n 's|^URL: |/|p' "$W/$(part "$1").narinfo"; }
# asked: how many NARs the upstream was asked for; asked_for PATH: how often for this one's.
asked() { accesses cache 'GET /nar/'; }
asked_for() { accesses cache "GET /$(sed -n 's/^URL: //p' "$W/cache/$(part "$1").narinfo")"; }
# whole PATH: its NAR comes, with its bytes.
whole() { [ "$(get "$(nar "$1")")" = 200 ] && nix-store --dump "$1" | cmp - "$W/body"; }

accepts "the gate starts" new_gate "upstream-timeout 600"
same "narinfo files alone: all pass," "" "$(narinfos)"
accepts "HEAD of a NAR," get "$(nar "$app")" -I
same "and no NAR is fetched" 0 "$(asked)"
accepts "once one is asked for," whole "$app"
same "the upstream is asked for all the small ones" "$small_n" "$(soon "$small_n" asked)"
same "once each" "" "$(for p in $small; do [ "$(asked_for "$p")" = 1 ] || echo "$p"; done)"
same "and for no large one" 0 "$(asked_for "$large")"
stop cache
for p in $small; do [ "$p" = "$app" ] || whole "$p" || echo "$p"; done >"$W/out" 2>&1
same "with the upstream gone, each comes whole" "" "$(cat "$W/out")"
is "a second time it is the upstream's again" 404 "$(nar "$(echo "$small" | head -n 1)")"

# What the upstream has that nobody attested is found ahead, too.
swapped=$(echo "$small" | grep -v -e "$app" | head -n 1)
file=$W/cache/$(sed -n 's/^URL: //p' "$W/cache/$(part "$swapped").narinfo")
cp "$file" "$W/good.nar"
nix-store --dump "$large" | xz >"$file"
static_server cache "$W/cache" || exit 1
accepts "another gate" new_gate "upstream-timeout 600"
same "the narinfo files pass" "" "$(narinfos)"
accepts "the first NAR comes" whole "$app"
broken() { grep -c "nar-broken hash-part=$(part "$swapped") .*longer than what was attested" "$W/run/gate.err"; }
same "swapped bytes are noticed before they are asked for" 1 "$(soon 1 broken)"
is "and do not come out" 404 "$(nar "$swapped")"
for p in $small; do [ "$p" = "$app" ] || [ "$p" = "$swapped" ] || whole "$p" || echo "$p"; done >"$W/out" 2>&1
same "control: the others do" "" "$(cat "$W/out")"
cp "$W/good.nar" "$file"

# A gate that ends does not wait for what comes too slowly.
stop cache
quick=$(sed -n 's|^URL: |/|p' "$W/cache/$(part "$app").narinfo")
nginx_server slow "root $W/cache; location /nar/ { limit_rate 1; } location $quick { } location /status { stub_status; }" || exit 1
accepts "a gate before a slow upstream" new_gate "upstream-timeout 600" "upstream $(url slow)"
same "which has the narinfo files" "" "$(narinfos)"
# writing: how many answers it is writing, the one to this question among them.
writing() { curl -s "$(url slow)/status" | sed -n 's/.*Writing: \([0-9]*\).*/\1/p'; }
same "and writes no NAR yet" 1 "$(soon 1 writing)"
accepts "the first NAR comes" whole "$app"
same "the next ones come slowly" "$small_n" "$(soon "$small_n" writing)"
accepts "it ends all the same" stop gate
done_testing
