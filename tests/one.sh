#!/bin/sh
# For run.sh: runs one TAP test. Its lines "ok" and "not ok" go to OUT/NUMBER.tap; what is to be said of it, with all that is not
# "ok", to OUT/NUMBER.report; then NUMBER is printed. A test that dies counts as failed.
#   one.sh OUT NUMBER BUILD PROGRAM
set -u
out=$1 number=$2 program=$4
export STELE_BUILD="$3"
name="$(basename "$3") ${program##*tests/}"
tap=$out/$number.tap
said=$out/$number.out
err=$out/$number.err
case $program in */fuzz/fuzz_*) set -- tests/fuzz/replay.sh "$program" ;; *) set -- "$program" ;; esac

# Where a client's state is for root who names no other: the machine's own, and no test's.
machine=/var/lib/stele
[ -e $machine ] && machine=
started=$(date +%s)
# Nothing here takes minutes: what hangs is ended, and counted as failed.
timeout -k 10 "$PATIENCE_S" "$@" >"$said" 2>"$err" </dev/null
code=$?
seconds=$(($(date +%s) - started))
# cmocka writes a skipped test as "not ok N # SKIP name".
grep -E '^[[:space:]]*(ok|not ok) ' "$said" | sed -E 's/^[[:space:]]*//; s/^not ok ([0-9]+) # SKIP/ok \1 # SKIP/' >"$tap"
[ $code -ne 124 ] || echo "not ok - $name was ended after $PATIENCE_S s" >>"$tap"
grep -q '^not ok ' "$tap" || { [ $code -eq 0 ] || echo "not ok - $name ended with status $code" >>"$tap"; }
[ -z "$machine" ] || [ ! -e "$machine" ] || echo "not ok - $name, or a test beside it, left $machine behind" >>"$tap"
[ -s "$tap" ] || echo "not ok - $name ran no test" >>"$tap"
{
    printf '%-44s %3d s  %s\n' "$name" $seconds "$(awk -f tests/count.awk "$tap")"
    grep -h -E '^# .*(cases|SKIP)|SKIPPED' "$said" "$err" | sed 's/^/    /'
    if grep -q '^not ok ' "$tap"; then
        sed 's/^/    /' "$said" | grep -v '^    *ok ' | tail -n 60
        sed 's/^/    /' "$err" | tail -n 60
    fi
} >"$out/report.$number"
rm -f "$said" "$err"
mv "$out/report.$number" "$out/$number.report"
echo "$number"
