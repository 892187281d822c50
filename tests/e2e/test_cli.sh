#!/bin/sh
# Command lines: help that fits a screen, errors that say what is wrong, where, and the exit codes of the manual pages. TAP.
. "$(dirname "$0")/lib.sh"
world

# exits WHAT STATUS REGEX COMMAND...: ends with this status, and says something that matches.
exits() {
    what=$1 want=$2 regex=$3
    shift 3
    "$@" >"$W/out" 2>&1
    got=$?
    if [ $got != "$want" ]; then
        not_ok "$what (status $got, wanted $want)"
        sed 's/^/# /' "$W/out"
    elif grep -Eq "$regex" "$W/out"; then
        ok "$what"
    else
        not_ok "$what (it does not say $regex)"
        sed 's/^/# /' "$W/out"
    fi
}

for program in stele stele-log stele-witness; do
    exits "$program --help" 0 "$program .*:|^$program: " $program --help
    exits "$program --version" 0 "^$program [0-9]+\.[0-9]+" $program --version
    exits "$program alone is a usage error" 2 "" $program
    exits "$program with an unknown command" 2 "no command \`nonsense\`; try $program --help" $program nonsense
    for command in $($program --help | sed -n "s/^  $program \([a-z-]*\) .*/\1/p"); do
        exits "$program $command --help" 0 "^$program $command" $program "$command" --help
        accepts "fits a screen" test "$(wc -l <"$W/out")" -le 24
        accepts "of 100 columns" awk 'length > 100 { exit 1 }' "$W/out"
        exits "$program $command with an unknown option" 2 "no option --nonsense; try --help" $program "$command" --nonsense
    done
done

for program in stele-hook stele-diff-hook; do
    exits "$program --help" 0 "^$program: for (post-build|diff)-hook in nix.conf" $program --help
    exits "$program --version" 0 "^$program [0-9]+\.[0-9]+" $program --version
    accepts "and nothing else" test "$(wc -l <"$W/out")" = 1
done

exits "an option without its value" 2 "wants a value" stele keygen x --out
exits "an option twice" 2 "given twice" stele keygen x --out a --out b
exits "a missing argument" 2 "usage: stele keygen NAME" stele keygen --out "$W/k"
exits "--option=value" 0 "^x.example\+" stele keygen x.example --out="$W/k"
exits "a key is not overwritten" 4 "exists already" stele keygen x.example --out "$W/k"
exits "a key name with a space" 3 "no space, plus or control character in it: \"x y\"" stele keygen "x y" --out "$W/k2"
exits "a key name that is too long" 3 "a key's name has at most 1024 bytes, this one 1025" \
    stele keygen "$(printf '%01025d' 0)" --out "$W/k2"
accepts "the longest is a name" stele keygen "$(printf '%01024d' 0)" --out "$W/k3" --type builder
exits "a key type that does not exist" 2 "builder, log or witness" stele keygen x --out "$W/k2" --type other

exits "a configuration that is named and missing" 4 "$W/none.conf" stele deliver --once --config "$W/none.conf"
printf 'state %s/s\nnonsense 1\n' "$W" >"$W/c"
exits "an unknown key names file and line" 3 "$W/c line 2: unknown key .nonsense" stele deliver --once --config "$W/c"
printf 'state %s/s\n' "$W" >"$W/c"
exits "a policy that is not named" 4 "no .policy FILE. in $W/c" stele deliver --once --config "$W/c"
printf 'policy p\n' >>"$W/c"
exits "a policy that is missing" 4 "no file $W/p" stele deliver --once --config "$W/c"
printf 'log x\nquorum none\n' >"$W/p"
exits "a policy that is malformed names file and line" 3 "$W/p line 1" stele deliver --once --config "$W/c"
echo 'quorum none' >"$W/p"
printf 'trust t\nupstream ftp://x\n' >>"$W/c"
exits "an upstream of an unknown scheme" 3 "$W/c line 4: upstream: ftp://x" stele gate --config "$W/c"
sed -i '/^upstream/d' "$W/c"
exits "a gate without an upstream" 4 "no .upstream URL" stele gate --config "$W/c"
echo 'upstream http://127.0.0.1:9' >>"$W/c"
exits "a gate without a key" 4 "no .signing-key" stele gate --config "$W/c"
exits "why without a path" 2 "one store path" stele why --config "$W/c"
echo garbage >"$W/x.tlog-proof"
exits "a trust file that is missing" 4 "no file $W/t" stele verify --config "$W/c" "$W/x.tlog-proof"
sed -i '/^trust/d' "$W/c"
exits "a proof that is none is refused" 1 "NOT verified: line 1 of the proof" stele verify --config "$W/c" "$W/x.tlog-proof"
: >"$W/y.tlog-proof"
exits "an empty proof is malformed" 3 "y.tlog-proof is empty" stele verify --config "$W/c" "$W/y.tlog-proof"
exits "a proof that is missing" 4 "no file $W/z.tlog-proof" stele verify --config "$W/c" "$W/z.tlog-proof"
echo '{"payload":1}' >"$W/e.json"
exits "an envelope that is none names its file" 3 "$W/e.json: " stele submit --config "$W/c" "$W/e.json"
exits "a store without a database" 4 "no Nix database $W/nowhere/nix/var/nix/db/db.sqlite" sh -c "echo 'quorum none' >$W/p; \
    printf 'policy p\ntrust t\n' >$W/c2; stele keygen b.example --out $W/b >/dev/null; printf 'builder b %s\nquorum b\n' \"\$(cat $W/b.pub)\" >$W/t; \
    stele audit --config $W/c2 --store $W/nowhere"

exits "a log in a folder that is not empty" 1 "not empty" stele-log init "$W" --origin log.example
exits "a log without an origin" 2 "origin" stele-log init "$W/l"
exits "an origin with a schema" 2 "without schema" stele-log init "$W/l" --origin https://log.example
exits "a log that is not there" 4 "$W/l" stele-log serve "$W/l"
exits "a log is made" 0 "^log.example\+" stele-log init "$W/l" --origin log.example
exits "and does not serve without a quorum line" 3 "policy.*no quorum line" stele-log serve "$W/l"
exits "a witness is made, with the line for policies" 0 "^witness w.example w.example\+" stele-witness init "$W/w" --name w.example
exits "a log's key is no witness's" 3 "type 0x04" stele-witness add-log "$W/w" "$(stele-witness key "$W/w")"
done_testing
