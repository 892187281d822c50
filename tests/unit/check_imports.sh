#!/bin/sh
# lib/ is pure (design: calls go log|witness|client -> lib/sys -> lib): its objects import nothing but memory and string
# functions, SHA-256, signature verification, and each other. TAP.
cd "$(dirname "$0")/../.." || exit 1
lib=build/plain/lib/libstele.a
allowed='^(mem(cpy|move|set|cmp|chr|rchr|mem)|malloc|calloc|realloc|free|reallocarray|str(len|cmp|ncmp|chr|rchr|str|spn|cspn)|qsort|bsearch'
allowed="$allowed"'|(v?s?n?printf|__v?snprintf_chk)|__(mem|str)[a-z]*_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|abort|__assert_fail'
allowed="$allowed"'|nettle_sha256_(init|update|digest)|nettle_(sha1|sha512|md5)_(init|update|digest)|crypto_sign_verify_detached'
allowed="$allowed"')$'
defined=$(nm --defined-only "$lib" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
foreign=$(nm -u "$lib" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u | grep -vxF "$defined" | grep -Ev "$allowed")
if [ -z "$defined" ]; then
    echo "not ok 1 - $lib is not there"
elif [ -n "$foreign" ]; then
    echo "not ok 1 - lib/ imports what a pure library must not: $(echo "$foreign" | tr '\n' ' ')"
else
    echo "ok 1 - lib/ imports only memory, strings, hashes and verification"
fi
# The includes tell the same for the layers: lib/ knows nothing above it, lib/sys nothing above lib.
if grep -nE '#include "(lib/sys|log|witness|client)/' lib/*.[ch]; then
    echo "not ok 2 - lib/ includes a header of a layer above it"
else
    echo "ok 2 - lib/ includes only lib/"
fi
if grep -nE '#include "(log|witness|client)/' lib/sys/*.[ch]; then
    echo "not ok 3 - lib/sys includes a header of a program"
else
    echo "ok 3 - lib/sys includes only lib/ and lib/sys/"
fi
if grep -nE '#include "(witness|client)/' log/*.[ch] || grep -nE '#include "(log|client)/' witness/*.[ch] ||
    grep -nE '#include "(log|witness)/' client/*.[ch]; then
    echo "not ok 4 - a program includes another's header"
else
    echo "ok 4 - the programs know nothing of each other"
fi
echo 1..4
