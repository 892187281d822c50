#!/bin/sh
# make.sh PROGRAM PAGE: a manual page of a program with verbs, on stdout. What stands after "@verb NAME" in PAGE is that verb's text;
# where "@verbs" stands come all verbs that the program has, each with its usage and options as its own --help tells them, and its
# text. So a page cannot say less than the program does.
set -eu
program=$1 page=$2
name=$(basename "$program")
# escape: text that mdoc(7) takes as it is, in lines that are not too long.
escape() { sed 's/\\/\\e/g; s/^[.'"'"']/\\\&&/; s/-/\\-/g' | fold -s -w 76 | sed 's/ *$//; s/^ *//'; }
text_of() { awk -v want="$1" '/^@verb / { on = $2 == want; next } /^@/ { on = 0; next } on' "$page"; }
sed '/^@/,$d' "$page"
"$program" --help | sed -n "s/^  $name \([a-z-]*\) .*/\1/p" | while read -r verb; do
    # A text that goes on in the next line, under its beginning, is one.
    help=$("$program" "$verb" --help | sed -e ':a' -e '$!N; s/\n \{26\} *\([^ ]\)/ \1/; ta' -e 'P; D')
    printf '.Ss %s\n.Bd -literal\n' "$(echo "$verb" | sed 's/-/\\-/g')"
    echo "$help" | sed -n 1p | sed 's/\\/\\e/g; s/-/\\-/g'
    printf '.Ed\n.Pp\n'
    # The line under the usage is a phrase; here it is a sentence.
    echo "$help" | sed -n 3p | sed 's/^\(.\)/\U\1/; s/\([^?.]\)$/\1./' | escape
    text=$(text_of "$verb")
    [ -z "$text" ] || printf '.Pp\n%s\n' "$text"
    echo '.Bl -tag -width indent'
    echo "$help" | sed -n 's/^  \(--[a-z-]*\)\( [^ ]*\)\?  *\(.*\)/\1\t\2\t\3/p' | while IFS="$(printf '\t')" read -r option value about; do
        printf '.It Fl %s' "$(echo "$option" | sed 's/^-//; s/-/\\-/g')"
        value=$(echo "$value" | tr -d ' ')
        [ -z "$value" ] || printf ' Ar %s' "$value"
        echo
        echo "$about" | sed 's/^\(.\)/\U\1/; s/\([^?.]\)$/\1./' | escape
    done
    echo '.El'
done
awk '/^@verbs$/ { on = 1; next } /^@verb / { on = 0 } on' "$page"
