#!/bin/sh
# `stele staple` and `stele proofs`: a cache that is not the builder hands on the builders' proofs, and a user who trusts the builder
# alone substitutes from it. On real Nix. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world

stele keygen a.example/builder --out "$W/a.key" >"$W/out" 2>&1
network "$W/policy" "$W/a.key.pub"

# Builder A builds and delivers; its proofs stay with it.
printf 'policy policy\nkey a.key\nstate a-state\noutbox a-outbox\n' >"$W/a.conf"
export STELE_CONFIG="$W/a.conf"
app=$(nix-build --no-out-link "$here/graph.nix" -A app --option post-build-hook "$STELE_BUILD/bin/stele-hook" 2>/dev/null)
accepts "A builds and delivers" stele deliver --once
part=$(basename "$app" | cut -c1-32)

# Cache B copies from A's store, signs with its own key, and staples from the log: it has no proof of its own.
nix-store --generate-binary-cache-key b.example-1 "$W/b.secret" "$W/b.public"
nix copy --to "file://$W/cache?compression=none&secret-key=$W/b.secret" "$app" >"$W/out" 2>&1
unattested=$(nix-store --add "$here/graph.nix")
nix copy --to "file://$W/cache?compression=none&secret-key=$W/b.secret" "$unattested" >"$W/out" 2>&1
paths=$(find "$W/cache" -name '*.narinfo' | wc -l)
printf 'policy policy\nstate b-state\n' >"$W/b.conf"
export STELE_CONFIG="$W/b.conf"
sidecars() { find "$1" -name '*.tlog-proof' | wc -l; }
accepts "B staples" stele staple "file://$W/cache?compression=none"
says "what is attested" "^$paths paths: $((paths - 1)) sidecars written, 1 without a proof" "$W/out"
same "beside each narinfo" $((paths - 1)) "$(sidecars "$W/cache")"
accepts "they verify" stele verify "$W/cache/$part.tlog-proof"
same "nothing else is left" "" "$(find "$W/cache" -name '.*' -type f)"
accepts "a second time" stele staple "$W/cache"
says "nothing is written" ": 0 sidecars written" "$W/out"

# Of each the attestation's signature, of a log's answer the head's and a witness's; both of what stands there and of what comes.
verifications() { # OPTION...: how many signatures it verifies
    rm -f "$W/verified"
    ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} VERIFIED="$W/verified" \
        LD_PRELOAD="$STELE_BUILD/tests/preload/verified.so" "$STELE_BUILD/bin/stele" staple "$@" "$W/cache" >"$W/out" 2>&1
    cat "$W/verified"
}
at_most "what stands there is verified once" $((paths + 2)) "$(verifications)"
at_most "also where the log is asked for all" $((2 * paths + 4)) "$(verifications --all)"
rm "$W"/cache/*.tlog-proof
at_most "so is what the log answers" $((paths + 2)) "$(verifications)"
same "and stands there" $((paths - 1)) "$(sidecars "$W/cache")"
at_most "the deliverer's proofs and what stands there" $((2 * paths + 8)) "$(verifications --config "$W/a.conf")"
says "each once" "^$paths paths: 0 sidecars written" "$W/out"
accepts "a path that is named twice" stele staple "$W/cache" "$app" "$unattested" "$app/"
says "is one" "^2 paths: 0 sidecars written, 1 without a proof" "$W/out"

if command -v script >"$W/out"; then
    script -qec "stele staple $W/cache" /dev/null >"$W/tty" 2>&1
    says "on a terminal there is a progress bar" "stapling  \[[#.]{30}\]" "$W/tty"
else
    skipped "on a terminal there is a progress bar" "script is not installed"
fi

echo "# a user who trusts A alone"
nix-store --generate-binary-cache-key gate-1 "$W/gate.secret" "$W/gate.public"
static_server cache "$W/cache" || exit 1
without_address log "$W/policy" >"$W/user-policy"
printf 'builder a %s\nquorum a\n' "$(cat "$W/a.key.pub")" >"$W/trust"
printf 'policy user-policy\ntrust trust\nstate user-state\nsigning-key gate.secret\nstore-dir %s\nupstream %s\n' \
    "$NIX_STORE_DIR" "$(url cache)" >"$W/user.conf"
start gate stele gate --config "$W/user.conf" --listen 127.0.0.1:0 || exit 1
substitute() {
    rm -rf "$W/home/cache"
    nix-store --store "$W/$1" --realise "$2" --option substituters "$(url gate)" \
        --option trusted-public-keys "$(cat "$W/gate.public")" --option max-jobs 0
}
accepts "substitutes A's build from B, without asking any log" substitute user "$app"
accepts "it is A's" cmp "$app/app" "$W/user/nix/store/$(basename "$app")/app"

echo "# nothing is lost"
cp "$W/cache/$part.tlog-proof" "$W/good.tlog-proof"
# Another builder's proof of the same path, which stands there already.
stele keygen c.example/builder --out "$W/c.key" >"$W/out" 2>&1
cat "$W/c.key.pub" >>"$W/builders"
kill -HUP "$(cat "$W/run/log.pid")"
printf 'policy policy\nkey c.key\nstate c-state\noutbox c-outbox\n' >"$W/c.conf"
stele attest --config "$W/c.conf" --built-on-this-machine "$app" >"$W/out" 2>&1
tries=0
until stele deliver --once --config "$W/c.conf" >"$W/out" 2>&1 || [ $tries -gt 50 ]; do
    tries=$((tries + 1))
    mv "$W"/c-outbox/refused/*.jsonl "$W/c-outbox/" 2>"$W/got"
    sleep 0.1
done
cp "$W/c-state/proofs/$part.tlog-proof" "$W/cache/"
printf 'policy policy\nstate a-state\n' >"$W/near.conf"
proofs() { stele verify --json "$1" 2>"$W/got" | jq '[.[] | select(.verified)] | length'; }
stop log
accepts "from the deliverer's proofs, with the log down" stele staple --config "$W/near.conf" "$W/cache" "$app"
same "what stood there and what came are both there" 2 "$(proofs "$W/cache/$part.tlog-proof")"
accepts "again" stele staple --config "$W/near.conf" "$W/cache" "$app"
says "nothing is written" ": 0 sidecars written" "$W/out"
serve_network || exit 1
sed 's/^index .*/index 99/' "$W/good.tlog-proof" >"$W/cache/$part.tlog-proof"
accepts "one that does not verify is no reason not to ask the log" stele staple "$W/cache" "$app"
same "both that do are put" 2 "$(proofs "$W/cache/$part.tlog-proof")"
same "beside it" 3 "$(grep -c '^index ' "$W/cache/$part.tlog-proof")"
without_address log "$W/policy" >"$W/near-policy"
printf 'policy near-policy\nstate b-state\n' >"$W/near.conf"
sed 's/^index .*/index 99/' "$W/good.tlog-proof" >"$W/cache/$part.tlog-proof"
accepts "where no log has an address" stele staple --config "$W/near.conf" "$W/cache" "$app"
says "nor is that a proof" "^1 paths: 0 sidecars written, 1 without a proof" "$W/out"
echo rubbish >"$W/cache/$part.tlog-proof"
accepts "what is no proof" stele staple "$W/cache" "$app"
accepts "is replaced" sh -c "! grep -q rubbish $W/cache/$part.tlog-proof"
same "by both" 2 "$(proofs "$W/cache/$part.tlog-proof")"
same "another path's proof is not taken" "" "$(for f in "$W"/cache/*.tlog-proof; do
    stele verify --json "$f" | jq -e --arg part "$(basename "$f" .tlog-proof)" \
        'all(.[]; any(.subjects[]; .path | contains($part)))' >"$W/got" || echo "$f"
