#!/bin/sh
# Part of `make bench`: what the gate costs. Real Nix substitutes a closure of small paths, and one large NAR: from a static
# nginx, through a bare nginx proxy, and through the gate with proofs beside the narinfo files and with look-ups in the log; turn
# by turn, each into an empty store, the gate knowing nothing. Medians.
# gate.sh BUILD [PATHS [ROUNDS [MEBIBYTES]]]: by default 200 paths, 7 rounds, 1024 MiB. 0 MiB: without the large one.
here=$(dirname "$0")
STELE_BUILD=$(cd "$1" && pwd)
export STELE_BUILD
. "$here/../e2e/lib.sh"
here=$(cd "$here/../e2e" && pwd)
. "$here/gate_lib.sh"
. "$here/../bench/lib.sh"
paths=${2:-200} rounds=${3:-7} mebibytes=${4:-1024}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# cpu_ms: what the gate's front and its signer have used.
cpu_ms() {
    gate_pid=$(cat "$W/run/gate.pid")
    for p in $gate_pid $(cat "/proc/$gate_pid/task/$gate_pid/children"); do cat "/proc/$p/stat"; done |
        awk -v hz="$(getconf CLK_TCK)" '{ n += $14 + $15 } END { print n * 1000 / hz }'
}
# turn NAME URL KEY PATH: substitutes into a store of its own, and notes the time. What one wrote stays until all had their turn: on
# an ext4 without a journal files are slow to make for minutes after others were removed, so each would pay for the one before.
turns=0
turn() {
    turns=$((turns + 1)) before_ms=$(now_ms)
    substitute user-$turns "$2" "$3" "$4" >"$W/out" 2>&1 || {
        cat "$W/out" "$W/run/gate.err" >&2
        exit 1
    }
    echo $(($(now_ms) - before_ms)) >>"$W/times-$1"
}
# gate_turn NAME PATH CONFIGURATION...: the same by a fresh gate, with its CPU time.
gate_turn() {
    turn_name=$1 turn_path=$2
    shift 2
    new_gate "$@" || exit 1
    cpu_before_ms=$(cpu_ms)
    turn "$turn_name" "$(url gate)" "$(cat "$W/gate.public")" "$turn_path"
    calc %.3f "$(cpu_ms) - $cpu_before_ms" >>"$W/cpu-$turn_name"
    echo >>"$W/cpu-$turn_name"
    stop gate
}
# closure: a tree of small paths, four references each, and what ties it together.
closure() {
    cat <<NIX
let build = n: derivation {
      name = "path-\${toString n}"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
      below = map build (builtins.filter (m: m < $paths) [ (4 * n + 1) (4 * n + 2) (4 * n + 3) (4 * n + 4) ]);
      args = [ "-c" "mkdir \$out; echo \$below >\$out/below; seq \${toString n} \${toString (n + 800)} >\$out/numbers" ]; };
in { top = build 0;
     large = derivation { name = "large"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
       args = [ "-c" "head -c ${mebibytes}M /dev/urandom >\$out" ]; }; }
NIX
}

gate_world
closure >"$W/closure.nix"
top=$(build "$W/closure.nix" top)
[ "$mebibytes" = 0 ] || large=$(build "$W/closure.nix" large)
stele deliver --once >"$W/out" 2>&1 || exit 1
for compression in none xz zstd; do
    fill "cache/$compression" $compression "$top"
    cp -r "$W/cache/$compression" "$W/cache/bare-$compression"
    rm "$W/cache/bare-$compression"/*.tlog-proof
done
[ "$mebibytes" = 0 ] || fill cache/large none "$large"
static_server cache "$W/cache" || exit 1
nginx_server proxy "location / { proxy_pass $(url cache); }" || exit 1 # in front of the static one, with its defaults
cache_key=$(cat "$W/cache.public")

part "Substituting a closure of $(nix-store -qR "$top" | wc -l) paths, $rounds rounds"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    for compression in none xz zstd; do
        turn direct-$compression "$(url cache)/$compression" "$cache_key" "$top"
        turn proxy-$compression "$(url proxy)/$compression" "$cache_key" "$top"
        gate_turn gate-$compression "$top" "upstream $(url cache)/$compression"
        gate_turn lookups-$compression "$top" "policy log-policy" "upstream $(url cache)/bare-$compression"
    done
done
# figures COMPRESSION
figures() {
    direct=$(median "$W/times-direct-$1") proxied=$(median "$W/times-proxy-$1")
    gated=$(median "$W/times-gate-$1") looked=$(median "$W/times-lookups-$1")
    row "$1, direct" "$direct ms" ""
    row "$1, nginx proxy" "$proxied ms" "$(calc %.2f "$proxied / $direct") times direct"
    row "$1, gate, proofs beside" "$gated ms" "$(calc %.2f "$gated / $proxied") times the proxy (wanted: at most 1), $(calc %.2f "$gated / $direct") direct"
    row "$1, gate, look-ups" "$looked ms" "$(calc %.2f "$looked / $direct") times direct (wanted: at most 1.25)"
    row "  CPU of the gate a path" "$(calc %.2f "$(median "$W/cpu-gate-$1") / $paths") ms" "$(calc %.2f "$(median "$W/cpu-lookups-$1") / $paths") ms with look-ups"
}
for compression in none xz zstd; do figures $compression; done
[ "$mebibytes" = 0 ] && exit 0

part "One NAR of $mebibytes MiB"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    turn direct-large "$(url cache)/large" "$cache_key" "$large"
    turn proxy-large "$(url proxy)/large" "$cache_key" "$large"
    gate_turn gate-large "$large" "upstream $(url cache)/large"
done
direct=$(median "$W/times-direct-large") proxied=$(median "$W/times-proxy-large") gated=$(median "$W/times-gate-large")
row "direct" "$direct ms" ""
row "nginx proxy" "$proxied ms" "$(calc %.2f "$proxied / $direct") times direct"
row "gate" "$gated ms" "$(calc %.2f "$gated / $proxied") times the proxy (wanted: at most 1.05)"
