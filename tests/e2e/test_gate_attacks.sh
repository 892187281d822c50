#!/bin/sh
# What a hostile cache, a web page or a neighbour may try at the gate, on real Nix, each with a control that is accepted; and who
# learns what is installed. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
gate_world
# Two hundred paths that refer to each other, from eight builds, and one that refers to them all: what a closure is.
cat >"$W/closure.nix" <<'NIX'
let names = builtins.genList (i: "out${toString i}") 24;
    build = n: outputs: below: derivation { name = "part${toString n}"; system = builtins.currentSystem; builder = "/bin/sh"; inherit below outputs;
      PATH = "/usr/bin:/bin";
      args = [ "-c" "echo $below >$out; for o in ${builtins.concatStringsSep " " (builtins.tail outputs)}; do eval p=\\$$o; echo $n $o $below >$p; echo $p >>$out; done" ]; };
    all = p: [ p.out ] ++ map (n: p.${n}) names;
    parts = builtins.foldl' (done: n: done ++ [ (all (build n ([ "out" ] ++ names) (if n == 0 then [] else builtins.elemAt done (n - 1)))) ]) [] (builtins.genList (n: n) 8);
in { top = build 8 [ "out" ] (builtins.concatLists parts); }
NIX
app=$(build "$here/graph.nix" app)
library=$(build "$here/graph.nix" library)
top=$(build "$W/closure.nix" top | head -n 1)
accepts "the attestations are delivered" stele deliver --once
fill cache none "$app"
fill closure none "$top"
static_server cache "$W/cache" || exit 1
start flaky flaky_cache "$W/cache" "$W/mode" || exit 1
echo ok >"$W/mode"
keys=$(cat "$W/gate.public")
part=$(part "$library")
narinfo=$W/cache/$part.narinfo
cp "$narinfo" "$W/good.narinfo"
nar=$W/cache/$(sed -n 's/^URL: //p' "$narinfo")
cp "$nar" "$W/good.nar"

# nix_takes WHAT / nix_leaves WHAT REASON: what real Nix makes of the library through a gate; of what it leaves, the gate says why. Then
# the control.
nix_takes() {
    rm -rf "$W/user"
    accepts "$1" substitute user "$(url gate)" "$keys" "$library"
}
nix_leaves() {
    rm -rf "$W/user"
    told=$(wc -l <"$W/run/gate.err")
    refuses "$1: Nix does not get it" "don't know how to build" substitute user "$(url gate)" "$keys" "$library"
    tail -n "+$((told + 1))" "$W/run/gate.err" >"$W/told"
    says "for that reason" "refused hash-part=$part .*$2" "$W/told"
    cp "$W/good.narinfo" "$narinfo"
    cp "$W/good.nar" "$nar"
    nix_takes "$1: control"
}
resign() {
    sed -i '/^Sig: /d' "$narinfo"
    rm -rf "$W/home/cache" # Nix remembers what it read there
    nix store sign --store "file://$W/cache" -k "$W/cache.secret" "$library" >"$W/out" 2>&1
}

# Narinfo files, signed anew by the cache.
new_gate
sed -i 's/hello/hullo/' "$nar"
sed -i "s|^NarHash: .*|NarHash: sha256:$(nix hash file --type sha256 --base32 "$nar" | sed 's/.*://')|; /^File/d" "$narinfo"
resign
nix_leaves "swapped bytes" "it attests other bytes"
sed -i "s|^References: .*|References: $(basename "$app")|" "$narinfo" && resign
nix_leaves "swapped references" "it attests other references"
deriver=$(nix-store -q --deriver "$library")
sed -i "s|^Deriver: .*|Deriver: 00000000000000000000000000000000-evil.drv|" "$narinfo" && resign
nix_takes "a Deriver that is false: no signature covers it, and Nix gets the path"
same "with the attested one" "$deriver" "$(nix-store --store "$W/user" -q --deriver "$library")"
cp "$W/good.narinfo" "$narinfo"
echo "CA: fixed:r:sha256:$(printf %052d 0)" >>"$narinfo" && resign
nix_leaves "a false CA" "CA gives the path"
# Each of these leads to the very bytes that were attested.
mkdir "$W/elsewhere"
cp "$W/good.nar" "$W/elsewhere/good.nar"
cp "$W/good.nar" "$W/cache/good.nar"
static_server elsewhere "$W/elsewhere" || exit 1
host=$(url elsewhere | sed 's|http://||')
for to in ../elsewhere/good.nar %2e%2e/elsewhere/good.nar nar/../../elsewhere/good.nar /good.nar "http://$host/good.nar" \
    "//$host/good.nar" "file://$W/good.nar" "FILE://$W/good.nar"; do
    sed -i "s|^URL: .*|URL: $to|" "$narinfo"
    nix_leaves "a URL that leads elsewhere: $to" "leads away from the cache"
