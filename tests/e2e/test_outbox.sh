#!/bin/sh
# The outbox: what the hook leaves is whole or not there, whatever happens to the hook; it uses no network, keeps no secret, and
# what it could not do `stele status` shows. On real Nix. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
mkdir -p "$W/bin"
stele keygen ci.example/builder --out "$W/key" >"$W/out" 2>&1
printf 'key key\nstate state\noutbox outbox\n' >"$W/builder.conf"
export STELE_CONFIG="$W/builder.conf"
hook=$STELE_BUILD/bin/stele-hook
tool=$(nix-build --no-out-link "$here/graph.nix" -A tool 2>/dev/null)
DRV_PATH=$(nix-store -q --deriver "$tool")
OUT_PATHS=$tool
export DRV_PATH OUT_PATHS
letters() { find "$W/outbox" -maxdepth 1 -name '*.jsonl' 2>/dev/null | wc -l; }
# whole: every letter is an attestation, and nothing else is shown.
whole() {
    for file in "$W"/outbox/*.jsonl; do
        [ -e "$file" ] || continue
        tail -n 1 "$file" | jq -e '.payload | @base64d | fromjson | .subject' >/dev/null || return 1
    done
}

accepts "the hook leaves a letter" "$hook"
same "it is there" 1 "$(letters)"
accepts "whole" whole
accepts "and nobody else may read it" test "$(stat -c %a "$W"/outbox/*.jsonl)" = 600

echo "# at once"
rm -rf "$W/outbox"
for path in $(nix-store -q --outputs "$(nix-instantiate "$here/graph.nix" -A library 2>/dev/null)") "$tool"; do
    drv=$(nix-store -q --deriver "$path")
    for _ in 1 2 3 4 5 6 7 8; do DRV_PATH=$drv OUT_PATHS=$path "$hook" & done
done >"$W/got" 2>&1
wait
accepts "sixteen hooks at once leave whole letters" whole
at_most() { if [ "$3" -le "$2" ]; then ok "$1"; else not_ok "$1: $3"; fi; }
at_most "one for each build" 3 "$(letters)"
same "and no rest" "" "$(find "$W/outbox" -name '.*' -type f)"

echo "# what is kept out"
for globs in 'skip tool' 'skip t?ol' 'attest lib*'; do
    rm -rf "$W/outbox"
    { cat "$W/builder.conf" && echo "$globs"; } >"$W/globs.conf"
    STELE_CONFIG=$W/globs.conf "$hook"
    same "with \`$globs\` it is not attested" 0 "$(letters)"
done
for globs in 'skip toolbox' 'skip too' 'attest tool' 'attest lib*
attest to*'; do
    rm -rf "$W/outbox"
    { cat "$W/builder.conf" && echo "$globs"; } >"$W/globs.conf"
    STELE_CONFIG=$W/globs.conf "$hook"
    same "with \`$(echo "$globs" | tr '\n' ' ')\` it is" 1 "$(letters)"
done

echo "# secrets"
rm -rf "$W/outbox" "$W/state"
secret=ghp_0123456789plantedtoken
NIX_CONFIG="$NIX_CONFIG
access-tokens = github.com=$secret
" "$hook" >"$W/hook.out" 2>&1
NIX_CONFIG="access-tokens = github.com=$secret
sandbox = $secret" "$hook" >>"$W/hook.out" 2>&1
DRV_PATH=$DRV_PATH.none NIX_CONFIG="access-tokens = github.com=$secret" "$hook" >>"$W/hook.out" 2>&1
same "the letters are there" 2 "$(letters)"
grep -h -o '"payload":"[^"]*' "$W"/outbox/*.jsonl | sed 's/.*"//' | base64 -d >"$W/payloads"
accepts "an access token in NIX_CONFIG stands in nothing that was written" \
    sh -c "! grep -r -l $secret $W/outbox $W/state $W/payloads $W/hook.out"

echo "# the sandbox"
# sandbox_said CONFIG: what the attestation says of it.
sandbox_said() {
    rm -rf "$W/outbox"
    NIX_CONFIG=$1 "$hook" >"$W/hook.out" 2>&1
    grep -h -o '"payload":"[^"]*' "$W"/outbox/*.jsonl | sed 's/.*"//' | base64 -d | grep -o '"sandbox":"[^"]*"'
}
same "Nix's setting is recorded" '"sandbox":"relaxed"' "$(sandbox_said "sandbox-fallback = true
sandbox = relaxed
sandbox-paths = false")"
same "nothing where it is not said" "" "$(sandbox_said 'cores = 2')"
same "or is none of its values" "" "$(sandbox_said 'sandbox = maybe')"

echo "# without a network"
if command -v strace >/dev/null && [ "$(basename "$STELE_BUILD")" = plain ]; then
    rm -rf "$W/outbox"
    strace -f -qq -o "$W/net" -e trace=network "$hook" >"$W/out" 2>&1
    same "it is attested" 1 "$(letters)"
    same "the hook opens no socket" "" "$(grep -v 'AF_UNIX\|+++\|---' "$W/net" | head -n 3)"
else
    skipped "the hook opens no socket" "wants strace and the plain build"
fi
if unshare -rn true 2>/dev/null; then
    rm -rf "$W/outbox"
    unshare -rn "$hook" >"$W/out" 2>&1
    same "nor needs one" 1 "$(letters)"
else
    skipped "nor needs one" "no network namespace can be made here"
fi

echo "# what goes wrong"
# troubled WHAT REASON: the hook ends with 0, says why, and so does `stele status`.
troubled() {
    "$hook" >"$W/hook.out" 2>&1
    same "$1: the build goes on" 0 $?
    says "$1: the hook says why" "stele-hook: .*$2" "$W/hook.out"
    refuses "$1: status shows it" "trouble 1 times, last at .*$2" stele status
    accepts "$1: as JSON, too" sh -c \
        "stele status --json | jq -e '.hook[0].reason == \"trouble\" and (.hook[0].sentence | test(\"$2\")) and (.wrong | length > 0)'"
    rm -rf "$W/state"
}
rm -rf "$W/outbox" "$W/state"
"$hook"
accepts "where all is well, status is content" stele status
says "and tells what waits" "1 attestations wait, the oldest since 20" "$W/out"
chmod 644 "$W/key"
troubled "an unreadable key" "chmod 600"
chmod 600 "$W/key"
rm -rf "$W/outbox" && echo file >"$W/outbox"
troubled "an outbox that is no folder" "is not a folder"
rm "$W/outbox"
if [ "$(id -u)" = 0 ] && mkdir "$W/small" && mount -t tmpfs -o size=64k none "$W/small" 2>/dev/null; then
    sed "s|^outbox .*|outbox $W/small/outbox|" "$W/builder.conf" >"$W/small.conf"
    STELE_CONFIG=$W/small.conf "$hook" >"$W/got" 2>&1
    same "with room there is a letter" 1 "$(find "$W/small/outbox" -name '*.jsonl' | wc -l)"
    rm "$W"/small/outbox/*
    cat /dev/zero >"$W/small/full" 2>/dev/null
    STELE_CONFIG=$W/small.conf
    troubled "a full disk" "No space left"
    refuses "and that the disk is full" "the disk is full" stele status
    same "nothing half is left" "" "$(find "$W/small/outbox" -type f)"
    STELE_CONFIG=$W/builder.conf
    umount "$W/small"
else
    skipped "a full disk" "no file system can be mounted here"
fi

echo "# the system's log"
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    cat >"$W/syslog.pl" <<'END'
use IO::Socket::UNIX;
use Socket;
my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Type => SOCK_DGRAM) or die;
$| = 1;
print "listening on $ARGV[0]\n";
while (defined $s->recv(my $text, 8192)) { print "$text\n" }
END
    # With another /dev, which has a system's log of ours.
    mkdir "$W/dev"
    cat >"$W/bin/logged-hook" <<END
#!/bin/sh
for device in null urandom; do : >"$W/dev/\$device" && mount --bind "/dev/\$device" "$W/dev/\$device" || exit 1; done
mount --rbind "$W/dev" /dev && exec "$hook"
END
    chmod +x "$W/bin/logged-hook"
    start syslog perl "$W/syslog.pl" "$W/dev/log" || exit 1
    chmod 644 "$W/key"
    NIX_CONFIG="access-tokens = github.com=$secret" unshare -m "$W/bin/logged-hook" >"$W/out" 2>&1
    same "the build goes on" 0 $?
    chmod 600 "$W/key"
    says "the system's log has a line of what went wrong" "^<11>.* stele-hook\[[0-9]+\]: .*chmod 600" "$W/run/syslog.out"
    rm -rf "$W/outbox"
    DRV_PATH=$tool OUT_PATHS=$tool NIX_CONFIG="access-tokens = github.com=$secret" unshare -m "$W/bin/logged-hook" >"$W/out" 2>&1
    says "and of what was refused" "^<12>.* stele-hook\[[0-9]+\]: .*is no derivation" "$W/run/syslog.out"
    same "and no token" 0 "$(grep -c "$secret" "$W/run/syslog.out")"
    stop syslog
    rm -rf "$W/state"
else
    skipped "the system's log" "not root, or no mount namespaces"
fi

echo "# killed at each call"
if command -v strace >/dev/null && [ "$(basename "$STELE_BUILD")" = plain ]; then
    rm -rf "$W/outbox" "$W/state"
    mkdir "$W/outbox"
    strace -f -qq -o "$W/calls" -e trace=openat,write,fchmod,fsync,rename,close "$hook" >"$W/out" 2>&1
    rm -f "$W"/outbox/*.jsonl
    worker=$(sed -n 's/^\([0-9]*\) *rename(.*/\1/p' "$W/calls" | head -n 1)
    bad=
    hits=0
    for call in openat write fchmod fsync rename close; do
        # strace counts the calls of each process for itself. The last ones are those that make the letter.
        n=$(grep -c "^$worker *$call(" "$W/calls")
        for when in $(seq $((n > 6 ? n - 5 : 1)) "$n"); do
            strace -f -qq -o "$W/trace" -e trace=$call -e inject=$call:signal=KILL:when="$when" "$hook" >"$W/out" 2>&1
            grep -q 'killed by SIGKILL' "$W/trace" && hits=$((hits + 1))
            whole || bad="$bad $call:$when"
            rm -f "$W"/outbox/*.jsonl
        done
    done
    same "whole or not there" "" "$bad"
    if [ $hits -ge 8 ]; then ok "killed $hits times"; else not_ok "killed $hits times"; fi
    "$hook"
    same "afterwards it is attested" 1 "$(letters)"
else
    skipped "whole or not there" "wants strace and the plain build"
fi

echo "# tickets"
rm -rf "$W/outbox" "$W/state"
echo "hook-hash-max 1" >>"$W/builder.conf"
stele-log init "$W/log" --origin log.example/stele >"$W/got" 2>&1
printf 'log %s http://127.0.0.1:9\nquorum none\n' "$(stele-log key "$W/log")" >"$W/policy"
echo "policy policy" >>"$W/builder.conf"
"$hook"
same "a large output leaves a ticket" 1 "$(find "$W/outbox/tickets" -name '*.ticket' | wc -l)"
root=$(find "$NIX_STATE_DIR/gcroots/stele" -type l)
same "and a root" "$tool" "$(readlink "$root")"
accepts "a garbage collection leaves it" sh -c "nix-store --gc >$W/got 2>&1 && test -e $tool"
refuses "the deliverer redeems the ticket" "1 attestations still wait" stele deliver --once --for 1
same "it is gone" 0 "$(find "$W/outbox/tickets" -name '*.ticket' | wc -l)"
same "there is a letter" 1 "$(letters)"
same "and no root any more" 0 "$(find "$NIX_STATE_DIR/gcroots/stele" -type l | wc -l)"
ln -s "$tool" "$root"
refuses "a new root without its ticket may be a hook's that is just writing" "wait" stele deliver --once --for 1
same "it stays" 1 "$(find "$NIX_STATE_DIR/gcroots/stele" -type l | wc -l)"
touch -h -d '2 days ago' "$root"
refuses "an old one is a rest" "wait" stele deliver --once --for 1
same "it goes" 0 "$(find "$NIX_STATE_DIR/gcroots/stele" -type l | wc -l)"
rm -rf "$W/outbox"
"$hook"
chmod -R u+w "$tool" && echo altered >>"$tool/bin/tool"
refuses "an output that was altered meanwhile is an alarm" "ALARM" stele deliver --once --for 1
same "its ticket is set aside" 1 "$(find "$W/outbox/refused" -name '*.ticket' | wc -l)"
same "and its root is gone" 0 "$(find "$NIX_STATE_DIR/gcroots/stele" -type l | wc -l)"
refuses "status shows that, too" "1 set aside in .*ALARM" stele status

echo "# the path unit: what starts the deliverer, and what it starts"
rm -rf "$W/outbox"
nix-store --repair-path "$tool" >"$W/got" 2>&1
nix-store --realise "$DRV_PATH" >"$W/got" 2>&1 # anew, where that deleted it
units=$here/../../systemd
log_port=$(free_port)
printf 'log %s http://127.0.0.1:%s\nquorum none\n' "$(stele-log key "$W/log")" "$log_port" | tee "$W/log/policy" >"$W/policy"
sed -i '/^log /d' "$W/log/policy"
cat "$W/key.pub" >>"$W/log/builders"
printf 'policy policy\nkey key\nstate path-state\n' >"$W/path.conf"
STELE_CONFIG=$W/path.conf
# starts: would systemd start the deliverer? A path of the unit is there, in this test's folder for the machine's.
starts() {
    for glob in $(sed -n "s|^PathExistsGlob=/var/lib/stele|$W/path-state|p" "$units/stele-deliver.path"); do
        if [ -e "$glob" ]; then echo yes && return; fi
    done
    echo no
}
# deliver: as the unit does that it starts.
deliver() {
    # shellcheck disable=SC2046 # a command's words
    $(sed -n 's|^ExecStart=@PREFIX@/bin/||p' "$units/stele-deliver-once.service")
}
same "before the first build it is not started" no "$(starts)"
"$hook"
same "a letter of the hook starts it" yes "$(starts)"
: >"$W/delivered"
deliver >"$W/delivered" 2>&1 &
deliverer=$!
same "with the log down it waits" 1 "$(soon_some grep -c "1 wait: " "$W/delivered")"
kill -0 $deliverer
same "and does not end" 0 $?
start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port" || exit 1
wait $deliverer
same "when the log is there it delivers, and ends" 0 $?
same "and is not started again" no "$(starts)"
echo "hook-hash-max 1" >>"$W/path.conf"
"$hook"
same "a ticket starts it, too" yes "$(starts)"
accepts "it is redeemed, and delivered" deliver
same "and it is not started again" no "$(starts)"
done_testing
