#!/bin/sh
# As most builders run: nix-daemon as root with build users, a caller who is neither root nor trusted, the hook as root, and a key
# that only root reads. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    skipped "nix-daemon with build users" "not root, or no mount namespaces"
    done_testing
    exit
fi
# Build users and their group exist in a mount namespace alone. Nix ends every process of a build user: two runs of this share none.
uid=$((20000 + $$ % 40000))
chmod 711 "$W"
sed '/^nixbld/d' /etc/passwd >"$W/passwd"
sed '/^nixbld/d' /etc/group >"$W/group"
echo "nixbld1:x:$uid:64800::/var/empty:/usr/sbin/nologin" >>"$W/passwd"
echo "nixbld:x:64800:nixbld1" >>"$W/group"
cat >"$W/daemon" <<END
#!/bin/sh
mount --bind "$W/passwd" /etc/passwd && mount --bind "$W/group" /etc/group || exit 1
export NIX_CONFIG="\$NIX_CONFIG
build-users-group = nixbld
post-build-hook = $hook
trusted-users = root
"
exec nix-daemon
END
chmod +x "$W/daemon"
unshare -m "$W/daemon" >"$W/run/daemon.out" 2>"$W/run/daemon.err" &
note daemon $!
same "the daemon listens" yes "$(soon yes sh -c "[ -S $NIX_STATE_DIR/daemon-socket/socket ] && echo yes || echo no")"
mkdir "$W/caller"
chown 64900 "$W/caller"
# His files, as Nix makes them for a build: TMPDIR may be root's alone.
caller() { env -u STELE_CONFIG NIX_REMOTE=daemon TMPDIR=/tmp HOME="$W/caller" XDG_CACHE_HOME="$W/caller" XDG_STATE_HOME="$W/caller" \
    setpriv --reuid 64900 --regid 64900 --clear-groups "$@"; }
accepts "the key is root's alone" test "$(stat -c '%a %u' "$W/key")" = "600 0"
refuses "the caller cannot read it" "denied" caller cat "$W/key"
accepts "he has something built" caller nix-build --no-out-link "$here/builds.nix" -A plain
out=$(grep "^$NIX_STORE_DIR/" "$W/out" | tail -n 1)
accepts "the store has it" test -e "$out"
same "it, and what it rests on, are attested" 2 "$(letters)"
holds "as builds" plain '.predicate.buildDefinition.internalParameters.claim == "build"'
accepts "and the attestations are root's alone" test "$(find "$W/outbox" -name '*.jsonl' -user 0 -perm 600 | wc -l)" = 2
stop daemon
done_testing
