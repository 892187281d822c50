#!/bin/sh
# spec/vectors/ is what tests/e2e/spec_vectors.c makes, and the page beside it names every file and member. TAP.
cd "$(dirname "$0")/../.." || exit 1
W=$(mktemp -d) || exit 1
trap 'rm -rf "$W"' EXIT
build/plain/tests/e2e/spec_vectors "$W" || exit 1
n=0
for file in "$W"/*.json; do
    n=$((n + 1))
    name=$(basename "$file")
    if cmp -s "$file" "spec/vectors/$name"; then echo "ok $n - $name is what the program makes"; else
        echo "not ok $n - $name differs: build/plain/tests/e2e/spec_vectors spec/vectors makes it anew"
    fi
done
n=$((n + 1))
missing=$(for file in spec/vectors/*.json; do
    grep -q "\`$(basename "$file")\`" spec/vectors/README.md || basename "$file"
    jq -r '[.[] | keys[]] | unique[]' "$file" | while read -r member; do grep -q "\`$member\`" spec/vectors/README.md || echo "$member"; done
done)
if [ -z "$missing" ]; then echo "ok $n - the page tells what is in them"; else echo "not ok $n - the page does not tell of $(echo "$missing" | tr '\n' ' ')"; fi
echo "1..$n"
