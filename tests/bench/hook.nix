# One derivation of 10 KB with 20 inputs, whose closure has `closure` paths; one of `big` bytes.
{ closure, big ? 1 }:
let
  build = import ../e2e/build.nix;
  chain = from: n: builtins.foldl' (below: i: builtins.toFile "text-${toString i}" "${below}\n") "ground" (builtins.genList (i: from + i) n);
  inputs = builtins.genList (i: build "input-${toString i}" { text = chain (i * 100000) (closure / 20 - 1); } "echo $text >$out") 20;
in {
  small = build "small" { inherit inputs; } "echo $inputs >$out; head -c 10000 /dev/zero >>$out";
  big = build "big" { } "head -c ${toString big} /dev/zero >$out";
}
