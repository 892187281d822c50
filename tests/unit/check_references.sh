#!/bin/sh
# Where sources, messages and pages send the reader to: the page of spec/ is there, and what is named of it. TAP.
cd "$(dirname "$0")/../.." || exit 1
n=0
check() {
    n=$((n + 1))
    if [ -z "$2" ]; then echo "ok $n - $1"; else
        echo "not ok $n - $1"
        echo "$2" | sed 's/^/# /'
    fi
}
sources='lib log witness client tests man spec README.md CONTRIBUTING.md'
# said REGEX: each that matches, once, without backslashes.
# shellcheck disable=SC2086 # a list of words
said() { grep -rhoE "$1" $sources | tr -d '\\' | sort -u; }

pages=$(said '\bspec/[a-z]+\.md\b')
check "they were looked for" "$([ "$(echo "$pages" | wc -l)" -ge 10 ] || echo "only $pages")"
check "every page is there" "$(echo "$pages" | while read -r page; do [ -e "$page" ] || echo "$page"; done)"

# A heading, or what a paragraph begins with in bold. What is cut by a line's end is not looked at.
named=$(said '\b[a-z]+\.md`?\)?, \\?"[A-Z][^"]*"' | sed 's/`//; s/)//; s/, "/|/; s/"$//' | sort -u)
check "so were parts of them" "$([ "$(echo "$named" | wc -l)" -ge 10 ] || echo "only $named")"
check "every part is there" "$(echo "$named" | while IFS='|' read -r page part; do
    grep -E '^#|^\*\*' "spec/$page" | grep -qF -- "$part" || echo "$page: $part"
done)"

check "every invariant is there" "$(said 'spec/invariants\.md(,|`, ) ?[0-9]+' | grep -o '[0-9]*$' | while read -r number; do
    grep -q "^## $number\. " spec/invariants.md || echo "$number"
done)"
# shellcheck disable=SC2086 # a list of words
check "nobody is sent to what is not here" "$(grep -rnE '\bdesign (section|invariant) [0-9]' $sources)"
echo "1..$n"