done
same "where it led nobody asked" 0 "$(accesses elsewhere good.nar)"
sed -i "s|^URL: .*|URL: good.nar|" "$narinfo"
rm -rf "$W/user"
accepts "one that leads anywhere in the cache: Nix gets it" substitute user "$(url gate)" "$keys" "$library"
cp "$W/good.narinfo" "$narinfo"
{
    cat "$W/good.narinfo"
    printf 'Deriver: x\000y\n'
} >"$narinfo"
nix_leaves "a NUL" "has the control character 0x00"
sed 's/$/\r/' "$W/good.narinfo" >"$narinfo"
nix_leaves "CRs" "has the control character 0x0d"
{
    cat "$W/good.narinfo"
    printf 'X: '
    head -c 2000000 /dev/zero | tr '\0' x
    echo
} >"$narinfo"
nix_leaves "a line that is too long" "more than 1048576 bytes"
# references N: the narinfo has so many.
references() {
    sed -i "/^References/d" "$narinfo"
    awk -v n="$1" 'BEGIN { printf "References:"; for (i = 0; i < n; i++) printf " %032d-x", i; print "" }' >>"$narinfo"
}
references 10001
nix_leaves "ten thousand references and one" "more than 10000 references"
references 10000 && resign
trust_builder "cache c $(cat "$W/cache.public")" "quorum c library"
new_gate
is "as many as a path may have, where a cache may vouch for it" 200 "/$part.narinfo"
same "are handed out" 10000 "$(sed -n 's/^References: //p' "$W/body" | wc -w)"
cp "$W/good.narinfo" "$narinfo"
trust_builder
rm "$W/cache/$part.tlog-proof"
new_gate
rm -rf "$W/user"
refuses "a stripped proof: Nix does not get it" "don't know how to build" substitute user "$(url gate)" "$keys" "$library"
# made_here WHAT WANTED [REASON]: Nix, to which the library is new, may build it: did it ("1"), or not ("", or "refused" for REASON)?
made_here() {
    again "$library"
    if nix-build --no-out-link "$here/graph.nix" -A library --option substituters "$(url gate)" --option trusted-public-keys "$keys" \
        >"$W/out" 2>&1; then
        made=$(sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "select ultimate from ValidPaths where path = '$library'")
    else
        made=refused
    fi
    same "$1" "$2" "$made"
    [ $# = 2 ] || says "and shows the reason" "$3" "$W/out"
}
made_here "by 404 Nix goes on to build it" 1
new_gate "refuse-with 451"
made_here "by 451 it stops" refused "refused by stele gate: not attested: .*no attestation of this path was found"
cp "$W/state/proofs/$part.tlog-proof" "$W/cache/"
new_gate
nix_takes "a stripped proof: control"
made_here "for which nothing is built" ""
sed -i 's/hello/hullo/' "$nar"
new_gate
rm -rf "$W/user"
refuses "bytes swapped between narinfo and NAR: Nix does not get it" "." substitute user "$(url gate)" "$keys" "$library"
says "for that reason" "nar-broken .*other bytes than what was attested" "$W/run/gate.err"
accepts "and nothing of it" test ! -e "$W/user$library"
cp "$W/good.nar" "$nar"
new_gate
nix_takes "bytes swapped between narinfo and NAR: control"
head -c 64M /dev/zero | xz -0 >"$W/cache/nar/bomb.nar.xz"
sed -i 's|^URL: .*|URL: nar/bomb.nar.xz|; s|^Compression: .*|Compression: xz|; /^File/d' "$narinfo"
rm -rf "$W/user"
refuses "a compression bomb: Nix does not get it" "." substitute user "$(url gate)" "$keys" "$library"
says "for that reason" "nar-broken .*longer than what was attested|nar-broken .*other bytes" "$W/run/gate.err"
cp "$W/good.narinfo" "$narinfo"
new_gate
nix_takes "a compression bomb: control"
echo endless >"$W/mode"
new_gate "upstream $(url flaky)"
is "a narinfo of a gigabyte" 404 "/$part.narinfo"
rm -rf "$W/user"
says "for that reason" "refused hash-part=$part .*more than 1048576 bytes" "$W/run/gate.err"
refuses "as why says: a cache has it" "the gate refuses this path" stele why --config "$W/gate.conf" "$library"
refuses "a narinfo of a gigabyte: Nix does not get it" "don't know how to build" substitute user "$(url gate)" "$keys" "$library"
case $STELE_BUILD in
*plain)
    peak_kb=$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$W/run/gate.pid")/status")
    accepts "is not read: $peak_kb KiB" test "$peak_kb" -lt 32768
    ;;
