#!/bin/sh
# A witness's backup that is broken off, at whatever system call, is no backup to `restore`; and its notes are synced together. TAP.
. "$(dirname "$0")/lib.sh"
world
if ! can_trace; then
    skipped "a backup that is broken off" "strace cannot trace here"
    done_testing
    exit
fi
stele-witness init "$W/w" --name w.example >"$W/out" 2>&1
mkdir "$W/w/checkpoints"
# notes N: the witness has as many.
notes() {
    for note in $(seq "$1"); do echo "note $note" >"$W/w/checkpoints/$(printf %064d "$note")"; done
}
# traced STRACE-OPTION...: a backup to $W/backup; the calls are in $W/trace.
traced() {
    rm -rf "$W/backup"
    strace -f -qq -o "$W/trace" "$@" stele-witness backup "$W/w" "$W/backup" >"$W/out" 2>&1
}
restored() {
    rm -rf "$W/restored"
    stele-witness restore "$W/backup" "$W/restored" --key "$W/w/key"
}

echo "# one sync"
notes 3
traced -e trace=fsync,fdatasync,syncfs
same "a backup" 0 $?
syncs=$(wc -l <"$W/trace")
mv "$W/backup" "$W/whole"
notes 200
traced -e trace=fsync,fdatasync,syncfs
same "two hundred notes want no more syncs than three" "$syncs" "$(wc -l <"$W/trace")"
accepts "all are there" diff -r "$W/w/checkpoints" "$W/backup/checkpoints"
accepts "which makes a witness" restored
strace -f -qq -o "$W/trace" -e trace=openat,syncfs,rename stele-witness backup "$W/w" "$W/ordered" >"$W/out" 2>&1
same "heads comes after the sync, by rename" "syncfs rename" \
    "$(grep -v 'openat(.*\(ENOENT\|RDONLY\)' "$W/trace" | grep -A9 syncfs | grep -o 'syncfs\|rename(.*/heads"' | sed 's/(.*//' | tr '\n' ' ' | sed 's/ $//')"
rm -rf "$W/w/checkpoints"
mkdir "$W/w/checkpoints"
notes 3
traced -e trace=syncfs -e inject=syncfs:error=EIO
same "a sync that fails" 4 $?
says "is told" "cannot sync the file system of $W/backup: Input/output error" "$W/out"
refuses "and that is no backup" "no file $W/backup/heads|$W/backup/heads" restored

echo "# killed at each of its calls"
for call in mkdir openat write syncfs fsync rename; do
    traced -e trace="$call"
    calls=$(grep -c "$call(" "$W/trace")
    n=1 taken=0 broken=
    while [ "$n" -le "$calls" ]; do
        traced -e trace="$call" -e inject="$call:signal=KILL:when=$n"
        if [ -d "$W/backup" ] && restored >"$W/out" 2>&1; then
            taken=$((taken + 1))
            diff -r "$W/whole" "$W/backup" >"$W/diff" 2>&1 || broken="$broken $n"
        fi
        n=$((n + 1))
    done
    at_least "$call is called" 1 "$calls"
    same "killed at one of $calls, what is restored, $taken times, was whole" "" "$broken"
done
done_testing
