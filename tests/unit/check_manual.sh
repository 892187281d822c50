#!/bin/sh
# The manual says what the programs do: every verb and option that --help tells, every key that a configuration may have and every
# word of trust files and policies, and nothing besides. Where a new one is missing, this fails. TAP.
cd "$(dirname "$0")/../.." || exit 1
n=0
check() {
    n=$((n + 1))
    if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
        echo "not ok $n - $1"
        { echo "$2" >"$W/want"; echo "$3" >"$W/got"; diff "$W/want" "$W/got" | sed 's/^</# not in the manual:/; s/^>/# only in the manual:/'; }
    fi
}
W=$(mktemp -d) || exit 1
trap 'rm -rf "$W"' EXIT
make -s man >"$W/make" 2>&1
check "the pages are made" "" "$(cat "$W/make")"
pages=build/plain/man

# Verbs and options, each with its text: from --help, and from the page.
for program in stele:1 stele-log:8 stele-witness:8; do
    name=${program%:*} page=$pages/$name.${program#*:}
    told=$(for verb in $(build/plain/bin/"$name" --help | sed -n "s/^  $name \([a-z-]*\)  *[^ ].*/\1/p"); do
        echo "$verb"
        build/plain/bin/"$name" "$verb" --help | sed -n "s/^  \(--[a-z-]*\).*/$verb \1/p"
    done)
    check "$name: its verbs and options" "$told" "$(sed 's/\\-/-/g' "$page" |
        awk '/^\.Sh/ { on = 0 } /^\.Ss / { on = 1; verb = $2; print verb } on && /^\.It Fl / { print verb, "-" $3 }')"
    check "$name: none without a word of explanation" "" "$(awk '/^\.It Fl / { getline next_line; if (next_line ~ /^\.|^$/) print }' "$page")"
    check "$name: no text for a verb that there is not" "" "$(sed -n 's/^@verb //p' "man/$(basename "$page").in" | while read -r verb; do
        echo "$told" | grep -qx -- "$verb" || echo "$verb"
    done)"
done

# The hooks have no verbs: what they are called with.
check "stele-hook.1: how each hook is called" "$(for name in stele-hook stele-diff-hook; do
    build/plain/bin/$name --help | sed -n "s/^  \($name\( [A-Z]*\)*\).*/\1/p" | tr 'A-Z' 'a-z' | sed 's/ *$//'
done)" "$(awk '/^\.Sh/ { on = $2 == "SYNOPSIS" } on && /^\.Nm/ { line = $2 } on && /^\.Ar/ { line = line " " $2 } /^\.Fl/ { line = "" }
    /^\.(Pp|Sh)/ { if (line != "") print line; line = "" }' man/stele-hook.1)"

# --help, of a program and of each of its verbs, fits a screen of 24 lines and 80 columns.
too_large() { awk -v of="$*" 'length > 80 { print of ": " $0 } END { if (NR > 24) print of ": " NR " lines" }'; }
check "--help fits a screen" "" "$(for name in stele stele-log stele-witness stele-hook stele-diff-hook; do
    build/plain/bin/$name --help | too_large $name
    build/plain/bin/$name --help | sed -n "s/^  $name \([a-z-]*\) .*/\1/p" | while read -r verb; do
        build/plain/bin/$name "$verb" --help | too_large $name "$verb"
    done
done)"

# Keys: from the tables in the code.
keys_of() { sed -n 's/^ *\(KEY(\|{ \)"\([a-z-]*\)", \(true\|false\|config_take\|take_\).*/\2/p' "$1" | sort; }
keys_in() { grep -h '^\.It Ic ' "$1" | tr ' ' '\n' | awk 'was == "Ic" { print } { was = $0 }' | sort; }
for file in client/config.c:stele.conf log/config.c:stele-log.conf witness/config.c:stele-witness.conf; do
    page=man/${file#*:}.5
    check "${file#*:}: its keys" "$(keys_of "${file%:*}")" "$(keys_in "$page")"
    check "${file#*:}: it was looked for" yes "$([ "$(keys_of "${file%:*}" | wc -l)" -ge 5 ] && echo yes)"
done
# spec/files.md has them as well, a row a server.
for server in 1:log 2:witness; do
    row=$(grep '^| `config`' spec/files.md | sed -n "${server%:*}p")
    check "spec/files.md: the keys of a ${server#*:}'s config" "" "$(keys_of "${server#*:}/config.c" | while read -r key; do
        case $row in *"\`$key\`"*) ;; *) echo "$key" ;; esac
    done)"
done
# The words that a line may start with: what the parser compares with.
words_of() { grep -o 'span_is(\(word\|kind\|first\|statement\|keyword\), "[a-z-]*"' "$1" | sed 's/.*"\(.*\)"/\1/' | sort -u; }
for file in lib/trust.c:stele-trust lib/policy.c:stele-policy; do
    missing=$(words_of "${file%:*}" | while read -r word; do grep -qw -- "$word" "man/${file#*:}.5" || echo "$word"; done)
    check "${file#*:}: every word of its lines" "" "$missing"
    check "${file#*:}: they were looked for" yes "$([ "$(words_of "${file%:*}" | wc -l)" -ge 4 ] && echo yes)"
done

# The files that the programs keep, by the names that they join to a folder.
kept() { grep -ho "path_join([a-z_>.-]*$1, \"[a-z.-]*\"" $2 | sed 's/.*"\(.*\)"/\1/' | sort -u; }
files=$(kept dir 'log/*.c witness/*.c lib/sys/service.c' && kept state 'client/*.c')
check "they were looked for" yes "$([ "$(echo "$files" | wc -l)" -ge 15 ] && echo yes)"
check "spec/files.md: every file that the programs keep" "" "$(for file in $files; do
    grep -q "^|.*[\`/]$file[\`/]" spec/files.md || echo "$file"
done)"
check "stele-files.5: every file that the programs keep" "" "$(for file in $files; do
    grep -qE "^\.It Pa (.* )?$file( |\$)" man/stele-files.5 || echo "$file"
done)"

# References lead somewhere, and the form is right.
check "every page that is referred to is there" "" "$(grep -h '^\.Xr stele' $pages/* | awk '{ print $2 "." $3 }' | sort -u |
    while read -r page; do [ -e "$pages/$page" ] || echo "$page"; done)"
check "every unit's manual is there" "" "$(sed -n 's/^Documentation=//p' systemd/* | tr ' ' '\n' | sed -n 's/^man:\(.*\)(\(.\))/\1.\2/p' | sort -u |
    while read -r page; do [ -e "$pages/$page" ] || echo "$page"; done)"
if command -v mandoc >"$W/got" 2>&1; then
    check "mandoc finds nothing amiss" "" "$(mandoc -Tlint $pages/* 2>"$W/got" | grep -v 'referenced manual not found')"
else
    n=$((n + 1))
    echo "ok $n - mandoc finds nothing amiss # SKIP mandoc is not installed"
fi
echo "1..$n"
