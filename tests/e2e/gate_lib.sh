# Shared by the gate's tests and its bench: a log under one witness, a builder, a cache that carries the proofs, and gates in
# front of it. After lib.sh; makes the world.
# shellcheck shell=sh
world
nix_world
gates=0
upstream=

# gate_world: what signs. The log's own policy, with its address, is $W/log-policy; the user's, $W/policy, names none: with
# sidecars nobody but the cache is asked. $W/trust wants the builder, whose every build is logged by `deliver`.
gate_world() {
    stele keygen ci.example/builder --out "$W/key" >"$W/out" 2>&1
    network "$W/log-policy" "$W/key.pub"
    printf 'policy log-policy\nkey key\nstate state\noutbox outbox\n' >"$W/builder.conf"
    export STELE_CONFIG="$W/builder.conf"
    without_address log "$W/log-policy" >"$W/policy"
    trust_builder
    nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public"
    nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public"
}

# trust_builder [LINE]...: $W/trust: the builder, what LINEs say, and by default the builder must have built it.
trust_builder() {
    printf 'builder ci %s\n' "$(cat "$W/key.pub")" >"$W/trust"
    [ $# = 0 ] || printf '%s\n' "$@" >>"$W/trust"
    echo 'quorum ci' >>"$W/trust"
}

# build FILE ATTRIBUTE: as the builder does; prints the path.
build() { nix-build --no-out-link "$1" -A "$2" --option post-build-hook "$STELE_BUILD/bin/stele-hook" 2>/dev/null; }

# fill CACHE COMPRESSION PATH...: a cache with all paths and their proofs.
fill() {
    fill_cache=$1 fill_compression=$2
    shift 2
    nix copy --to "file://$W/$fill_cache?compression=$fill_compression&secret-key=$W/cache.secret" "$@" >"$W/out" 2>&1
    cp "$W"/state/proofs/*.tlog-proof "$W/$fill_cache/"
}

# part PATH: its hash part.
part() { basename "$1" | cut -c1-32; }

# gate_at NAME [LINE]...: a gate with a fresh state before $upstream, by default the server `cache`; LINEs go into its
# configuration, in which they may name another policy.
gate_at() {
    gate_name=$1
    shift
    gates=$((gates + 1))
    {
        case "$*" in *policy\ *) ;; *) echo 'policy policy' ;; esac
        printf 'trust trust\nstate gate-%s\nsigning-key gate.secret\nstore-dir %s\n' $gates "$NIX_STORE_DIR"
        case "$*" in *upstream\ *) ;; *) echo "upstream ${upstream:-$(url cache)}" ;; esac
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$W/$gate_name.conf"
    start "$gate_name" stele gate --config "$W/$gate_name.conf" --listen 127.0.0.1:0
}

# new_gate [LINE]...: the gate that `get` and `is` ask.
new_gate() {
    stop gate
    gate_at gate "$@"
}

# get PATH [CURL OPTION...]: prints the status; the body is in $W/body, the headers in $W/headers.
get() {
    path=$1
    shift
    rm -f "$W/body"
    curl -s --path-as-is -o "$W/body" -D "$W/headers" -w '%{http_code}' "$@" "$(url gate)$path"
}

# is WHAT STATUS PATH [CURL OPTIONS]
is() {
    what=$1 want=$2 path=$3
    shift 3
    got=$(get "$path" "$@")
    if [ "$got" = "$want" ]; then ok "$what"; else not_ok "$what (status $got, wanted $want)"; fi
}

# substitute STORE URL KEYS PATHS [OPTION...]: by real Nix, that remembers nothing, into the store $W/STORE.
substitute() {
    sub_store=$1 sub_url=$2 sub_keys=$3 sub_paths=$4
    shift 4
    rm -rf "$W/home/cache"
    # shellcheck disable=SC2086 # a list of words
    nix-store --store "$W/$sub_store" --realise $sub_paths --option substituters "$sub_url" \
        --option trusted-public-keys "$sub_keys" --option max-jobs 0 "$@"
}
