#!/bin/sh
# Every row of the table in spec/builds.md has its test in tests/e2e/test_build_*.sh, and every test its row; every reason for which
# nothing is attested has one that sees it counted. TAP.
cd "$(dirname "$0")/../.." || exit 1
rows=$(sed -n 's/^| `\([a-z-]*\)`.*/\1/p' spec/builds.md | sort)
tested=$(sed -n 's/^ *\(no_\)\{0,1\}row \([a-z-]*\).*/\2/p' tests/e2e/test_build_*.sh | sort -u)
n=0 failed=0
for row in $rows; do
    n=$((n + 1))
    if echo "$tested" | grep -qx -e "$row"; then echo "ok $n - $row"; else
        echo "not ok $n - $row stands in spec/builds.md, and no test shows it"
        failed=1
    fi
done
n=$((n + 1))
if stray=$(echo "$tested" | grep -vx -e "$rows"); then
    echo "not ok $n - tested, but not in spec/builds.md: $stray"
    failed=1
else
    echo "ok $n - no test without its row"
fi
for reason in $(sed -n '/^\*\*Never\*\*/,$p' spec/builds.md | grep -o '`[a-z-]*`' | tr -d '`'); do
    n=$((n + 1))
    if grep -q -e "^ *refused $reason " -e "counted $reason)" -e "\"^$reason " tests/e2e/test_build_*.sh; then
        echo "ok $n - $reason is counted"
    else
        echo "not ok $n - $reason is counted by no test"
        failed=1
    fi
done
echo "1..$n"
exit $failed
