#!/bin/sh
# The deliverer on a disk that fails: where the sync of the proofs fails, or it is killed before that, or a letter cannot be removed,
# nothing is let go, it says so, and ends so that it is started again; then all is delivered, what was not known to be on the disk is
# written again, and the log has each once. TAP.
. "$(dirname "$0")/lib.sh"
world
driver=
port=$(free_port)
if ! can_trace; then
    skipped "a deliverer on a disk that fails" "strace cannot trace here"
    done_testing
    exit
fi

empty_log "quorum none"
serve || exit 1
printf 'log %s http://127.0.0.1:%s\nquorum none\n' "$(stele-log key "$W/log")" "$port" >"$W/policy"
printf 'policy policy\nstate state\noutbox outbox\n' >"$W/deliver.conf"
export STELE_CONFIG="$W/deliver.conf"
proofs=$W/state/proofs
mkdir -p "$proofs"

# letters N: so many new attestations wait, in an outbox that was empty; their hash parts are in $W/parts.
letters() {
    mkdir -p "$W/outbox"
    make_attestation "$W/builder" $made "$1" >"$W/lines"
    split -l 1 -d -a 5 --additional-suffix=.jsonl "$W/lines" "$W/outbox/$(printf %032d $made)-"
    for i in $(seq $made $((made + $1 - 1))); do make_attestation path "$i"; done | cut -c 12-43 | LC_ALL=C sort >"$W/parts"
    made=$((made + $1))
}
waiting() { find "$W/outbox" -maxdepth 1 -name '*.jsonl' | wc -l; }
logged() { curl -s "http://127.0.0.1:$port/checkpoint" | sed -n 2p; }
# files: name and inode of each proof that is there: what was written anew has another.
files() { (cd "$proofs" && LC_ALL=C ls -i | awk '{ print $2, $1 }' | LC_ALL=C sort); }
# standing: the last letters' proofs that are there, by name.
standing() { (cd "$proofs" && sed 's/$/.tlog-proof/' "$W/parts" | xargs ls 2>/dev/null); }
# proven: how many of the last letters have a proof that verifies. (One that a killed deliverer tore would spoil them all.)
proven() {
    # shellcheck disable=SC2046 # a list of words
    (cd "$proofs" && stele verify --json $(standing)) >"$W/verify" 2>&1
    jq '[.[] | select(.verified)] | length' "$W/verify"
}
# settled WHAT: with a disk that works again all is delivered, and nothing was lost or logged twice.
settled() {
    accepts "$1: then it is delivered" stele deliver --once
    same "$1: each is proven and none waits, and the log has each once" "$(wc -l <"$W/parts") 0 $made" "$(proven) $(waiting) $(logged)"
}

echo "# a sync that fails"
letters 300
strace -f -qq -o "$W/trace" -e trace=syncfs -e inject=syncfs:error=EIO stele deliver --once >"$W/out" 2>&1
same "the deliverer ends, for the environment's sake" 4 $?
says "which it says" "cannot sync the file system of $proofs: Input/output error" "$W/out"
accepts "for the sync" grep -q INJECTED "$W/trace"
same "nothing has left the outbox" 300 "$(waiting)"
for unit in stele-deliver stele-deliver-once; do
    accepts "$unit.service starts it again" sh -c "grep -qx Restart=on-failure $here/../../systemd/$unit.service &&
        ! sed -n 's/^RestartPreventExitStatus=//p' $here/../../systemd/$unit.service | grep -qw 4"
done
files >"$W/before"
at_least "proofs are there that are perhaps on no disk" 1 "$(wc -l <"$W/before")"
settled "a sync that failed"
files >"$W/after"
same "what was not known to be on the disk was written again" 0 "$(LC_ALL=C comm -12 "$W/before" "$W/after" | wc -l)"
letters 300
strace -f -qq -o "$W/trace" -e trace=syncfs -e inject=syncfs:error=EIO:when=1 stele deliver --once --for 5 >"$W/out" 2>&1
same "one that fails once ends it as well" 4 $?
settled "a sync that failed once"

echo "# killed before the sync: the next one does not take for durable what it finds"
for n in 10 60; do
    letters 100
    strace -f -qq -o "$W/trace" -e trace=syncfs -e inject=syncfs:signal=KILL stele deliver --once >"$W/out" 2>&1
    same "all wait" 100 "$(waiting)"
    standing | head -n "$n" >"$W/stand"
    same "and proofs stand there" "$n" "$(wc -l <"$W/stand")"
    # Letters come back that these are of: few have their proofs synced one by one, many by one sync.
    mkdir "$W/later"
    for letter in "$W"/outbox/*.jsonl; do
        part=$(jq -r '.payload | @base64d | fromjson | .subject[0].name | .[11:43]' "$letter")
        grep -q "$part" "$W/stand" || mv "$letter" "$W/later"
    done
    strace -f -qq -y -o "$W/trace" -e trace=fsync,syncfs,unlink stele deliver --once >"$W/out" 2>&1
    first=$(grep -n "unlink(.*/outbox/.*jsonl" "$W/trace" | head -n 1 | cut -d: -f1)
    at_least "of $n that come back: each proof is synced anew" "$n" "$(grep -c "fsync([0-9]*<$proofs/" "$W/trace")"
    at_least "before a letter goes" 1 "$(head -n "${first:-0}" "$W/trace" | grep -c "fsync([0-9]*<$proofs/")"
    find "$W/later" -name '*.jsonl' -exec mv -t "$W/outbox" {} +
    rmdir "$W/later"
    settled "$n that come back"
done

echo "# a letter that cannot be removed"
letters 20
strace -f -qq -o "$W/trace" -e trace=unlink -e inject=unlink:error=EROFS timeout 20 stele deliver --once --for 5 >"$W/out" 2>&1
same "the deliverer ends" 4 $?
says "and says so" "cannot remove .*/outbox/.*: Read-only file system" "$W/out"
settled "letters that could not be removed"
done_testing
