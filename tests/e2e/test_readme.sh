#!/bin/sh
# The README says nothing that is not so: its commands are run, in a scratch folder, in its order; its configurations are read; the
# verbs, options, targets and files that it names are there. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
readme=$here/../../README.md
top=$here/../..
mkdir -p "$W/etc/stele" "$W/var/lib" "$W/srv/cache"

# here_is TEXT: with the scratch folder's paths.
here_is() { sed "s|/etc/stele|$W/etc/stele|g; s|/var/lib|$W/var/lib|g; s|/srv|$W/srv|g"; }
# block HEADING N: indented block number N (from 1) under that heading.
block() {
    awk -v heading="## $1" -v want="$2" '
        /^## / { on = $0 == heading; n = 0; was = 0; next }
        on && /^    / { if (!was) n++; was = 1; if (n == want) print substr($0, 5); next }
        { was = 0 }' "$readme" | here_is
}
# runs WHAT: the commands in $W/commands, in one shell.
runs() {
    if [ -s "$W/commands" ]; then accepts "$1" sh -eu "$W/commands"; else not_ok "$1: no commands"; fi
}
# takes WHAT FILE COMMAND...: a configuration is read: whatever is missing beside it, none of its lines is malformed.
takes() {
    what=$1 file=$2
    shift 2
    "$@" --config "$file" >"$W/out" 2>&1
    code=$?
    if [ -s "$file" ] && [ $code != 3 ] && [ $code != 2 ]; then ok "$what"; else
        not_ok "$what (status $code)"
        sed 's/^/# /' "$W/out"
    fi
}

echo "# commands and configurations"
block "I run a builder" 1 | grep '^stele keygen' >"$W/commands"
runs "a builder's key is made"
block "I run a builder" 1 | grep '^stele setup' >"$W/commands"
runs "and its setup printed"
block "I run a builder" 2 >"$W/etc/stele/stele.conf"
same "its configuration has four lines" 4 "$(wc -l <"$W/etc/stele/stele.conf")"
takes "and is read" "$W/etc/stele/stele.conf" stele deliver --once
block "I want my machine to refuse unattested paths" 1 >"$W/commands"
runs "a gate's key is made"
accepts "where nix.conf's line is to be found" test -s "$W/etc/stele/gate.key.pub"
block "I want my machine to refuse unattested paths" 2 | sed "s|^\(builder ci \).*|\1$(cat "$W/etc/stele/builder.key.pub" 2>/dev/null)|" >"$W/etc/stele/trust"
says "its trust file names a builder" "^builder ci ci.example.org/builder\+" "$W/etc/stele/trust"
# The cache is a folder here: nobody outside is asked.
block "I want my machine to refuse unattested paths" 3 | sed "s|https://cache.example.org|file://$W/srv/cache|" >"$W/etc/stele/gate.conf"
printf 'quorum none\n' >"$W/etc/stele/policy"
takes "a gate's configuration is read" "$W/etc/stele/gate.conf" stele doctor consumer
same "and its trust file and key" "" "$(grep 'WRONG  \(configuration\|trust\|gate-key\): ' "$W/out")"
block "I want my machine to refuse unattested paths" 4 | sed 's/ *#.*//; s/…/AAAA/' >"$W/nix.conf"
mkdir -p "$W/nix"
cp "$W/nix.conf" "$W/nix/nix.conf"
same "nix.conf's lines are read by Nix" "http://127.0.0.1:7382" \
    "$(NIX_CONFIG="experimental-features = nix-command" NIX_CONF_DIR="$W/nix" nix show-config --json | jq -r '.substituters.value[0]')"

block "I run a log" 1 | grep '^stele-log \(init\|key\)' >"$W/commands"
runs "a log is made"
block "I run a witness" 1 | grep -v ' serve ' | sed "s|VKEY-OF-THE-LOG|$(stele-log key "$W/var/lib/stele-log" 2>/dev/null)|" >"$W/commands"
runs "a witness is made, and knows the log"
witness=$(block "I run a witness" 1 | sed -n 's/ --listen .*//; s/^stele-witness serve //p')
start witness stele-witness serve "$witness" --listen 127.0.0.1:0 && ok "and serves" || not_ok "and serves"
cp "$W/etc/stele/builder.key.pub" "$W/builder.key.pub"
block "I run a log" 1 | grep '^echo\|^cat' |
    sed "s|VKEY|$(stele-witness key "$witness")|; s|http://WITNESS:7381|$(url witness)|; s| builder.key.pub| $W/builder.key.pub|" >"$W/commands"
runs "the log gets its policy and builders"
served=$(block "I run a log" 1 | sed -n 's/^stele-log serve //p')
start log stele-log serve "$served" --listen 127.0.0.1:0 && ok "and serves" || not_ok "and serves"
published() { curl -s -o "$W/got" -w '%{http_code}' "$(url log)/checkpoint"; }
same "what the witness has cosigned" 200 "$(soon 200 published)"
stop log
accepts "fsck, as told" stele-log fsck "$served"

echo "# names"
# Each `program verb` of the text, with the options that follow it there.
grep -o '\(^\|[` ]\)stele\(-log\|-witness\)\? [a-z][a-z-]*[^`]*' "$readme" | sed 's/^[` ]//; s/#.*//; s/[,.]//g' | sort -u >"$W/named"
wrong=$(while read -r program verb rest; do
    case $program in stele | stele-log | stele-witness) ;; *) continue ;; esac
    $program --help | grep -q "^  $program $verb  *[^ ]" || { echo "$program $verb;"; continue; }
    for word in $rest; do
        case $word in --[a-z]*) $program "$verb" --help | grep -q "^  $(echo "$word" | sed 's/[^a-z-].*//') " || echo "$program $verb $word;" ;; esac
    done
done <"$W/named")
same "the verbs and options that it names are there" "" "$wrong"
if [ "$(wc -l <"$W/named")" -ge 20 ]; then ok "they were looked for"; else not_ok "they were looked for"; fi
wrong=$(grep -o '`make [a-z-]*`\|^    make [a-z-]*' "$readme" | tr -d '`' | awk '{ print $2 }' | sort -u | while read -r target; do
    grep -q "^$target:" "$top/Makefile" || echo "$target"
done)
same "the targets of make" "" "$wrong"
wrong=$(grep -o '`[a-zA-Z]*/[a-z./-]*`\|`[A-Z]*\.md`\|`LICENSE`' "$readme" | tr -d '`' | sort -u | while read -r file; do
    case $file in spec/* | nix/* | *.md | LICENSE) [ -e "$top/$file" ] || echo "$file" ;; esac
done)
same "the files of the project" "" "$wrong"
done_testing
