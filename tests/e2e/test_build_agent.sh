#!/bin/sh
# The signing agent: the hook reads no key; a `--check` that differs is attested through the diff-hook, which Nix runs as a build
# user; and what the agent cannot see to be Nix's own it refuses, whoever asks. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
echo "sign-agent agent" >>"$W/builder.conf"
sed 's/^key .*/key nowhere/' "$W/builder.conf" >"$W/hook.conf"
drv() { nix-instantiate "$here/builds.nix" --argstr nonce "$W/nonce" "$@" 2>/dev/null; }
counted() { awk -v reason="$1" '$1 == reason { n = $2 } END { print n + 0 }' "$W/state/counts" 2>/dev/null || echo 0; }
# hooked COMMAND...: with the hooks' configuration, which has no key.
hooked() { STELE_CONFIG=$W/hook.conf "$@" --option post-build-hook "$hook" --option run-diff-hook true \
    --option diff-hook "$STELE_BUILD/bin/stele-diff-hook" >"$W/built" 2>"$W/hooked"; }
echo one >"$W/nonce"
differs=$(drv -A differs)

accepts "without the agent the build succeeds" hooked nix-store --realise "$differs"
says "and the hook says what is missing" "cannot reach the signing agent at .*/agent" "$W/hooked"
same "and counts it, for this and what it rests on" 2 "$(counted trouble)"
refuses "status says that nobody listens, and what the hook could not do" "nobody listens at .*/agent" stele status
says "with its count" "stele-hook had trouble 2 times, last at .*cannot reach the signing agent" "$W/out"
# shellcheck disable=SC2046 # a list of words
again $(nix-store -q --outputs "$differs")
accepts "the agent starts" start agent stele sign-agent
accepts "with it the build succeeds" hooked nix-store --realise "$differs"
same "and is attested, though the hook has no key" 1 "$(letters)"
same "that the agent was asked by status counts for nothing" "2 0" "$(stele status >"$W/out" 2>&1; counted trouble) $(grep -c listens "$W/out")"
holds "as a build" differs '.predicate.buildDefinition.internalParameters.claim == "build"'
rm -rf "$W/outbox"

# A repeated build that differs.
out=$(nix-store -q --outputs "$differs" | grep -v -e -dev) dev=$(nix-store -q --outputs "$differs" | grep -e -dev)
echo two >"$W/nonce"
refuses "a --check that differs fails" "may not be deterministic|differs" sh -c "STELE_CONFIG=$W/hook.conf nix-store --realise --check $differs \
    --option run-diff-hook true --option diff-hook $STELE_BUILD/bin/stele-diff-hook 2>&1"
