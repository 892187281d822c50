#!/bin/sh
# The table of spec/builds.md on a newer Nix, where `make check-nix` has brought one; it has the whole of the builder's side. TAP.
. "$(dirname "$0")/lib.sh"
newer=$here/../../build/newer-nix/bin
if ! "$newer/nix" --version >/dev/null 2>&1; then
    skipped "every kind of build on a newer Nix" "make check-nix brings one"
else
    world
    accepts "every kind of build on $("$newer/nix" --version 2>/dev/null)" \
        env PATH="$newer:$PATH" STELE_NIX_CONFIG="build-hook = $newer/nix __build-remote" "$here/test_build_kinds.sh"
fi
done_testing
