#!/bin/sh
# A bit flipped in any page of the log's two databases. Either the log refuses to start, saying so, or fsck finds it, or it
# lies where nothing is: then all that was answered stands, and the next head is the one that it would have been. Nothing
# crashes, and no other head is signed, whatever was found. TAP.
. "$(dirname "$0")/lib.sh"
world
driver=
port=$(free_port)

empty_log "quorum none"
serve || exit 1
load 150 4
answered || exit 1
make_attestation "$W/builder" 100000 2 400 >"$W/lists" # two with input lists
accepts "attestations with input lists are logged" curl -sf -o "$W/body" --data-binary "@$W/lists" "$(url log)/attestations"
stop log
for n in 70 60; do # several runs of the indices, and pages that were given up
    serve && load $n 3 && answered && stop log
done
cp -r "$W/log" "$W/good"
make_attestation "$W/builder" 200000 1 >"$W/next"
next() { curl -s -m 20 -o "$W/body" -w '%{http_code}' --data-binary "@$W/next" "$(url log)/attestations"; }
# look_up: which entries are found by their builder, and by the paths that they name.
look_up() {
    curl -s -m 20 "$(url log)/builder/$by" >"$W/found"
    curl -s -m 20 --data-binary "@$W/parts" "$(url log)/outputs" >>"$W/found"
    grep '^index ' "$W/found" | cksum
}
# number_at OFFSET: of the good database.
number_at() { od -An -v -tu8 -j "$1" -N8 "$W/good/$db/data.mdb" | tr -d ' '; }
# last_head: size and root of the head that was signed last.
last_head() { tail -c 128 "$W/log/heads" | od -An -v -tx1 -j32 -N40 | tr -d ' \n'; }
back() { rm -rf "$W/log" && cp -r "$W/good" "$W/log"; }

accepts "control: it is right" stele-log fsck "$W/log" --full
now=$(last_head)
serve
if [ "$(next)" = 200 ]; then ok "control: the next attestation is taken"; else not_ok "control: the next attestation is taken"; fi
by=$(tr -d '\n' <"$W/builder.pub" | sha256sum | cut -d' ' -f1)
for i in $(seq 0 10 279) 100000 100001 200000; do make_attestation path "$i" | cut -c 12-43; done >"$W/parts"
should_find=$(look_up)
if [ "$(grep -c '^index ' "$W/found")" = $((283 + 31)) ]; then ok "control: look-ups find it all"; else not_ok "control: look-ups find it all"; fi
stop log
then=$(last_head)

# flip FILE OFFSET BIT
flip() {
    printf "$(printf '\\%03o' $(($(od -An -tu1 -j "$2" -N1 "$1") ^ (1 << $3))))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc 2>"$W/dd"
}

bad() {
    wrong="$wrong $1"
    echo "# $db offset $2: $3"
    sed 's/^/#   /' "$W/fsck" "$W/run/log.err" | tail -n 6
}

# one OFFSET BIT: counts it as refused, found or unused; says what is wrong otherwise.
one() {
    back
    flip "$W/log/$db/data.mdb" "$1" "$2"
    stele-log fsck "$W/log" --full >"$W/fsck" 2>&1
    fsck=$?
    [ $fsck -le 1 ] || bad "$1" "$1" "fsck ended with $fsck"
    : >"$W/run/log.err"
    if start log stele-log serve "$W/log" --listen 127.0.0.1:0 2>"$W/out"; then
        status=$(next)
        log_driver check "$(url log)" "$W/log/policy" "$W/notes" >"$W/check" 2>&1
        check=$?
        finds=$(look_up)
        stop log
        if [ $fsck -eq 1 ]; then
            found=$((found + 1))
        elif [ $check -ne 0 ] || [ "$status" != 200 ]; then
            bad "$1" "$1" "neither refused nor found, but wrong (status $status): $(cat "$W/check")"
        elif [ "$finds" != "$should_find" ]; then
            bad "$1" "$1" "neither refused nor found, but not all is found"
        else
            unused=$((unused + 1))
        fi
    else
        pid=$(cat "$W/run/log.pid")
        wait "$pid"
        code=$?
        rm -f "$W/run/log.pid"
        refused=$((refused + 1))
        [ $code -le 4 ] && grep -q '^stele-log serve: .*' "$W/run/log.err" || bad "$1" "$1" "serve ended with $code"
        [ $fsck -eq 1 ] || [ "$db" = index ] || bad "$1" "$1" "fsck does not find what serve refuses"
    fi
    head=$(last_head)
    [ "$head" = "$now" ] || [ "$head" = "$then" ] || bad "$1" "$1" "another head was signed: $head"
}

