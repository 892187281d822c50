#!/bin/sh
# nix/package.nix and nix/module.nix: Nix reads them, and the module, on a stand-in for NixOS, makes of its options the
# configurations and settings that the programs and Nix take. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
top=$here/../..

for file in package module; do accepts "nix/$file.nix can be read" nix-instantiate --parse "$top/nix/$file.nix"; done
# evaluate SETTINGS: the configuration, as JSON in $W/nixos.
evaluate() {
    nix-instantiate --eval --strict --json -E "import $here/nixos.nix { module = $top/nix/module.nix; settings = $1; }" >"$W/nixos"
}
# is WHAT FILTER
is() {
    if jq -e "$2" "$W/nixos" >"$W/got" 2>&1; then ok "$1"; else
        not_ok "$1"
        jq . "$W/nixos" 2>&1 | head -n 60 | sed 's/^/# /'
    fi
}
package=/nix/store/00000000000000000000000000000000-stele

accepts "nothing enabled" evaluate '{ }'
is "changes nothing" '. == {}'
accepts "a builder" evaluate '{ builder = { enable = true; skip = [ "*-secret" ]; nextHook = "/run/upload"; }; }'
is "has its hook" ".nix.settings.\"post-build-hook\" == \"$package/bin/stele-hook\""
is "and its deliverer" '.systemd.services."stele-deliver".wantedBy == ["multi-user.target"]'
jq -j '.environment.etc."stele/stele.conf".text' "$W/nixos" >"$W/stele.conf"
says "with the hook that follows" "^next-hook /run/upload$" "$W/stele.conf"
echo 'x' >>"$W/stele.conf"
refuses "and stele takes every line of its configuration but this one" "line 7: unknown key .x" stele deliver --once --config "$W/stele.conf"

accepts "a builder with a sign-agent" evaluate '{ builder = { enable = true; signAgent = true; }; }'
is "has the diff-hook as well" ".nix.settings.\"diff-hook\" == \"$package/bin/stele-diff-hook\" and .nix.settings.\"run-diff-hook\""
is "and the agent" '.systemd.services."stele-sign-agent".wantedBy == ["multi-user.target"]'
gate='enable = true; publicKey = "gate-1:AAAA"; upstreams = [ "https://cache.example.org" "file:///srv/cache" ];'
accepts "a gate" evaluate "{ gate = { $gate }; }"
is "is the only substituter" '.nix.settings.substituters == ["http://127.0.0.1:7382"]'
is "its key the only one" '.nix.settings."trusted-public-keys" == ["gate-1:AAAA"]'
is "and root the only one whom Nix trusts" '.nix.settings."trusted-users" == ["root"] and .nix.settings."require-sigs"'
is "it is started by its socket" '.systemd.sockets."stele-gate".socketConfig.ListenStream == ["", "127.0.0.1:7382"]'
is "as a user of its own" '.users.users."stele-gate".isSystemUser'
jq -j '.environment.etc."stele/gate.conf".text' "$W/nixos" >"$W/gate.conf"
says "with its upstreams" "^upstream file:///srv/cache$" "$W/gate.conf"
echo 'x' >>"$W/gate.conf"
refuses "and stele takes every line of its configuration but this one" "line 9: unknown key .x" stele gate --config "$W/gate.conf"

accepts "all of it on one machine" evaluate "{ gate = { $gate }; builder.enable = true; log.enable = true; witness.enable = true; }"
is "the services and their users" '(.users.users | keys) == ["stele-gate", "stele-log", "stele-witness"] and (.systemd.services | keys | length) == 4'
for unit in $(jq -r '.systemd.services, .systemd.sockets | keys[]' "$W/nixos" | sort -u); do
    if [ -e "$top/systemd/$unit.service" ]; then ok "$unit is a unit that the package brings"; else not_ok "$unit is no unit of ours"; fi
done

refuses "a gate without upstreams" "gate.upstreams is not set" evaluate '{ gate = { enable = true; publicKey = "x"; }; }'
refuses "an option that there is not" "no option services.stele.gate.upstream" evaluate "{ gate = { $gate upstream = 1; }; }"
refuses "a mode that there is not" "gate.mode has a wrong type" evaluate "{ gate = { $gate mode = \"off\"; }; }"

# What `setup --nixos` prints uses options that the module has.
for side in builder consumer; do
    NIX_CONF_DIR=$W/none stele setup $side --config "$W/$side.conf" --root "$W/image" --nixos 2>"$W/got" |
        sed -n '/^--- .*\.nix (/,/^$/p' | sed '1d; s/ imports = .*//' >"$W/$side.nix"
    accepts "setup $side prints what the module takes" evaluate "(import $W/$side.nix).services.stele"
done

# The package names what the Makefile links.
for library in $(sed -n 's/^LIBS .*:= //p' "$top/Makefile" | tr ' ' '\n' | sed -n 's/^-l//p'); do
    case $library in
    microhttpd | seccomp) name=lib$library ;;
    sodium) name=libsodium ;;
    sqlite3) name=sqlite ;;
    lzma) name=xz ;;
    bz2) name=bzip2 ;;
    z) name=zlib ;;
    brotlidec) name=brotli ;;
    *) name=$library ;;
    esac
    if [ "$(grep -cwx ", $name" "$top/nix/package.nix")" = 1 ]; then ok "nix/package.nix has $name"; else not_ok "nix/package.nix has no $name, which is linked"; fi
done
done_testing
