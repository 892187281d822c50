#!/bin/sh
# Installs the packages of debian.txt that are missing: with apt as root, otherwise by printing the exact line.
#   install.sh [SET...]    those that all need, and those of the sets
set -eu
list=$(dirname "$0")/debian.txt
wanted=$(grep -v '^#' "$list"; for set; do sed -n "s/^#$set: //p" "$list"; done)
missing=
for package in $wanted; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
    "install ok installed") ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "missing packages; as root, run:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
apt-get -qq install -y --no-install-recommends $missing >/dev/null