# one_live OFFSET BIT: the same while the log runs, which may then fail, or even crash; what it leaves is looked at.
one_live() {
    back
    : >"$W/run/log.err"
    serve || exit 1
    flip "$W/log/$db/data.mdb" "$1" "$2"
    next >"$W/status"
    curl -s -m 20 -o "$W/body" "$(url log)/tile/entries/000"
    look_up >"$W/out"
    pid=$(cat "$W/run/log.pid")
    kill -TERM "$pid" 2>/dev/null
    wait "$pid"
    code=$?
    rm -f "$W/run/log.pid"
    if [ $code -gt 4 ]; then
        crashed=$((crashed + 1))
        grep -q 'with a database open: it is damaged' "$W/run/log.err" || bad "$1" "$1" "it crashed without a word"
    fi
    head=$(last_head)
    [ "$head" = "$now" ] || [ "$head" = "$then" ] || bad "$1" "$1" "another head was signed: $head"
    stele-log fsck "$W/log" --full >"$W/fsck" 2>&1
    fsck=$?
    [ $fsck -le 1 ] || bad "$1" "$1" "fsck ended with $fsck"
    if [ $fsck -eq 1 ]; then
        found=$((found + 1))
        return
    fi
    unused=$((unused + 1))
    if ! serve 2>"$W/out"; then
        bad "$1" "$1" "fsck does not find what serve refuses"
        return
    fi
    next >"$W/status"
    if [ "$(cat "$W/status")" != 200 ] || [ "$(look_up)" != "$should_find" ] ||
        ! log_driver check "$(url log)" "$W/log/policy" "$W/notes" >"$W/check" 2>&1; then
        bad "$1" "$1" "not found, but wrong: $(cat "$W/check")"
    fi
    stop log
}

# roots: LMDB is led by the roots of its free list and of its tables, in the newer meta page.
roots() {
    meta=$(($(number_at 144) > $(number_at 4240) ? 0 : 4096))
    number_at $((meta + 80)) && number_at $((meta + 128))
}

for db in data index; do
    pages=$(($(wc -c <"$W/good/$db/data.mdb") / 4096))
    step=1
    short && step=$((pages / 16 + 1))
    wrong='' refused=0 found=0 unused=0 page=0
    while [ $page -lt "$pages" ]; do
        one $((page * 4096 + page * 2654435761 % 4096)) $((page * 40503 / 8 % 8))
        # Again in the page's head, where the format is.
        one $((page * 4096 + page * 2654435761 / 64 % 48)) $((page * 40503 / 64 % 8))
        page=$((page + step))
    done
    for root in $(roots); do
        # Flags, bounds, the first node's place, and the nodes that lie last.
        for at in 10 12 14 16 17 4070 4072 4080 4088; do one $((root * 4096 + at)) 1; done
    done
    what="$db: $refused refused, $found found by fsck, $unused in unused space, of $pages pages"
    if [ -z "$wrong" ]; then ok "$what"; else not_ok "$what; wrong at$wrong"; fi
    if [ $((refused + found)) -gt 0 ]; then ok "$db: some were noticed"; else not_ok "$db: none was noticed"; fi
done

echo "# while the log runs"
db=data pages=$(($(wc -c <"$W/good/data/data.mdb") / 4096)) page=2 step=1
short && step=$((pages / 8 + 1))
wrong='' crashed=0 found=0 unused=0
while [ $page -lt "$pages" ]; do
    one_live $((page * 4096 + page * 2654435761 % 4096)) $((page * 40503 / 8 % 8))
    page=$((page + step))
done
for root in $(roots); do
    for at in 10 14 17 4088; do one_live $((root * 4096 + at)) 1; done
done
what="$found left something that fsck finds, $unused nothing; $crashed ended the process"
if [ -z "$wrong" ]; then ok "$what"; else not_ok "$what; wrong at$wrong"; fi
back
: >"$W/run/log.err"
serve || exit 1
stop log ABRT # as an assertion of LMDB's does
says "what ends it tells why, an assertion as well" 'with a database open: it is damaged' "$W/run/log.err"
done_testing
