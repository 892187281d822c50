#!/bin/sh
# A builder's keys: how they are made, also from a Nix key; and that the secret lies in no memory but the guarded one, of the signing
# agent, and is not read by a hook that asks it. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
PATH=$STELE_BUILD/tests/e2e:$PATH
keygen() { stele keygen ci.example/other --config "$W/builder.conf" "$@"; }

same "the secret is the owner's alone" 600 "$(stat -c %a "$W/key")"
accepts "a key is made under any umask" sh -c "umask 000; stele keygen ci.example/other --config $W/builder.conf --out $W/loose"
same "it is so" 600 "$(stat -c %a "$W/loose")"
accepts "nothing is asked for: there is nobody to answer" setsid stele keygen ci.example/other --config "$W/builder.conf" --out "$W/quiet" </dev/null
cp "$W/key" "$W/before"
refuses "a key is not overwritten" "exists already, and is not overwritten" keygen --out "$W/key"
accepts "it is what it was" cmp "$W/before" "$W/key"
ln -s "$W/victim" "$W/link"
refuses "nor is a link followed" "link exists already" keygen --out "$W/link"
accepts "to where it leads" test ! -e "$W/victim"
refuses "a public key that is there stays as well" "pub exists already" sh -c "rm $W/quiet; stele keygen ci.example/other --config $W/builder.conf --out $W/quiet"
accepts "and no secret is left without it" test ! -e "$W/quiet"

echo "# a Nix key"
nix-store --generate-binary-cache-key cache.example-1 "$W/nix.secret" "$W/nix.public"
accepts "is taken over" keygen --from-nix "$W/nix.secret" --out "$W/nix-key"
same "its secret is the owner's alone" 600 "$(stat -c %a "$W/nix-key")"
same "its public half is Nix's" "$(cut -d: -f2 "$W/nix.public" | base64 -d | od -An -tx1)" \
    "$(cut -d+ -f3- "$W/nix-key.pub" | base64 -d | tail -c 32 | od -An -tx1)"
sed 's/:./:=/' "$W/nix.secret" >"$W/spoilt"
refuses "what is none is refused" "NAME:BASE64 of 64 bytes" keygen --from-nix "$W/spoilt" --out "$W/none"
accepts "and nothing is made" test ! -e "$W/none"
refuses "a name with its schema is none" "without its schema" stele keygen https://ci.example.org/builder --out "$W/none"
refuses "a public one, too" "NAME:BASE64 of 64 bytes" keygen --from-nix "$W/nix.public" --out "$W/none"
sed 's/^key .*/key nix-key/' "$W/builder.conf" >"$W/nix.conf"
plain=$(nix-instantiate "$here/builds.nix" -A plain 2>/dev/null)
out=$(nix-store --realise "$plain" 2>/dev/null)
accepts "the hook signs with it" env STELE_CONFIG="$W/nix.conf" DRV_PATH="$plain" OUT_PATHS="$out" "$hook"
letter=$(find "$W/outbox" -name '*.jsonl')
if command -v openssl >"$W/got"; then
    tail -n 1 "$letter" | jq -r .payload | base64 -d >"$W/statement"
    { printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(wc -c <"$W/statement")" && cat "$W/statement"; } >"$W/signed"
    tail -n 1 "$letter" | jq -r '.signatures[0].sig' | base64 -d >"$W/sig"
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && cut -d: -f2 "$W/nix.public" | base64 -d; } |
        openssl pkey -pubin -inform DER -out "$W/nix.pem" 2>"$W/got"
    accepts "and another program verifies that by Nix's public key" \
        openssl pkeyutl -verify -pubin -inkey "$W/nix.pem" -rawin -in "$W/signed" -sigfile "$W/sig"
else
    skipped "and another program verifies that by Nix's public key" "openssl is not installed"
fi
rm -rf "$W/outbox"

echo "# in memory"
if [ "$(basename "$STELE_BUILD")" != plain ]; then
    skipped "the key lies in guarded memory alone" "the sanitizers' shadow is too large to look through"
else
    echo "sign-agent agent" >>"$W/builder.conf"
    start agent stele sign-agent || exit 1
    accepts "an agent signs" env DRV_PATH="$plain" OUT_PATHS="$out" "$hook"
    same "one build" 1 "$(letters)"
    memory_probe process "$W/key" "$(cat "$W/run/agent.pid")" >"$W/out" 2>&1
    says "its key lies in guarded memory alone, if anybody may look" '^guarded [1-9][0-9]* open 0$|^unreadable$' "$W/out"
    if command -v strace >"$W/got"; then
        rm -rf "$W/outbox"
        strace -f -qq -o "$W/trace" -e trace=openat,open env DRV_PATH="$plain" OUT_PATHS="$out" "$hook" >"$W/out" 2>&1
        same "a hook that asks the agent" 1 "$(letters)"
        same "opens no key" 0 "$(grep -c "\"$W/key\"" "$W/trace")"
        sed '/^sign-agent/d' "$W/builder.conf" >"$W/direct.conf"
        STELE_CONFIG=$W/direct.conf strace -f -qq -o "$W/trace" -e trace=openat,open env DRV_PATH="$plain" OUT_PATHS="$out" "$hook" >"$W/out" 2>&1
        same "control: one that signs itself does" 1 "$(grep -c "\"$W/key\"" "$W/trace")"
    else
        skipped "a hook that asks the agent opens no key" "strace is not installed"
    fi
fi
done_testing
