#!/bin/sh
# The gate's upstreams when they fail: cut off, silent, lying, redirecting, asking for a password. Never 429 or 5xx. Real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
gate_world
cat >"$W/sizes.nix" <<'NIX'
let build = name: script: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh";
      args = [ "-c" script ]; PATH = "/usr/bin:/bin"; };
in { small = build "small" "echo small >$out";
     large = build "large" "seq 1 300000 >$out";
     huge = build "huge" "head -c 128M /dev/zero >$out"; }
NIX
small=$(build "$W/sizes.nix" small)
large=$(build "$W/sizes.nix" large)
huge=$(build "$W/sizes.nix" huge)
accepts "the attestations are delivered" stele deliver --once
fill cache none "$small" "$large"
fill other none "$small" "$large"
fill huge zstd "$huge"
# One that no Nix made: what `large` is, with 4,097 MiB of zeros. Its hash is always the same.
vast=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-vast
vast_size=$(((1 << 32) + (1 << 20) + 112))
vast_file=$W/vast/nar/vast.nar
mkdir -p "$W/vast/nar"
nix-store --dump "$large" >"$W/large.nar"
{ head -c 88 "$W/large.nar" && printf '\0\0\020\0\1\0\0\0'; } >"$vast_file"
truncate -s $((vast_size - 16)) "$vast_file"
tail -c 16 "$W/large.nar" >>"$vast_file"
vast_hash=944bd42613df5f128fee78847d64edc5637278f557e6da156ec39bbe6d2fba8b
printf 'StorePath: %s\nURL: nar/vast.nar\nCompression: none\nNarHash: sha256:%s\nNarSize: %s\nReferences: \n' "$vast" "$vast_hash" $vast_size \
    >"$W/vast/$(part "$vast").narinfo"
sed -n 's/^extra //p' "$W/state/proofs/$(part "$large").tlog-proof" | base64 -d | jq -r .payload | base64 -d |
    jq -c ".subject[0] |= (.name = \"$vast\" | .digest.sha256 = \"$vast_hash\" | .annotations.narSize = $vast_size)" |
    make_attestation sign "$W/key" >"$W/vast.json"
stele submit "$W/vast.json" >"$W/vast/$(part "$vast").tlog-proof" 2>"$W/out"
static_server vast "$W/vast" || exit 1
part=$(part "$small") large_part=$(part "$large")
nar=$(sed -n 's/^URL: //p' "$W/cache/$part.narinfo")
keys=$(cat "$W/gate.public")
start flaky flaky_cache "$W/cache" "$W/mode" || exit 1
start second flaky_cache "$W/other" "$W/second-mode" || exit 1
echo ok >"$W/second-mode"

# mode MODE: what the first upstream does from now on.
mode() { echo "$1" >"$W/mode"; }
# asked NAME REGEX: how many requests a cache has seen that match.
asked() { grep -Ec "$2" "$W/run/$1.out"; }
one="upstream $(url flaky)
upstream-timeout 1"
both="upstream $(url flaky)
upstream $(url second)
upstream-timeout 1"
statuses=$W/statuses
# fetch WHAT STATUS PATH [CURL OPTIONS]: as `is`, and the status is remembered.
fetch() { is "$@" && echo "$got" >>"$statuses"; }
# gate_nar PATH: the gate's URL for the NAR of a path.
gate_nar() {
    get "/$(part "$1").narinfo" >"$W/out"
    sed -n 's/^URL: /\//p' "$W/body"
}

