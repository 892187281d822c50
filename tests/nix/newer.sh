#!/bin/sh
# `make check-nix`: the tests of the builder's side and of the gate on the Nix of the next Debian, 13, whose packages are fetched from
# where this machine gets its own and unpacked into build/newer-nix, without root and without touching what is installed: the programs run
# through their own loader.
#   newer.sh fetch     only that
#   newer.sh           and the tests
set -u
cd "$(dirname "$0")/../.." || exit 1
into=$PWD/build/newer-nix

fetch() {
    work=$(mktemp -d) || return 1
    trap 'rm -rf "$work"' EXIT
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 2>/dev/null | awk '$1 == "Debian" && !/security/ { print $2; exit }')
    [ -n "$mirror" ] || return 1
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root" "$work/bin"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources"
    set -- -q -y -o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists" \
        -o "Dir::Cache=$work/cache" -o Dir::State::status=/dev/null -o Debug::NoLocking=1 -o APT::Install-Recommends=false \
        -o APT::Sandbox::User="$(id -un)"
    timeout 300 apt-get "$@" update >"$work/log" 2>&1 && timeout 300 apt-get "$@" --download-only install nix-bin >>"$work/log" 2>&1 || {
        tail -n 3 "$work/log" >&2
        return 1
    }
    for package in "$work"/cache/archives/nix-bin_*.deb "$work"/cache/archives/lib*.deb; do
        case $package in *perl*) ;; *) dpkg-deb -x "$package" "$work/root" || return 1 ;; esac
    done
    for program in nix nix-store nix-build nix-instantiate nix-hash nix-daemon; do
        cat >"$work/bin/$program" <<END
#!/bin/sh
lib=$into/root/usr/lib
exec "\$lib"64/ld-linux-x86-64.so.2 --argv0 $program --library-path "\$lib/x86_64-linux-gnu" $into/root/usr/bin/nix "\$@"
END
        chmod +x "$work/bin/$program"
    done
    rm -rf "$into"
    mkdir -p "$into" && mv "$work/root" "$work/bin" "$into"
}

[ -x "$into/bin/nix" ] || fetch || echo "Debian 13's packages cannot be had here" >&2
[ "${1:-}" = fetch ] && exec test -x "$into/bin/nix"
if ! "$into/bin/nix" --version 2>/dev/null; then
    echo "ok 1 - the builder's side and the gate on a newer Nix # SKIP there is none here"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
export PATH="$into/bin:$PATH" STELE_NIX_CONFIG="build-hook = $into/bin/nix __build-remote" STELE_BUILD="$PWD/build/plain"
# test_gate_daemon.sh starts a daemon without this configuration.
# shellcheck disable=SC2046 # a list of words
tests/run.sh only $(ls tests/e2e/test_build_*.sh tests/e2e/test_gate*.sh tests/e2e/test_attacks*.sh tests/e2e/test_audit.sh | grep -v -e newer -e gate_daemon)
