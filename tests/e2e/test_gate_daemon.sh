#!/bin/sh
# The gate behind nix-daemon, as machines have it: the daemon as root with build users, a caller whom it does not trust, and the
# gate and an audit as users of their own. Needs root, and a mount namespace in which the users are known. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/gate_lib.sh"
whole="through nix-daemon with build users, an untrusted caller, the gate and an audit as users of their own"
if [ "$(id -u)" != 0 ]; then
    skipped "$whole" "not root"
elif ! unshare -m true 2>"$W/out"; then
    skipped "$whole" "no mount namespace can be made"
fi
[ $tests_done = 0 ] || { done_testing && exit 0; }
gate_world
app=$(build "$here/graph.nix" app)
accepts "the attestations are delivered" stele deliver --once
manual=$NIX_STORE_DIR/zyxwvsrqpnmlkjihgfdcba9876543210-manual-1.0
echo manual >"$manual"
printf '%s\n\n0\n' "$manual" | nix-store --register-validity
fill cache none "$app" "$manual"
static_server cache "$W/cache" || exit 1

# Users that only the namespace knows: two that build, one that calls, one that is the gate, one that audits. Of this run alone: before
# and after a build nix-daemon ends whatever runs as its build user.
first=$((20000 + $$ % 5000 * 8))
build_group=$first caller=$((first + 3)) gate_user=$((first + 4)) auditor=$((first + 5))
mkdir "$W/users" "$W/gatebin" "$W/gate-own" "$W/audit-own" "$W/daemon"
{
    cat /etc/passwd
    for user in build1:$((first + 1)) build2:$((first + 2)) caller:$caller gate:$gate_user audit:$auditor; do
        echo "stele$user" | sed 's|\(.*\):\(.*\)|\1:x:\2:65534::/nonexistent:/bin/sh|'
    done
} >"$W/users/passwd"
{
    cat /etc/group
    echo "stelebuild:x:$build_group:stelebuild1,stelebuild2"
} >"$W/users/group"
cp "$STELE_BUILD/bin/stele" "$W/gatebin/"
cp "$W/policy" "$W/trust" "$W/gate.secret" "$W/gate-own/"
printf 'policy policy\ntrust trust\nstate state\nsigning-key gate.secret\nstore-dir %s\nupstream %s\n' "$NIX_STORE_DIR" "$(url cache)" \
    >"$W/gate-own/stele.conf"
chmod 600 "$W/gate-own/gate.secret"
cp "$W/trust" "$W/audit-own/"
cp "$W/log-policy" "$W/audit-own/policy"
grep -v '^signing-key' "$W/gate-own/stele.conf" >"$W/audit-own/stele.conf"
chown -R "$gate_user:65534" "$W/gate-own"
chown -R "$auditor:65534" "$W/audit-own"
chmod 755 "$W" "$W/gatebin" "$W/gate-own" "$W/audit-own" "$W/users" "$W/daemon"
# as UID COMMAND... (who is in the group of the build users may not call)
as() {
    uid=$1
    shift
    setpriv --reuid "$uid" --regid 65534 --clear-groups "$@"
}
start gate setpriv --reuid "$gate_user" --regid 65534 --clear-groups "$W/gatebin/stele" gate --config "$W/gate-own/stele.conf" \
    --listen 127.0.0.1:0 || exit 1
same "the gate is a user of its own" "$gate_user" "$(stat -c %u "/proc/$(cat "$W/run/gate.pid")")"

