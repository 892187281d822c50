#!/bin/sh
# Some hundred seeds of the simulation (`make sim` runs any number); and that it would find what it is for. TAP.
sim=${STELE_BUILD:-build/sim}/tests/sim/sim
seeds=${SEEDS:-200}
n=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
check() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2" && sed 's/^/# /' "$out"; fi
}

# A run that fails is told by its seed: build/sim/tests/sim/sim -v SEED tells its story.
"$sim" 1 "$seeds" >"$out.all"
status=$?
grep -v ' holds: ' "$out.all" >"$out"
check $status "$seeds seeds"
awk '/ holds: / { proofs += $4; heads += $6 } END { exit !(NR > 10 && proofs > 10 * NR && heads > 10 * NR) }' "$out.all"
check $? "in which the log had something to do"
awk '/ holds: / { turned += $10; found += $13 } END { exit !(turned > NR / 2 && found > turned / 2) }' "$out.all"
check $? "and bits that turned, most of which were found"
rm -f "$out.all"

"$sim" 3 2 >"$out.1"
"$sim" 3 2 >"$out.2"
sort "$out.1" >"$out"
sort "$out.2" | cmp -s - "$out"
check $? "a seed tells the same story again"
rm -f "$out.1" "$out.2"

! "$sim" -s 1 30 >"$out"
check $? "where no sync of a file does anything, some seed fails"
! "$sim" -c 1 30 >"$out"
check $? "where no commit of the store lasts, some seed fails"
echo "1..$n"