# aside NAME MODE PATH: a gate before an upstream of its own that does MODE. It is asked in the background, for its answer takes time:
# `told` has the status.
aside() {
    echo "$2" >"$W/mode-$1"
    start "flaky-$1" flaky_cache "$W/cache-aside" "$W/mode-$1" || exit 1
    gate_at "gate-$1" "upstream $(url "flaky-$1")
upstream-timeout 1" || exit 1
    curl -s -o "$W/body-$1" -w '%{http_code}' "$(url "gate-$1")$3" >"$W/status-$1" &
    echo $! >"$W/asked-$1"
}
# told WHAT STATUS NAME
told() {
    wait "$(cat "$W/asked-$3")"
    cat "$W/status-$3" >>"$statuses"
    echo >>"$statuses"
    same "$1" "$2" "$(cat "$W/status-$3")"
    stop "gate-$3"
    stop "flaky-$3"
}
cp -r "$W/cache" "$W/cache-aside"
mode ok
new_gate "$one"
small_nar=$(gate_nar "$small")
aside twice "fail 503 2" "/$part.narinfo"
aside silent silent "/$part.narinfo"
for bad in longer shorter stall fail; do
    case $bad in fail) how="fail 500 -1" ;; *) how=$bad ;; esac
    aside "$bad" "$how" "$small_nar"
done

# Ranges.
new_gate "$one"
large_nar=$(gate_nar "$large")
fetch "a NAR" 200 "$large_nar"
says "can be asked for in part" "^Accept-Ranges: bytes" "$W/headers"
cp "$W/body" "$W/whole"
size=$(stat -c %s "$W/whole")
fetch "the rest of it" 206 "$large_nar" -H "Range: bytes=1000000-"
says "with where it is" "^Content-Range: bytes 1000000-$((size - 1))/$size" "$W/headers"
accepts "is that" sh -c "tail -c +1000001 $W/whole | cmp - $W/body"
fetch "the rest of a small one" 206 "$(gate_nar "$small")" -H "Range: bytes=100-"
same "is that" "$(($(nix-store --dump "$small" | wc -c) - 100))" "$(stat -c %s "$W/body")"
fetch "nothing is after the end" 416 "$large_nar" -H "Range: bytes=$size-"
fetch "a range that nobody needs to resume is answered with the whole" 200 "$large_nar" -H "Range: bytes=5-10"
before=$(asked flaky 'GET /nar')
fetch "HEAD" 200 "$large_nar" -I
says "knows the size" "^Content-Length: $size" "$W/headers"
fetch "HEAD is of the whole, whatever its Range" 200 "$large_nar" -I -H "Range: bytes=1000000-"
same "without the cache's NAR" "$before" "$(asked flaky 'GET /nar')"

# Nix resumes a download that the upstream cut off.
mode "cut 1000000 1"
new_gate "$one"
accepts "an upstream dies half-way: Nix resumes" substitute resumed "$(url gate)" "$keys" "$large"
accepts "and has the true bytes" sh -c "nix-store --store $W/resumed --dump $large | cmp - $W/whole"
same "from the second try" 2 "$(grep -c '^GET /nar' "$W/run/flaky.out" | awk -v b="$before" '{ print $1 - b }')"
mode "cut 100 1"
new_gate "$both"
fetch "a small NAR that is cut comes whole from the next upstream, at once" 200 "$(gate_nar "$small")"
accepts "byte by byte" sh -c "nix-store --dump $small | cmp - $W/body"

# What is wrong with an upstream is not Nix's trouble where another one is well.
for bad in longer shorter stall silent "fail 429 -1"; do
    mode "$bad"
    new_gate "$both"
    accepts "the first upstream does \"$bad\": Nix substitutes" substitute "user-${bad%% *}" "$(url gate)" "$keys" "$small"
    mode ok
    [ "${bad%% *}" = fail ] && rm -rf "$W/user-fail"
done
cp "$W/cache/$part.narinfo" "$W/good"
cp "$W/cache/$nar" "$W/good.nar"
sed -i 's/small/smell/' "$W/cache/$nar"
new_gate "$both"
fetch "other bytes at the first upstream" 200 "$(gate_nar "$small")"
accepts "are not what comes" cmp "$W/body" "$W/good.nar"
sed -i "s/^NarHash: .*/NarHash: sha256:$(printf %052d 0)/" "$W/cache/$part.narinfo"
new_gate "$both"
fetch "another hash at the first upstream" 200 "/$part.narinfo"
says "the attested one is chosen" "$(sed -n 's/^NarHash: //p' "$W/good")" "$W/body"
accepts "why says so, too" stele why --config "$W/gate.conf" "$small"
# shellcheck disable=SC2046 # two words
set -- $(sed -n 's/^upstream //p' "$W/gate.conf")
same "it names both, in their order, and what came of each" "$1 refused $2 passed" \
    "$(sed -nE 's/^(http[^ ]*|refused|passed).*/\1/p' "$W/out" | paste -sd' ' -)"
