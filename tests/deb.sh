#!/bin/sh
# deb.sh OUT: builds the Debian package from a copy of this folder, into OUT, and looks at what is in it: the long form of
# tests/unit/check_debian.sh.
set -eu
cd "$(dirname "$0")/.."
tests/packages/install.sh deb
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/stele-$version"
git ls-files -z | xargs -0 tar -cf - | tar -xf - -C "$scratch/stele-$version"
(cd "$scratch/stele-$version" && dpkg-buildpackage -us -uc -b) >"$out/build.log" 2>&1 || {
    tail -n 40 "$out/build.log"
    exit 1
}
cp "$scratch"/*.deb "$out"
package=$(ls "$scratch"/stele_"$version"_*.deb)
dpkg-deb -c "$package" >"$out/contents"
for file in usr/bin/stele usr/bin/stele-hook usr/bin/stele-diff-hook usr/bin/stele-log usr/bin/stele-witness usr/lib/sysusers.d/stele.conf \
    usr/share/man/man1/stele.1.gz usr/share/man/man1/stele-diff-hook.1.gz usr/share/man/man5/stele.conf.5.gz usr/share/man/man8/stele-log.8.gz; do
    grep -q " \./$file\( \|\$\)" "$out/contents" || {
        echo "the package has no $file"
        exit 1
    }
done
for unit in systemd/*.service systemd/*.socket; do
    grep -q "lib/systemd/system/$(basename "$unit")\$" "$out/contents" || {
        echo "the package has no $(basename "$unit")"
        exit 1
    }
done
# What it installs runs.
dpkg-deb -x "$package" "$scratch/root"
[ "$("$scratch/root/usr/bin/stele" --version)" = "stele $version" ] || exit 1
! grep -rl '@PREFIX@' "$scratch/root/usr/lib" || exit 1
echo "$out/$(basename "$package")"
