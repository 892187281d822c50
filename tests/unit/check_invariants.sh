#!/bin/sh
# spec/invariants.md names the tests of each invariant: the files must be there, and in them the words that it quotes. TAP.
cd "$(dirname "$0")/../.." || exit 1
missing=$(sed -n 's/^- \(tests[^:]*\): \(.*\)/\1 \2/p' spec/invariants.md | while read -r file words; do
    grep -Eqs "$words" "$file" || echo "# $file: $words"
done)
n=$(grep -c '^- tests' spec/invariants.md)
if [ "$n" -gt 0 ] && [ -z "$missing" ]; then
    echo "ok 1 - the $n tests that spec/invariants.md names are there"
else
    echo "not ok 1 - tests that spec/invariants.md names are not there"
    echo "$missing"
fi
# Every invariant has some.
bare=$(awk '/^## / { if (title != "" && n == 0) print "# " title; title = $0; n = 0 } /^- tests/ { n++ } END { if (n == 0) print "# " title }' spec/invariants.md)
if [ -z "$bare" ]; then
    echo "ok 2 - every invariant has a test"
else
    echo "not ok 2 - invariants without a test"
    echo "$bare"
fi
echo 1..2
