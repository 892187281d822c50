#!/bin/sh
# NAR, narinfo and ATerm against Nix's own tools: what ours takes Nix takes, and reads as the same; what ours refuses and Nix takes
# is no form that Nix would write. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
formats() { "$STELE_BUILD/tests/e2e/nix_formats" "$@"; }

# A tree of all that a NAR can hold: sizes around the padding, odd names, modes, depth, links to nowhere.
mkdir "$W/tree" && cd "$W/tree" || exit 1
for size in 0 1 7 8 9 15 16 17 4095 4096 4097 65536 1048577; do head -c "$size" /dev/zero | tr '\0' 'z' >"size-$size"; done
mkdir empty names deep
for name in 'a b' 'ä' '-x' '.hidden' "quo'te" 'dou"ble' 'back\slash' 'x~nix~case~hack~1' '%2e%2e' '...' 'A' 'a' 'a.' 'a-' 'a0'; do
    echo "$name" >"names/$name"
done
printf x >"names/$(printf 'new\nline')"
printf x >"names/$(printf 'byte\377')"
printf '#!/bin/sh\n' >run && chmod 755 run
cp run group && chmod 654 group
ln -s /nowhere/at/all names/dangling && ln -s ../run link && ln -s names folder-link
(cd deep && for i in $(seq 60); do mkdir "d$i" && cd "d$i" || exit 1; done && echo bottom >file)
cd "$W" || exit 1
nix-store --dump tree >tree.nar
same "a tree's NAR is what Nix dumps" "$(sha256sum <tree.nar | cut -d' ' -f1) $(stat -c %s tree.nar)" "$(formats hash tree)"
same "which is a NAR" "ok tree.nar" "$(formats nar tree.nar)"
nix-store --restore back <tree.nar
same "and what Nix restores of it has the same NAR" "$(formats hash tree)" "$(formats hash back)"

# Damaged ones, each in a small NAR that has every kind of node. Nix takes more than it writes: what only it takes is another NAR
# once dumped again.
mkdir small small/d mutants restored
head -c 500 tree/size-4095 >small/d/file && cp tree/run small/run && ln -s d/file small/link && : >small/none
nix-store --dump small >small.nar
formats mutants small.nar mutants 40
formats nar mutants/* >verdicts
disagree=
for i in $(seq 0 39); do
    theirs=no
    nix-store --restore "restored/$i" <"mutants/$i" >"$W/out" 2>&1 && nix-store --dump "restored/$i" 2>"$W/out" | cmp -s - "mutants/$i" && theirs=ok
    grep -q "^$theirs mutants/$i\(:\|$\)" verdicts || disagree="$disagree $i"
done
same "on 40 damaged NARs ours and Nix's agree" "" "$disagree"
same "among which some are still NARs, and most are not" yes \
    "$([ "$(grep -c '^ok' verdicts)" -ge 3 ] && [ "$(grep -c '^no' verdicts)" -ge 20 ] && echo yes)"

# Paths of all kinds: built, with references and a deriver; content-addressed as a text, flat and recursive.
cat >paths.nix <<'END'
let
  sh = name: more: derivation ({ inherit name; system = builtins.currentSystem; builder = "/bin/sh"; } // more);
  text = builtins.toFile "text" "a text that refers to ${builtins.toFile "other" "another"}\n";
in rec {
  base = sh "base" { args = [ "-c" "echo base > $out" ]; };
  user = sh "user" { outputs = [ "out" "dev" ]; args = [ "-c" "echo ${base} ${text} $out > $out; echo > $dev" ]; };
  odd = sh "odd" {
    args = [ "-c" "echo \"$odd\" > $out" ];
    odd = "quotes \" and ' and \\ and \${x}\n\t\r tabs, ünïcödé";
    empty = "";
    list = [ "a b" 1 true ./. ];
    "weird name-1.2" = "x";
  };
  fixed = sh "fixed" { args = [ "-c" "printf fixed > $out" ]; outputHashAlgo = "sha256"; outputHashMode = "flat";
    outputHash = builtins.hashString "sha256" "fixed"; };
  attrs = sh "attrs" { __structuredAttrs = true; args = [ "-c" "echo > $(sed 's/.*\"out\":\"\\([^\"]*\\).*/\\1/' .attrs.json)" ]; a.b = [ 1 2 ]; };
}
END
mkdir src && mv paths.nix src/ && : >src/beside
nix-store --generate-binary-cache-key cache.example-1 secret public
paths=$(nix-build --no-out-link src/paths.nix -A user -A base -A odd -A fixed 2>"$W/out")
added=$(nix-store --add-fixed --recursive sha256 small)
text=$(nix-store -q --references "$(echo "$paths" | grep -- '-user$')" | grep -- '-text$')
for compression in none xz bzip2 zstd gzip br lz4; do
    # shellcheck disable=SC2086 # a list of words
    nix copy --to "file://$W/cache-$compression?compression=$compression&secret-key=$W/secret" $paths "$added" "$text" 2>"$W/out"
    wrong=
    for path in $paths $added $text; do
        formats narinfo "$NIX_STORE_DIR" "cache-$compression/$(basename "$path" | cut -c1-32).narinfo" >ours 2>&1
        nix path-info --json --store "file://$W/cache-$compression" "$path" >theirs 2>"$W/out"
        jq -S '.[0] | {path, narHash, narSize, references: (.references | sort), signatures, deriver, ca, url} | with_entries(select(.value != null))' theirs >want
        jq -S . ours | cmp -s - want || wrong="$wrong $path"
    done
    same "every narinfo that Nix writes with compression $compression is read as Nix reads it" "" "$wrong"
done
same "with signatures, references, a deriver and a content address among them" 4 \
    "$(cat cache-xz/*.narinfo | sed -n 's/^\(Sig\|Deriver\|CA\): ..*/\1/p; s/^\(References\): .* .*/\1/p' | sort -u | wc -l)"

for name in base user odd fixed attrs; do
    drv=$(nix-instantiate src/paths.nix -A "$name" 2>"$W/out" | sed 's/!.*//' | head -n 1)
    nix show-derivation "$drv" 2>"$W/out" | jq -S '.[] | .inputSrcs |= sort' >theirs
    formats drv "$NIX_STORE_DIR" "$drv" 2>&1 | jq -S '.inputSrcs |= sort' >ours
    cmp -s ours theirs || diff theirs ours | sed 's/^/# /' | head -n 10
    same "the derivation $name is read as Nix reads it" "$(cksum <theirs)" "$(cksum <ours)"
done
same "where there was something to read" yes "$([ -s theirs ] && echo yes)"
done_testing
