# What the tests build, by name, further attributes and script: with nothing but /bin/sh and what a Debian always has.
name: attrs: script: derivation ({
  inherit name;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" script ];
  PATH = "/usr/bin:/bin";
} // attrs)