cp "$W/out" "$W/hooked"
says "the diff-hook says what it cannot see" "where other outputs differ as well, Nix does not say so" "$W/out"
check=$(sed -n 's/.*differs: [^ ]* and \([^ ;]*\).*/\1/p' "$W/out" | head -n 1)
path=${check%.check}
statement "$W"/outbox/*.jsonl >"$W/payload"
accepts "its digest is that of the other result" \
    jq -e ".subject[0].digest.sha256 == \"$(nix-store --dump "$check" | sha256sum | cut -d' ' -f1)\" and .subject[0].name == \"$path\"" "$W/payload"
references=$(for p in "$out" "$dev" "$(nix-store -q --outputs "$(drv -A fixed)")"; do
    grep -q "$(basename "$p" | cut -c1-32)" "$check" && basename "$p"
done | sort | jq -Rnc '[inputs]')
accepts "and its references are those in it" jq -e ".subject[0].annotations.references == $references" "$W/payload"
row check-differs "$(basename "$path" | cut -c34-)"

# What the agent cannot see to be Nix's own.
diff_hook() { STELE_CONFIG=$W/hook.conf "$STELE_BUILD/bin/stele-diff-hook" "$@" >"$W/said" 2>&1; }
diff_hook "$path" "$W/elsewhere" "$differs" /
says "a file elsewhere is refused" "is not where Nix leaves" "$W/said"
diff_hook "$path" "$path.check" "$(drv -A plain)" /
says "so is another derivation's" "is no output whose path .*plain.drv fixes" "$W/said"
other=$([ "$path" = "$out" ] && echo "$dev" || echo "$out")
diff_hook "$other" "$other.check" "$differs" /
says "and a result that is not there" "cannot find" "$W/said"
cp -a "$other" "$other.check"
diff_hook "$other" "$other.check" "$differs" /
says "and one that does not differ" "is the same as" "$W/said"
same "these are counted" "3 1" "$(counted not-a-check) $(counted other-derivation)"
if [ "$(id -u)" = 0 ]; then
    chmod 711 "$W"
    chmod 644 "$W/hook.conf"
    nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
    chown 65534 "$check"
    diff_hook "$path" "$check" "$differs" /
    says "what a build user made himself is refused" "not the store owner's alone" "$W/said"
    chown 0 "$check"
    chmod 666 "$check"
    diff_hook "$path" "$check" "$differs" /
    says "what others can write is refused" "not the store owner's alone" "$W/said"
    chmod 444 "$check"
    rm -rf "$W/outbox"
    STELE_CONFIG=$W/hook.conf nobody "$STELE_BUILD/bin/stele-diff-hook" "$path" "$check" "$differs" / >"$W/said" 2>&1
    same "control: the owner's is attested, though a build user asks" 1 "$(letters)"
    rm -rf "$W/outbox"
    # shellcheck disable=SC2046 # a list of words
    STELE_CONFIG=$W/hook.conf DRV_PATH=$differs OUT_PATHS="$out $dev" nobody "$hook" >"$W/said" 2>&1
    says "a build that a build user claims is refused" "user 65534 is neither root nor the store's owner" "$W/said"
    same "and counted" 1 "$(counted not-allowed)"
    same "and not attested" 0 "$(letters)"
else
    skipped "who owns a result, and who asks" "not root"
fi
rm -f "$check" "$other.check"

# An agent that ends while it is asked.
rm -rf "$W/outbox" "$W/state"
cat >"$W/mute.pl" <<'END'
use IO::Socket::UNIX;
my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die;
print "listening on $ARGV[0]\n";
close STDOUT;
my $c = $s->accept;
my @all = <$c>;
END
start mute perl "$W/mute.pl" "$W/mute"
sed "s|^sign-agent .*|sign-agent mute|" "$W/hook.conf" >"$W/mute.conf"
STELE_CONFIG=$W/mute.conf DRV_PATH=$differs OUT_PATHS="$out" "$hook" >"$W/said" 2>&1
same "an agent that ends while it is asked: the build goes on" 0 $?
says "the hook says so" "the signing agent did not answer" "$W/said"
same "and counts it itself" 1 "$(counted trouble)"

# What is no request.
for request in "" "build\n" "nonsense\nx\n" "rebuild\na\nb\n" "build\nx"; do
    # shellcheck disable=SC2059 # a format, indeed
    printf "$request" >"$W/request"
    perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ARGV[0]) or die; print $s <STDIN>; $s->shutdown(1); print <$s>;' \
        "$W/agent" <"$W/request" >"$W/said" 2>&1
    says "no request: $(tr '\n' ' ' <"$W/request")" "^trouble the request" "$W/said"
done
same "nothing said counts for nothing, nonsense as trouble" 5 "$(counted trouble)"
# More at once than it has places for: others hold them all until the hook has asked.
rm -rf "$W/outbox" "$W/state"
cat >"$W/crowd.pl" <<'END'
use IO::Socket::UNIX;
my @held = map { IO::Socket::UNIX->new($ARGV[0]) or die } 1 .. 64;
print "listening on $ARGV[0]\n";
close STDOUT;
sleep while 1;
END
# asking: how many connections the agent's socket has; the socket itself is one more.
asking() { grep -c " $W/agent\$" /proc/net/unix; }
start crowd perl "$W/crowd.pl" "$W/agent"
same "the crowd is there" 65 "$(soon 65 asking)"
STELE_CONFIG=$W/hook.conf DRV_PATH=$differs OUT_PATHS="$out" "$hook" >"$W/said" 2>&1 &
one_more=$!
same "one more asks" 66 "$(soon 66 asking)"
stop crowd
wait $one_more
same "and is served when its turn comes" 1 "$(letters)"
same "nobody had trouble" "" "$(cat "$W/said")"

accepts "the agent lives" kill -0 "$(cat "$W/run/agent.pid")"
stop agent
accepts "and takes its socket with it" test ! -e "$W/agent"
done_testing
