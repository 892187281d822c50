#!/bin/sh
# `make bench`: all parts, one after the other, on a machine that does nothing else. OUT gets table.md, one table with the date and the
# machine, and what plot.sh draws; all of it, or nothing where a part fails.
#   all.sh BUILD OUT ENTRIES    ENTRIES: up to which size the log grows
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
BENCH_DATA=$(mktemp -d)
trap 'rm -rf "$BENCH_DATA"' EXIT
BENCH_TABLE=$BENCH_DATA/table.md
export BENCH_DATA BENCH_TABLE

machine="$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r), $(nproc) x $(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo),\
 $(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB, $(df --output=fstype "${TMPDIR:-/tmp}" | tail -n 1)"
when=$(date -u +%F)
started=$(date +%s)
cat >"$BENCH_TABLE" <<END
# \`make bench\`, $when

$machine; $(nix --version); load $(cut -d' ' -f1 /proc/loadavg) at the start. What the rows mean: [README.md](README.md).

| row | figure | beside |
| --- | --- | --- |
END
"$here/run.sh" "$build"
"$here/growth.sh" "$build" "$3"
"$here/gate.sh" "$build"
"$here/gate.sh" "$build" 1000 7 0
printf '\n%s minutes.\n' $((($(date +%s) - started) / 60)) | tee -a "$BENCH_TABLE"
"$here/plot.sh" "$BENCH_DATA" "$when, $machine"
mv "$BENCH_DATA"/table.md "$BENCH_DATA"/*.svg "$out"
echo "written: $(cd "$out" && echo "$PWD"/table.md "$PWD"/*.svg)"
