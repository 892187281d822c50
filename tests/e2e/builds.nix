# One derivation for each kind of build in spec/builds.md; nothing but /bin/sh and what a Debian always has. `salt` is in every
# one, so that a test can have it built anew; what must differ from build to build comes from the file `nonce`.
{ nonce ? "/dev/null", salt ? "", many ? 0 }:
let
  build = name: attrs: import ./build.nix name ({ inherit salt; } // attrs);
  flat = text: { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" text; };
  floats = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  # Structured attributes come in files, not in the environment.
  from-file = output: "$(/bin/sed 's/.*\"outputs\":{[^}]*\"${output}\":\"\\([^\"]*\\)\".*/\\1/' .attrs.json)";
in rec {
  several = build "several" { outputs = [ "out" "dev" "doc" ]; } "echo $dev >$out; echo dev >$dev; echo doc >$doc";
  fixed = build "fixed" (flat "fixed\n") "echo fixed >$out";
  grounded = build "grounded" { inherit fixed; source = builtins.toFile "source" "source\n"; } "cat $fixed $source >$out";
  floating = build "floating" (floats // { outputs = [ "out" "dev" ]; }) "echo floating >$out; echo $out >$dev";
  on-floating = build "on-floating" { inherit floating; dev = floating.dev; } "cat $floating $dev >$out";
  structured = build "structured" { __structuredAttrs = true; outputs = [ "out" "dev" ]; list = [ "a" { b = 1; } ]; }
    "echo out >${from-file "out"}; echo dev >${from-file "dev"}";
  json = build "json" { __json = builtins.toJSON { list = [ "a" { b = 1; } ]; }; } "echo json >${from-file "out"}";
  impure = build "impure" { __impure = true; } "cat ${nonce} >$out";
  odd = build "odd+name-1.0_x?y=z.tar" { } "echo odd >$out";
  plain = build "plain" { inherit fixed; } "cat $fixed >$out";
  # So many inputs, and an output that refers to all of them.
  wide = build "wide" { inputs = builtins.genList (i: builtins.toFile "input-${toString i}" "${toString i}\n") many; passAsFile = [ "inputs" ]; }
    "cat $inputsPath >$out";
  # So many builds, with no input.
  one-of = builtins.genList (i: build "one-${toString i}" { } "echo ${toString i} >$out") many;
  differs = build "differs" { inherit fixed; outputs = [ "out" "dev" ]; } "echo $dev $fixed >$out; cat ${nonce} >>$out; cat ${nonce} >$dev";
}
