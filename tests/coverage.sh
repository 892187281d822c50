#!/bin/sh
# Runs the unit tests, the fuzz targets over their corpora, and the end-to-end tests whose programs go the longest ways through
# lib/sys (service, clock, signer, Nix's database), from a build with --coverage; prints how many lines and branches of each folder
# they reached. Fails where lib/ is below LINES_MIN % of its lines, or lib/sys below SYS_LINES_MIN. What was not reached stands in
# BUILD/coverage.txt, a line "FILE:LINE" each.
#   coverage.sh BUILD
set -eu
cd "$(dirname "$0")/.."
build=$1
: "${LINES_MIN:=95}" "${SYS_LINES_MIN:=92}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

find "$build" -name '*.gcda' -delete
tests=$(find "$build/tests/unit" -type f -executable -name 'test_*' -o -type f -executable -name 'vectors_*' | sort)
targets=$(find "$build/tests/fuzz" -type f -executable -name 'fuzz_*' | sort)
programs='cli clock log fsck witness_operation witness_bastion build_honesty build_agent audit setup trust'
# shellcheck disable=SC2086 # lists of words
STELE_BUILD=$PWD/$build tests/run.sh only $tests $targets $(printf 'tests/e2e/test_%s.sh ' $programs) >"$out/tap" 2>&1 || true
if grep -E '^ *not ok' "$out/tap" >&2; then
    echo "the coverage is that of tests which failed" >&2
    exit 1
fi

# One line a source line, "FILE LINE COUNT", and one a branch, "FILE LINE NUMBER COUNT"; a header's are met in many objects.
find "$build/lib" "$build/log" "$build/witness" "$build/client" -name '*.gcno' | while read -r notes; do
    gcov --json-format --stdout --branch-probabilities "$notes" 2>/dev/null
done | jq -r '.files[] | select(.file | test("^(lib|log|witness|client)/")) | .file as $file | .lines[] |
    .line_number as $line | "\($file) \($line) \(.count)",
    (.branches | to_entries[] | select(.value.throw | not) | "\($file) \($line) \(.key) \(.value.count)")' >"$out/counts"

awk -v min="$LINES_MIN" -v sys_min="$SYS_LINES_MIN" -v missed="$build/coverage.txt" '
    NF == 3 { line[$1 " " $2] += $3 }
    NF == 4 { branch[$1 " " $2 " " $3] += $4 }
    function folder(key,    file) {
        file = key
        sub(/ .*/, "", file)
        sub(/\/[^\/]*$/, "", file)
        return file
    }
    function percent(part, all) { return all ? sprintf("%.1f %%", 100 * part / all) : "-" }
    END {
        for (key in line) {
            at = folder(key)
            lines[at]++
            reached[at] += line[key] > 0
            if (line[key] == 0) {
                place = key
                sub(/ /, ":", place)
                print place | ("sort -t: -k1,1 -k2,2n >" missed)
            }
        }
        for (key in branch) {
            at = folder(key)
            branches[at]++
            taken[at] += branch[key] > 0
        }
        n = split("lib lib/sys log witness client", order)
        printf "%-10s %8s %9s %10s %9s\n", "folder", "lines", "reached", "branches", "taken"
        for (i = 1; i <= n; i++)
            printf "%-10s %8d %9s %10d %9s\n", order[i], lines[order[i]], percent(reached[order[i]], lines[order[i]]),
                branches[order[i]], percent(taken[order[i]], branches[order[i]])
        below("lib", min)
        below("lib/sys", sys_min)
        exit failed
    }
    function below(at, percent_min) {
        if (lines[at] > 0 && 100 * reached[at] >= percent_min * lines[at])
            return
        print at " is below " percent_min " % of its lines; " missed " names those that no test reached"
        failed = 1
    }' "$out/counts"
