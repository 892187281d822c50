# A small stand-in for NixOS: enough of lib, pkgs and the module system to evaluate nix/module.nix with some settings. Options without
# a default must be set, types are checked, undeclared options under services.stele refused, mkForce overrules.
{ module, settings }:
let
  inherit (builtins) all any attrNames concatStringsSep elem filter foldl' head isAttrs isInt isList isString listToAttrs typeOf;
  unwrap = v: if isAttrs v && v ? __force then v.__force else v;
  lib = rec {
    mkOption = option: option // { __option = true; };
    mkEnableOption = what: mkOption { type = types.bool; default = false; description = "Whether to enable ${what}."; };
    mkIf = condition: content: { __if = condition; inherit content; };
    mkMerge = contents: { __merge = contents; };
    mkForce = value: { __force = value; };
    concatMapStrings = f: list: concatStringsSep "" (map f list);
    optionalString = condition: text: if condition then text else "";
    types = {
      bool = v: v == true || v == false;
      str = isString;
      package = v: isAttrs v && v ? outPath;
      listOf = of: v: isList v && all of v;
      nullOr = of: v: v == null || of v;
      enum = values: v: elem v values;
    };
    licenses.isc = { };
    platforms.linux = [ ];
  };
  pkgs.callPackage = file: _: { outPath = "/nix/store/00000000000000000000000000000000-stele"; inherit file; };

  # Options, and what was set of them.
  fill = where: options: set:
    let unknown = filter (name: !(options ? ${name})) (attrNames set);
    in
    if unknown != [ ] then throw "there is no option ${where}.${head unknown}"
    else builtins.mapAttrs
      (name: option:
        let here = "${where}.${name}";
        in
        if !(option ? __option) then fill here option (set.${name} or { })
        else
          let value = if set ? ${name} then set.${name} else option.default or (throw "${here} is not set");
          in if option.type value then value else throw "${here} has a wrong type: ${typeOf value}")
      options;

  # What is configured, all of mkIf and mkMerge resolved, as a list of plain sets.
  flatten = c:
    if c ? __merge then builtins.concatMap flatten c.__merge
    else if c ? __if then (if c.__if then flatten c.content else [ ])
    else [ c ];
  merge = a: b:
    if isAttrs a && a ? __force then a
    else if isAttrs b && b ? __force then b
    else if isAttrs a && isAttrs b && !(a ? outPath) then
      a // builtins.mapAttrs (name: value: if a ? ${name} then merge a.${name} value else value) b
    else if isList a && isList b then a ++ b
    else throw "two values for one option";
  plain = v: let u = unwrap v; in
    if isList u then map plain u
    else if isAttrs u && u ? outPath then u.outPath
    else if isAttrs u then builtins.mapAttrs (_: plain) u
    else u;

  evaluated = import module {
    inherit lib pkgs;
    config.services.stele = fill "services.stele" evaluated.options.services.stele settings;
  };
in
plain (foldl' merge { } (flatten evaluated.config))
