#!/bin/sh
# A store path as people give it: with the slash of a shell's completion, a file in it, a link to it. On real Nix. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
network "$W/policy" "$W/key.pub"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/trust"
printf 'policy policy\ntrust trust\nkey key\nstate state\noutbox outbox\nupstream file://%s/cache\n' "$W" >"$W/builder.conf"
nix-build -o "$W/result" "$here/graph.nix" -A tool --option post-build-hook "$hook" >"$W/built" 2>"$W/err"
tool=$(readlink "$W/result")
accepts "the attestations are delivered" stele deliver --once
nix copy --no-check-sigs --to "file://$W/cache?compression=none" "$tool" 2>"$W/err"
ln -s "$W/result" "$W/again"
ln -s tool "$W/loop" && ln -sf loop "$W/tool"
cd "$W" || exit 1

# answers COMMAND...: what it says of PATH, and how it ends, is the same however PATH is given.
gives() { "$@" >"$W/given" 2>&1 && cmp "$W/given" "$W/plain"; }
answers() {
    "$@" "$tool" >"$W/plain" 2>&1 # what writes something has done it
    accepts "$*" "$@" "$tool"
    cp "$W/out" "$W/plain"
    for as in "$tool/" "$tool///" "$tool/bin/tool" "$tool/bin/" "$tool/./bin/../none" "$W/result" result ./result/ again \
        "../$(basename "$W")/again"; do
        accepts "of $as" gives "$@" "$as"
    done
}
answers stele verify
answers stele audit
answers stele audit --cache "$W/cache"
answers stele trace
answers stele why
answers stele proofs
answers stele staple "$W/cache"
answers stele attest --built-on-this-machine
accepts "several at once" stele audit result "$tool/" again
says "are one" "^1 paths: 1 attested$" "$W/out"
accepts "a hash part alone" stele why "$(basename "$tool" | cut -c1-32)"
accepts "or a base name" stele why "$(basename "$tool")"

for verb in trace proofs; do
    refuses "stele $verb: a base name is none of this folder's" "no store path" stele $verb "$(basename "$tool")"
done
for verb in verify audit trace why proofs attest; do
    for none in loop none /etc/ "$NIX_STORE_DIR" "$NIX_STORE_DIR/" "$W/cache" ""; do
        refuses "stele $verb '$none': no store path" "no store path|not a valid path" stele $verb "$none"
    done
done
done_testing
