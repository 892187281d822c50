#!/bin/sh
# A build on another machine: this one, which had it built, attests nothing; that one, which built it, attests it. The other machine
# is a mount namespace with its own store under the same name, reached through a program called ssh. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
if ! { unshare -m true || unshare -rm true; } 2>/dev/null; then
    skipped "a remote build" "no mount namespaces here"
    done_testing
    exit
fi
unshare=$(unshare -m true 2>/dev/null && echo "unshare -m" || echo "unshare -rm")

mkdir -p "$W/bin" "$W/far/store" "$W/far/etc" "$NIX_STORE_DIR"
cat >"$W/bin/far" <<END
#!/bin/sh
# far COMMAND...: on the other machine.
export NIX_STATE_DIR=$W/far/var NIX_LOG_DIR=$W/far/log NIX_CONF_DIR=$W/far/etc STELE_CONFIG=$W/far.conf
export NIX_CONFIG="\$NIX_CONFIG
post-build-hook = $hook
"
exec $unshare sh -c 'mount --bind "$W/far/store" "$NIX_STORE_DIR" && exec "\$@"' far "\$@"
END
cat >"$W/bin/ssh" <<END
#!/bin/sh
case "\$*" in *"LocalCommand=echo started"*) echo started ;; esac # newer versions wait for it
while [ \$# -gt 0 ]; do
    case \$1 in nix-store | nix-daemon) exec "$W/bin/far" "\$@" ;; "nix-store "*) exec "$W/bin/far" sh -c "\$1" ;; esac
    [ \$# = 1 ] && exec sh -c "\$1"
    shift
done
END
chmod +x "$W/bin/ssh" "$W/bin/far"
PATH=$W/bin:$PATH
printf 'key key\nstate far-state\noutbox far-outbox\n' >"$W/far.conf"
drv() { nix-instantiate "$here/builds.nix" --argstr nonce "$W/nonce" "$@" 2>/dev/null; }
# away ATTRIBUTE: has it built there, with the hook here, too.
away() {
    nix-store --realise "$(drv -A "$1")" --max-jobs 0 --builders "ssh://far $(nix-instantiate --eval -E builtins.currentSystem | tr -d '"') - 1 1" \
        --option post-build-hook "$hook" >"$W/built" 2>"$W/hooked"
}
# there: what the other machine attested stands for the outbox.
there() { rm -rf "$W/outbox" && mv "$W/far-outbox" "$W/outbox" 2>/dev/null; }

accepts "a remote build succeeds" away several
no_row dispatched "$W/hooked"
refuses "by hand neither" "not built here.*substituted, copied" stele attest --built-on-this-machine "$(tail -n 1 "$W/built")"
mkdir -p "$W/outbox/tickets"
printf '%s\n%s\n' "$(drv -A several)" "$(tail -n 1 "$W/built")" >"$W/outbox/tickets/forged.ticket"
stele keygen log.example --out "$W/log-key" --type log >"$W/out" 2>&1
printf 'quorum none\nlog %s http://127.0.0.1:9\n' "$(cat "$W/log-key.pub")" >"$W/policy"
refuses "nor over a ticket" "not built here" stele deliver --once
same "nothing waits" 0 "$(letters)"
there
holds "the system is the machine's own" several '.predicate.buildDefinition.internalParameters.system | test("-linux$")'
holds "the derivation is the dispatcher's word" several ".predicate.buildDefinition.externalParameters.derivation == \"$(drv -A several)\""
row remote several-dev several-doc several

away fixed
rm -rf "$W/far-outbox"
accepts "a derivation is copied before it is built" nix copy --derivation --to ssh://far "$(drv -A plain)"
accepts "and built there" away plain
no_row dispatched "$W/hooked"
there
row remote-copied plain
done_testing
