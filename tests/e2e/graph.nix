# The derivations of the story: one with two outputs, one fixed-output, some that depend on others. Nothing but /bin/sh.
let
  build = import ./build.nix;
  greeting = builtins.toFile "greeting.txt" "hello\n";
in rec {
  fetched = build "fetched" {
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" "fetched\n";
  } "echo fetched > $out";
  library = build "library" { inherit greeting; outputs = [ "out" "dev" ]; }
    "mkdir -p $out $dev; cp $greeting $out/greeting; echo $out > $dev/location";
  tool = build "tool" { inherit library; }
    "mkdir -p $out/bin; printf '#!/bin/sh\\ncat %s/greeting\\n' $library > $out/bin/tool; chmod +x $out/bin/tool";
  data = build "data" { inherit fetched; } "mkdir $out; cp $fetched $out/data";
  app = build "app" { inherit tool data; dev = library.dev; }
    "mkdir $out; echo $tool $data > $out/app; cat $dev/location >> $out/app";
}
