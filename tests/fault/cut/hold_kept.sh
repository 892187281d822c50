#!/bin/sh
# Does what a power cut left of evidence, of a witness's backup, of what was made of that, and of an auditor's memory keep what each
# program had said?
#   hold_kept.sh GIVEN STATE
# GIVEN holds the witness's `key`; `logs.before` and `logs`, what `stele-witness logs` said before and after a log was removed; `backup`,
# the whole of it; `state.1` and `state.2`, what the audits remembered. STATE is one of powercut's. Programs are on PATH. Says what
# does not hold.
. "$(dirname "$0")/hold.sh"
disk=$state/disk
marked() { grep -q "^$1\$" "$state/marks"; }

# An evidence file is whole or not there: a witness that finds one looks no further.
evidence=$(find "$disk/w/evidence" -type f ! -name '.*' 2>/dev/null)
[ -n "$evidence" ] || ! marked forked || fail "the evidence is gone"
[ -z "$evidence" ] || stele verify-evidence "$evidence" || fail "the evidence is none any more"

if marked backup; then diff -r "$given/backup" "$disk/backup" || fail "the backup"; fi

# A witness that has its key has what comes before it.
there() { cmp -s "$disk/$1/key" "$given/key"; }
if marked restored; then there restored && there resumed || fail "the key is not there"; fi
if there restored; then
    stele-witness resume "$disk/restored" a.example >"$state/resume.out" 2>&1 &&
        grep -q '^a.example: taken up at 10 entries$' "$state/resume.out" || fail "the log is not suspended at 10: $(cat "$state/resume.out")"
fi
if marked resumed; then
    ! stele-witness resume "$disk/resumed" a.example >"$state/resume.out" 2>&1 && grep -q 'is not suspended' "$state/resume.out" ||
        fail "the log is suspended again: $(cat "$state/resume.out")"
fi

stele-witness logs "$disk/w" >"$state/logs" 2>&1 || fail "the list of logs: $(cat "$state/logs")"
cmp -s "$state/logs" "$given/logs" || { ! marked removed && cmp -s "$state/logs" "$given/logs.before"; } || fail "another list of logs"

if ! marked audited || cmp -s "$disk/state" "$given/state.2"; then exit 0; fi
if ! marked again; then cmp -s "$disk/state" "$given/state.1" && exit 0; fi
fail "an audit forgot what it had verified"