says "of the first one, that it serves other bytes" "does not count: it attests other bytes" "$W/out"
cp "$W/good" "$W/cache/$part.narinfo"
cp "$W/good.nar" "$W/cache/$nar"

# A moment's trouble of the only upstream is not a refusal; lasting trouble is, soon, and no other status than 404.
told "two failures in a row, and then an answer" 200 twice
mode "fail 500 -1"
new_gate "$one"
fetch "an upstream that fails for ever" 404 "/$part.narinfo"
before=$(asked flaky "narinfo")
fetch "is left alone for a while" 404 "/$part.narinfo"
same "without a request" "$before" "$(asked flaky "narinfo")"
says "which is told" "upstream-down" "$W/run/gate.err"
told "an upstream that never answers" 404 silent
for bad in longer shorter stall fail; do
    told "a NAR from an upstream that does \"$bad\"" 404 "$bad"
done

# Redirects of NAR requests.
mode "redirect $(url second)"
new_gate "$one"
fetch "a redirect to a local address" 404 "$small_nar"
before=$(asked second '/nar/')
same "is not followed" "$before" "$(asked second '/nar/')"
new_gate "$one
redirect-to $(url second)"
fetch "but where it is configured" 200 "$small_nar"
accepts "byte by byte" cmp "$W/body" "$W/good.nar"
mode "redirect https://localhost:$(url second | sed 's/.*://')"
new_gate "$one"
fetch "nor with https, by whatever name" 404 "$small_nar"
mode "redirect file://$W/other"
new_gate "$one"
fetch "nor to a file" 404 "$small_nar"
mode "redirect $(url flaky)"
new_gate "$one"
fetch "nor for ever" 404 "$small_nar"

# A private upstream.
mode "auth $(printf 'user:secret' | base64)"
new_gate "$one"
fetch "a cache that wants a password" 404 "/$part.narinfo"
printf 'machine 127.0.0.1 login user password secret\n' >"$W/netrc"
new_gate "$one
netrc-file netrc"
accepts "with it, Nix substitutes" substitute private "$(url gate)" "$keys" "$small"
accepts "and it is in no message" sh -c "! grep -q secret $W/run/gate.err"
mode ok

# What is larger than memory; and than 2^32 bytes: a NAR of zeros, that take no room on the disk.
# small_gate WHAT: it has not used much memory.
small_gate() {
    case $STELE_BUILD in
    *plain)
        peak_kb=$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$W/run/gate.pid")/status")
        accepts "$1 in less than 32 MiB of memory: $peak_kb KiB" test "$peak_kb" -lt 32768
        ;;
    *) skipped "$1 in less than 32 MiB of memory" "the sanitizers hold more" ;;
    esac
}
new_gate "upstream file://$W/huge
upstream file://$W/vast"
huge_nar=$(gate_nar "$huge")
same "128 MiB come" "$(($(stat -c %s "$huge") + 112))" "$(curl -s "$(url gate)$huge_nar" | wc -c)"
vast_nar=$(gate_nar "$vast")
same "more than 4 GiB come" "$vast_size" "$(curl -s -o /dev/null -w "%{size_download}" "$(url gate)$vast_nar")"
small_gate "both, from a folder,"
new_gate "upstream $(url vast)"
fetch "the rest of them, from a server" 206 "$vast_nar" -H "Range: bytes=$((vast_size - 1000))-"
says "with where it is" "^Content-Range: bytes $((vast_size - 1000))-$((vast_size - 1))/$vast_size" "$W/headers"
accepts "is that" sh -c "tail -c 1000 $vast_file | cmp - $W/body"
small_gate "that"
accepts "never 429 or 5xx" sh -c "! grep -Eq '429|^5' $statuses"
done_testing