done)"
chmod 555 "$W/cache"
if [ "$(id -u)" = 0 ]; then
    skipped "a cache that cannot be written" "root can"
else
    rm -f "$W/cache/$part.tlog-proof"
    refuses "a cache that cannot be written" "cannot create" stele staple "$W/cache"
fi
chmod 755 "$W/cache"
refuses "no cache" "no folder .*/nothing" stele staple "$W/nothing"

echo "# a policy of two logs, the first of which is down"
stele keygen down.example/log --out "$W/down" --type log >"$W/out" 2>&1
{ echo "log $(cat "$W/down.pub") http://127.0.0.1:9" && cat "$W/policy"; } >"$W/two-policy"
printf 'policy two-policy\nstate b-state\n' >"$W/two.conf"
rm "$W/cache/$part.tlog-proof"
stele staple --config "$W/two.conf" "$W/cache" "$app" >"$W/out" 2>&1
same "is told of: status 4" 4 $?
says "by name" "^http://127.0.0.1:9/outputs: " "$W/out"
says "in sum" "of 2 logs 1 gave no answer" "$W/out"
same "and keeps nothing of the other's from the cache" 2 "$(proofs "$W/cache/$part.tlog-proof")"

echo "# a cache that is written to by HTTP"
if nginx -V 2>&1 | grep -q http_dav_module; then
    mkdir "$W/dav"
    cp "$W"/cache/*.narinfo "$W/dav/"
    nginx_server dav "root $W/dav; dav_methods PUT; client_max_body_size 8m;" || exit 1
    dav=$(url dav)
    same "it is there" 200 "$(curl -s -o "$W/got" -w '%{http_code}' "$dav/$part.narinfo")"
    accepts "it is stapled with the deliverer's proofs" stele staple --config "$W/a.conf" "$dav/"
    same "all that it has of the cache's paths" $((paths - 1)) "$(sidecars "$W/dav")"
    accepts "they verify" stele verify "$W/dav/$part.tlog-proof"
    accepts "again" stele staple --config "$W/a.conf" "$dav"
    says "nothing is written" ": 0 sidecars written" "$W/out"
    rm "$W/dav/$part.tlog-proof"
    accepts "with the log's, for paths that are named" stele staple "$dav" "$app"
    same "they are put" 2 "$(proofs "$W/dav/$part.tlog-proof")"
    rm "$W"/dav/*
    accepts "what the cache does not have" stele staple --config "$W/a.conf" "$dav"
    same "gets no proof" 0 "$(sidecars "$W/dav")"
    rm -f "$W/cache/$part.tlog-proof"
    refuses "a cache that takes nothing" "PUT was answered with status 405" stele staple "$(url cache)" "$app"
else
    skipped "a cache that is written to by HTTP" "nginx has no dav module"
fi

echo "# in front of a store"
stele proofs "$app" >"$W/printed.tlog-proof" 2>"$W/out"
same "proofs are printed" 2 "$(proofs "$W/printed.tlog-proof")"
refuses "where there is none it says so" "of 1 of 2 paths there is no proof" stele proofs "$app" "$unattested"
done_testing
