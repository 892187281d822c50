#!/bin/sh
# The install step is what a fresh machine has: every header that the build reads and every command that the tests call must come
# from a package of tests/packages/debian.txt, from one that it depends on, or from Debian's essential set. TAP.
cd "$(dirname "$0")/../.." || exit 1
list=tests/packages/debian.txt
listed=$(grep -v '^#' "$list")
if tests/packages/install.sh >/dev/null 2>&1; then
    echo "ok 1 - every listed package is installed"
else
    echo "not ok 1 - every listed package is installed"
fi
# What comes with the listed ones (recommended packages do not).
# shellcheck disable=SC2086 # a list of words
closure=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $listed git make 2>/dev/null |
    grep -E '^[a-z0-9]' | sort -u)
essential=$(dpkg-query -W -f '${Essential} ${Priority} ${Package}\n' | awk '$1 == "yes" || $2 == "required" { print $3 }')
unlisted=
owner() {
    file=$(readlink -f "$1")
    dpkg-query -S "$file" "${file#/usr}" "/usr$file" 2>/dev/null | head -n 1 | sed 's/:.*//; s/,.*//'
}
covered() {
    printf '%s\n%s\n' "$closure" "$essential" | grep -qxF "$1"
}
headers=$(for source in lib/*.c lib/sys/*.c log/*.c witness/*.c client/*.c tests/unit/support.c; do
        gcc -std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSTELE_VERSION='""' -I. -M "$source"
    done | tr ' \\' '\n\n' | grep '^/' | sort -u)
for header in $headers; do
    package=$(owner "$header")
    covered "${package:-?}" || unlisted="$unlisted ${package:-no package}($header)"
done
if [ -n "$headers" ] && [ -z "$unlisted" ]; then
    echo "ok 2 - every header comes from a listed package"
else
    echo "not ok 2 - headers from packages that are not listed:$unlisted"
fi
unlisted=
for command in perl gcc clang nm nginx curl jq sqlite3 nix nix-store nix-build nix-hash nix-instantiate mandoc xz awk sed grep find od base64 cmp git make; do
    path=$(command -v "$command") || {
        unlisted="$unlisted $command(missing)"
        continue
    }
    package=$(owner "$path")
    covered "${package:-?}" || unlisted="$unlisted $command(${package:-no package})"
done
if [ -z "$unlisted" ]; then
    echo "ok 3 - every command that the tests call comes from a listed package"
else
    echo "not ok 3 - commands from packages that are not listed:$unlisted"
fi
echo 1..3
