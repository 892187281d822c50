# Stele on NixOS: services.stele.builder, .gate, .log and .witness. The units are those that the package brings; here they get what is
# this machine's own.
{ config, lib, pkgs, ... }:

let
  inherit (lib) concatMapStrings mkEnableOption mkForce mkIf mkMerge mkOption optionalString types;
  cfg = config.services.stele;
  path = default: description: mkOption { type = types.str; inherit default description; };
  globs = description: mkOption { type = types.listOf types.str; default = [ ]; inherit description; };
  lines = name: concatMapStrings (value: "${name} ${value}\n");
  user = name: {
    users.users.${name} = { isSystemUser = true; group = name; };
    users.groups.${name} = { };
  };
  server = name: mkMerge [
    (user name)
    {
      systemd.packages = [ cfg.package ];
      systemd.services.${name}.wantedBy = [ "multi-user.target" ];
    }
  ];
in
{
  options.services.stele = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      description = "The package that is used.";
    };

    builder = {
      enable = mkEnableOption "attesting what is built here: names become public for ever";
      key = path "/etc/stele/builder.key" "The builder's secret key, of `stele keygen`.";
      policy = path "/etc/stele/policy" "The log's policy (tlog-policy).";
      state = path "/var/lib/stele" "Where the outbox and the proofs are.";
      skip = globs "Names that are kept out of public.";
      attest = globs "Where there are any, the only names that are attested.";
      signAgent = mkEnableOption "a process of its own for the key, so that no hook reads it";
      nextHook = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "Another post-build-hook, run after Stele's.";
      };
    };

    gate = {
      enable = mkEnableOption "the gate, as Nix's only substituter";
      listen = path "127.0.0.1:7382" "Where Nix asks it.";
      publicKey = mkOption { type = types.str; description = "The gate's public key: the only one that Nix trusts then."; };
      signingKey = path "/etc/stele/gate.key" "Its secret key, readable for the user stele-gate.";
      policy = path "/etc/stele/policy" "Which logs, which witnesses (tlog-policy).";
      trust = path "/etc/stele/trust" "Who may vouch for what.";
      upstreams = mkOption { type = types.listOf types.str; description = "The caches behind it, in order of preference."; };
      mode = mkOption {
        type = types.enum [ "enforce" "warn" ];
        default = "enforce";
        description = "With `warn` all passes that a cache of the trust file vouches for.";
      };
      refuseWith = mkOption {
        type = types.enum [ 404 451 ];
        default = 404;
        description = "404: Nix goes on and builds. 451: it stops, and shows why.";
      };
    };

    log.enable = mkEnableOption "a log in /var/lib/stele-log, of `stele-log init`";
    witness.enable = mkEnableOption "a witness in /var/lib/stele-witness, of `stele-witness init`";
  };

  config = mkMerge [
    (mkIf (cfg.builder.enable || cfg.gate.enable || cfg.log.enable || cfg.witness.enable) {
      environment.systemPackages = [ cfg.package ];
    })

    (mkIf cfg.builder.enable {
      nix.settings = { post-build-hook = "${cfg.package}/bin/stele-hook"; }
      // (if cfg.builder.signAgent then { run-diff-hook = true; diff-hook = "${cfg.package}/bin/stele-diff-hook"; } else { });
      environment.etc."stele/stele.conf".text = ''
        policy ${cfg.builder.policy}
        key ${cfg.builder.key}
        state ${cfg.builder.state}
        outbox ${cfg.builder.state}/outbox
      ''
      + optionalString cfg.builder.signAgent "sign-agent /run/stele/agent\n"
      + lines "skip" cfg.builder.skip
      + lines "attest" cfg.builder.attest
      + optionalString (cfg.builder.nextHook != null) "next-hook ${cfg.builder.nextHook}\n";
      systemd.packages = [ cfg.package ];
      systemd.services.stele-deliver = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ReadWritePaths = [ cfg.builder.state ];
      };
    })

    (mkIf (cfg.builder.enable && cfg.builder.signAgent) {
      systemd.services.stele-sign-agent = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ReadWritePaths = [ cfg.builder.state ];
      };
    })

    (mkIf cfg.gate.enable (mkMerge [
      (user "stele-gate")
      {
        # That its key is the only one is what enforces; whatever else asks for a substituter or a trusted user is overruled.
        nix.settings = {
          substituters = mkForce [ "http://${cfg.gate.listen}" ];
          trusted-public-keys = mkForce [ cfg.gate.publicKey ];
          trusted-substituters = mkForce [ ];
          trusted-users = mkForce [ "root" ];
          require-sigs = mkForce true;
          narinfo-cache-negative-ttl = 0;
        };
        environment.etc."stele/gate.conf".text = ''
          policy ${cfg.gate.policy}
          trust ${cfg.gate.trust}
          state /var/lib/stele-gate
          signing-key ${cfg.gate.signingKey}
          mode ${cfg.gate.mode}
          refuse-with ${toString cfg.gate.refuseWith}
        ''
        + lines "upstream" cfg.gate.upstreams;
        systemd.packages = [ cfg.package ];
        systemd.sockets.stele-gate = {
          wantedBy = [ "sockets.target" ];
          socketConfig.ListenStream = [ "" cfg.gate.listen ];
        };
        systemd.services.stele-gate.serviceConfig.ExecStart = [ "" "${cfg.package}/bin/stele gate --config /etc/stele/gate.conf" ];
      }
    ]))

    (mkIf cfg.log.enable (server "stele-log"))
    (mkIf cfg.witness.enable (server "stele-witness"))
  ];
}