*) skipped "is not read" "the sanitizers hold more" ;;
esac
echo ok >"$W/mode"
new_gate "upstream $(url flaky)"
nix_takes "a narinfo of a gigabyte: control"

# Nix believes a narinfo for thirty days, and then asks for the NAR alone.
new_gate
rm -rf "$W/user" "$W/home/cache"
accepts "Nix remembers a narinfo" nix path-info --store "$(url gate)" "$library"
remembered() {
    nix-store --store "$W/user" --realise "$library" --option substituters "$(url gate)" --option trusted-public-keys "$keys" --option max-jobs 0
}
cp -r "$W/home/cache" "$W/home/remembered"
gate_port=$(url gate | sed 's/.*://')
stop gate
trust_builder "revoke ci"
start gate stele gate --config "$W/gate.conf" --listen "127.0.0.1:$gate_port" || exit 1
refuses "a narinfo that was good, and whose builder was revoked since: Nix does not get it" "." remembered
same "it had not asked for the narinfo again" 0 "$(grep -c refused "$W/run/gate.out")"
stop gate
trust_builder
start gate stele gate --config "$W/gate.conf" --listen "127.0.0.1:$gate_port" || exit 1
rm -rf "$W/home/cache" && mv "$W/home/remembered" "$W/home/cache"
accepts "a narinfo that was good: control" remembered

# Web pages, and requests that two parties may read differently.
for header in "Origin: null" "Referer: http://a" "Cookie: a" "Sec-Fetch-Site: none" "sec-fetch-anything: 1" "Sec-Fetch-Mode: cors" "Sec-Fetch-Dest: empty" \
    "Sec-Fetch-User: ?1" "Sec-Fetch-Storage-Access: none" "Host: evil.example" "Host: 127.0.0.1" "Host: localhost:1" "Host: [::1]:$gate_port"; do
    is "a page that talks to the gate: $header" 403 "/$part.narinfo" -H "$header"
done
is "a page: control" 200 "/$part.narinfo" -H "Host: localhost:$gate_port"
is "two lengths" 400 "/$part.narinfo" -H "Content-Length: 1" -H "Content-Length: 2"
is "a length and chunks" 400 "/$part.narinfo" -H "Content-Length: 4" -H "Transfer-Encoding: chunked"
for path in "/$part" "/$part.narinfo/" "//$part.narinfo" "/./$part.narinfo" "/x/../$part.narinfo" "/$part%2enarinfo" "/$part.narinfo%00" \
    "/$(echo "$part" | cut -c1-16).narinfo" "/$part.ls" "/log/$(basename "$library").drv" "/debuginfo/0000" "/$part.tlog-proof" \
    "/build-trace-v2/x.drv/out.doi" "/realisations/sha256:00!out.doi" "/nar/" "/nar/../nix-cache-info"; do
    is "$path" 404 "$path"
done
for method in PUT POST DELETE OPTIONS; do is "$method" 405 "/$part.narinfo" -X $method; done

# The signer has no door but the one to its front.
gate_pid=$(cat "$W/run/gate.pid")
signer_pid=$(cat "/proc/$gate_pid/task/$gate_pid/children" | tr -d ' ')
listening_inodes=$(awk '$6 == "01" { print $7 }' /proc/net/unix | sort)
accepts "the signer listens nowhere" sh -c "for fd in /proc/$signer_pid/fd/*; do readlink \$fd; done | sed -n 's/socket:.\([0-9]*\).*/\1/p' | while read -r inode; do
    ! echo '$listening_inodes' | grep -qx \$inode && ! grep -q \" \$inode \" /proc/net/tcp || exit 1; done"