# The daemon's store has the same name as the builder's, and lies elsewhere.
mkdir -p "$W/daemon/etc" "$W/daemon/store" "$W/daemon/var"
cat >"$W/daemon/etc/nix.conf" <<CONF
build-users-group = stelebuild
sandbox = false
experimental-features = nix-command
substituters = $(url gate)
trusted-public-keys = $(cat "$W/gate.public")
trusted-users = root
narinfo-cache-negative-ttl = 0
CONF
cat >"$W/daemon.sh" <<'CONF'
mount --bind "$W/users/passwd" /etc/passwd && mount --bind "$W/users/group" /etc/group && mount --bind "$W/daemon" "$W/builder" || exit 1
unset NIX_CONFIG STELE_CONFIG
echo "listening on unix://$W/daemon/var/daemon-socket/socket"
exec nix-daemon
CONF
export W
start nix-daemon unshare -m sh "$W/daemon.sh" || exit 1
tries=0
until [ -S "$W/daemon/var/daemon-socket/socket" ] || [ $tries -gt 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
# caller COMMAND...: asks the daemon as somebody whom it does not trust, and who cannot write where TMPDIR is root's alone. A short path: a
# socket's name has its limit.
mkdir "$W/callers-home"
chown "$caller" "$W/callers-home"
caller() {
    NIX_CONFIG="experimental-features = nix-command" NIX_REMOTE=unix://$W/daemon/var/daemon-socket/socket TMPDIR=/tmp HOME=$W/callers-home \
        XDG_CACHE_HOME=$W/callers-home/cache XDG_CONFIG_HOME=$W/callers-home as "$caller" "$@"
}
accepts "an untrusted caller gets what was attested" caller nix-store --realise "$app"
accepts "it is there" test -e "$W/daemon/store/$(basename "$app")"
refuses "and not what nobody attested" "don't know how to build" caller nix-store --realise "$manual"
refuses "whatever cache and key it names" "don't know how to build" caller nix-store --realise "$manual" \
    --option substituters "$(url cache)" --option trusted-public-keys "$(cat "$W/cache.public")" --option require-sigs false
accepts "the daemon builds, as a build user" caller nix-build --no-out-link -E \
    'derivation { name = "who"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "id -u >$out" ]; PATH = "/usr/bin:/bin"; }'
accepts "not as root" grep -Eqx "$((first + 1))|$((first + 2))" "$W/daemon/store/"*-who

# The audit looks at the store as the daemon sees it. An idle database is the daemon's alone to open; while it works others can read.
audit() {
    nsenter -m -t "$(cat "$W/run/nix-daemon.pid")" setpriv --reuid "$auditor" --regid 65534 --clear-groups \
        env -u NIX_CONFIG -u STELE_CONFIG HOME="$W/audit-own" "$W/gatebin/stele" audit --config "$W/audit-own/stele.conf"
}
# Idle is what the last one to close it leaves without the two files that SQLite keeps beside it. Two of the daemon's processes that
# close it at once leave them, each for the other: whoever opens and closes it next clears them away.
beside() {
    database=$(find "$W/daemon/var" -name db.sqlite)
    sqlite3 "$database" 'select count(*) from ValidPaths' >"$W/out" && find "$W/daemon/var" -name 'db.sqlite-*' | wc -l
}
same "after the build the database is idle" 0 "$(soon 0 beside)"
audit >"$W/out" 2>&1
same "another user's audit of an idle database: status 4" 4 $?
says "which says why" "database" "$W/out"
mkfifo "$W/go"
chmod 666 "$W/go"
caller nix-build --no-out-link -E "derivation { name = \"slow\"; system = builtins.currentSystem; builder = \"/bin/sh\";
    args = [ \"-c\" \"echo here; read line <$W/go; echo a >\$out\" ]; }" >"$W/built" 2>&1 &
note building $!
at_work() { grep -c '^here$' "$W/built"; }
same "while the daemon builds" 1 "$(soon 1 at_work)"
audit >"$W/out" 2>&1
same "it audits the whole store" 0 $?
says "what came through the gate is attested" "^attested .*-app" "$W/out"
says "what the daemon built is its own" "^built-here .*-who" "$W/out"
timeout 60 sh -c "echo go >$W/go" # where no build reads it, this fails, too
wait "$(cat "$W/run/building.pid")"
same "and the build goes on" 0 $?
rm "$W/run/building.pid"
done_testing
