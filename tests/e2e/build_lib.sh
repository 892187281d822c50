# Shared by the tests of the builder's side: a builder with a key and an outbox, and what its attestations say. After lib.sh; makes
# the world, with a hermetic Nix.
# shellcheck shell=sh disable=SC2034
world
nix_world
hook=$STELE_BUILD/bin/stele-hook
table=$here/../../spec/builds.md

# builder_world: a key, and $W/builder.conf as the configuration.
builder_world() {
    printf 'policy policy\nkey key\nstate state\noutbox outbox\n' >"$W/builder.conf"
    export STELE_CONFIG="$W/builder.conf"
    stele keygen ci.example/builder --out "$W/key" --config "$W/builder.conf" >"$W/out" 2>&1
}

# letters: how many attestations wait.
letters() { find "$W/outbox" -maxdepth 1 -name '*.jsonl' 2>/dev/null | wc -l; }

# statement FILE: the statement of a letter, as JSON.
statement() { tail -n 1 "$1" | jq -r .payload | base64 -d; }

# payload NAME: the statement about the output of that name, as JSON, from the outbox.
payload() {
    for file in "$W"/outbox/*.jsonl; do
        statement "$file" >"$W/payload"
        if jq -e --arg name "-$1" '[.subject[].name | endswith($name)] | any' "$W/payload" >/dev/null; then
            cat "$W/payload"
            return 0
        fi
    done
    return 1
}

# holds WHAT NAME FILTER: the jq filter is true of that statement.
holds() {
    if payload "$2" | jq -e "$3" >/dev/null; then
        ok "$1"
    else
        not_ok "$1"
        payload "$2" | jq . | sed 's/^/# /'
    fi
}

# column KIND N: of the table in spec/builds.md.
column() { sed -n "s/^| \`$1\`/&/p" "$table" | cut -d'|' -f"$2" | sed 's/^ *//; s/ *$//'; }

# told KIND: one attestation waits: its subjects' names, the claim, the inputs.
told() {
    statement "$W"/outbox/*.jsonl | jq -r --arg digest "$1" '
        (.predicate.buildDefinition.internalParameters) as $p |
        ([.subject[].name | split("/")[-1][33:]] | join(" ")) + "; " + $p.claim + "; " +
        (if $p.closure then "recorded" else $p.inputs end)'
}

# row KIND NAME...: what was just built left one attestation, of these subjects, which says what the table says. Empties the outbox.
row() {
    kind=$1
    shift
    if [ -z "$(column "$kind" 2)" ]; then
        not_ok "$kind: no such row in spec/builds.md"
    elif [ "$(letters)" != 1 ]; then
        not_ok "$kind: $(letters) attestations, not one"
        tail -n 20 "$W/hooked" | sed 's/^/# /'
    else
        same "$kind" "$*; $(column "$kind" 4); $(column "$kind" 5)" "$(told "$kind")"
    fi
    rm -rf "$W/outbox"
}

# no_row KIND FILE: nothing was attested, and FILE has the reason that the table gives.
no_row() {
    if [ "$(letters)" = 0 ] && [ -n "$(column "$1" 6)" ] && grep -qF "$(column "$1" 6)" "$2"; then
        ok "$1: nothing, because $(column "$1" 6)"
    else
        not_ok "$1: $(letters) attestations"
        tail -n 20 "$2" | sed 's/^/# /'
    fi
    rm -rf "$W/outbox"
}
