#!/bin/sh
# The Debian source package agrees with the rest: what is needed to build, the version, the licence. `make deb` builds it. TAP.
cd "$(dirname "$0")/../.." || exit 1
n=0
same() {
    n=$((n + 1))
    if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
        echo "not ok $n - $1"
        printf '%s\n-- is not --\n%s\n' "$2" "$3" | sed 's/^/# /'
    fi
}
version=$(sed -n 's/^VERSION *:= *//p' Makefile)
same "the changelog has the Makefile's version" "$version" "$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)"
same "so has the Nix package" "$version" "$(sed -n 's/^ *version = "\(.*\)";/\1/p' nix/package.nix)"
same "so has CHANGELOG.md" "$version" "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)"
same "what it builds with is what the project builds with" \
    "$(sed -n '/^# To build/,/^# To test/p' tests/packages/debian.txt | grep -v '^#\|^gcc$\|^libc6-dev$' | sort)" \
    "$(sed -n '/^Build-Depends/,/^[A-Z]/p' debian/control | sed -n 's/^ \([a-z0-9.-]*\),*$/\1/p' | sort)"
same "the licence is LICENSE's" "$(sed -n '/^Permission/,$p' LICENSE | sed 's/^$/./; s/^/ /')" "$(sed -n '/^ Permission/,$p' debian/copyright)"
same "debian/rules can be run" yes "$([ -x debian/rules ] && make -n -f debian/rules clean >/dev/null 2>&1 && echo yes)"
for script in debian/postinst tests/deb.sh; do same "$script is a shell script" "" "$(sh -n $script 2>&1)"; done
if command -v dpkg-parsechangelog >/dev/null 2>&1; then
    same "dpkg reads the changelog" "stele $version" "$(dpkg-parsechangelog -S Source) $(dpkg-parsechangelog -S Version)"
else
    n=$((n + 1))
    echo "ok $n - dpkg reads the changelog # SKIP dpkg-dev is not installed"
fi
echo "1..$n"