if [ "$(id -u)" = 0 ]; then
    refuses "another user cannot reach its socket" "denied|not permitted|cannot open" setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "exec 3<>/proc/$signer_pid/fd/3"
    same "it has nothing open but the socket to its front" "socket " \
        "$(for fd in /proc/"$signer_pid"/fd/*; do [ "${fd##*/}" -le 2 ] || readlink "$fd"; done | sed 's/:\[.*//; s|.*/||' | sort | tr '\n' ' ')"
else
    skipped "another user cannot reach its socket" "not root"
    skipped "it has nothing open but the socket to its front" "root alone is told the files of a process that is not dumpable"
fi
# Nor can it open one. The key is in its guarded memory, and nowhere in the front's.
same "it can gain no privileges, and dumps no core" "1 0" \
    "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' "/proc/$signer_pid/status") $(awk '/^Max core file size/ { print $5 }' "/proc/$signer_pid/limits")"
case $STELE_BUILD in
*asan)
    skipped "it is behind a seccomp filter" "left out under the sanitizers"
    skipped "the key lies in the signer's guarded memory alone" "the sanitizers' shadow is too large to look through"
    ;;
*)
    same "it is behind a seccomp filter" 2 "$(cat /proc/"$signer_pid"/task/*/status | sed -n 's/^Seccomp:[[:space:]]*//p' | sort -u)"
    "$STELE_BUILD/tests/e2e/memory_probe" process "$W/gate.secret" "$signer_pid" >"$W/out" 2>&1
    says "the key lies in the signer's guarded memory alone" '^guarded [1-9][0-9]* open 0$|^unreadable$' "$W/out"
    "$STELE_BUILD/tests/e2e/memory_probe" process "$W/gate.secret" "$gate_pid" >"$W/out" 2>&1
    says "the gate's front never had it" '^guarded 0 open 0$|^unreadable$' "$W/out"
    ;;
esac
# Nor is there a gate without it: the service manager starts both, while Nix's connections wait at the socket.
kill -KILL "$signer_pid"
wait "$gate_pid"
same "a gate whose signer was killed ends, with the status of what a start may mend" 4 $?
rm "$W/run/gate.pid"
says "and says why" 'stopping why=.*signer ended unexpectedly, by signal 9' "$W/run/gate.err"

# Who learns what is installed. The policy names the log's address.
# connections [CONFIGURATION]: substitutes through a gate that is watched; prints the ports that it connected to.
connections() {
    rm -rf "$W/strace"* "$W/user" "$W"/gate-*
    new_gate "policy log-policy" "$@" >"$W/out" || return 1
    strace -f -e trace=connect -o "$W/strace" -p "$(cat "$W/run/gate.pid")" 2>"$W/strace.err" &
    strace_pid=$!
    until grep -qs attached "$W/strace.err"; do kill -0 $strace_pid && sleep 0.02; done
    substitute user "$(url gate)" "$keys" "$app" >"$W/substituted" 2>&1
    stop gate
    wait $strace_pid
    sed -n 's/.*sin_port=htons(\([0-9]*\)).*/\1/p; s/.*sin6_port=htons(\([0-9]*\)).*/\1/p' "$W/strace" | sort -u | tr '\n' ' '
}
case $STELE_BUILD in
*plain)
    same "with proofs beside the narinfo files nobody but the cache learns what is installed" "$(url cache | sed 's/.*://') " "$(connections)"
    cp -r "$W/cache" "$W/bare" && rm "$W/bare"/*.tlog-proof
    same "without them, the log does as well" "$log_port " "$(connections "upstream file://$W/bare")"
    ;;
*)
    skipped "with proofs beside the narinfo files nobody but the cache learns what is installed" "strace and the sanitizers"
    skipped "without them, the log does as well" "strace and the sanitizers"
    ;;
esac

# requests: how many the log has answered so far; each time it is asked, that is one more.
requests() { curl -s "$(url log)/metrics" | sed -n 's/^stele_log_http_requests_total //p'; }
rm "$W/closure"/*.tlog-proof
before=$(requests)
new_gate "policy log-policy" "upstream file://$W/closure"
at_least "one path refers to many" 200 "$(nix-store -q --references "$top" | wc -l)"
accepts "a closure without proofs beside it: Nix substitutes" substitute user "$(url gate)" "$keys" "$top"
paths=$(nix-store -qR "$top" | wc -l)
requests=$(($(requests) - before - 1))
accepts "$paths paths" test "$paths" -ge 200
accepts "cost the log few requests: $requests" test "$requests" -le 50 -a "$requests" -ge 1
stop log
stop w1
fill closure none "$top"
new_gate "policy log-policy" "upstream file://$W/closure"
rm -rf "$W/user"
accepts "with the log and the witness gone, proofs beside it suffice" substitute user "$(url gate)" "$keys" "$top"
done_testing
