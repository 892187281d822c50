#!/bin/sh
# A store of more than a thousand paths attested by hand: by a worker for each processor, with a progress bar, and killed again and
# again: what was done is not done again, nothing is left out, and no path gets a second attestation. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
builder_world
many=1200

# Such a store in seconds: real derivations, and outputs that are put there and marked as Nix marks what it builds.
nix-instantiate "$here/builds.nix" --arg many $many -A one-of >"$W/drvs" 2>"$W/out"
xargs nix-store -q --outputs <"$W/drvs" >"$W/outs"
paste -d' ' "$W/outs" "$W/drvs" | while read -r out drv; do
    basename "$out" >"$out"
    printf '%s\n%s\n0\n' "$out" "$drv"
done >"$W/registration"
nix-store --register-validity <"$W/registration"
sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "update ValidPaths set ultimate = 1 where path like '%-one-%' and path not like '%.drv'"
same "the store has so many" $many "$(sort -u "$W/outs" | wc -l)"
# number FIELD: of the last line that a run which went to its end left in $W/out.
number() { sed -n 's/^\([0-9]*\) attested, \([0-9]*\) done before, 0 refused.*/\1 \2/p' "$W/out" | cut -d' ' -f"$1"; }
# subjects FOLDER...: the paths that the letters there are about, one a line.
subjects() { find "$@" -maxdepth 1 -name '*.jsonl' -exec cat {} + | jq -r '.payload | @base64d | fromjson | .subject[].name'; }
workers=$(getconf _NPROCESSORS_ONLN)
[ "$workers" -le 16 ] || workers=16

echo "# killed again and again; each time what waits is taken away, as a deliverer does"
kills=0 runs=0 anew=0
mkdir "$W/taken"
# killed_at N: a run is killed once so many letters wait; what waits is then in $W/taken/$runs.
killed_at() {
    runs=$((runs + 1))
    stele attest --claim backfill --all >"$W/out" 2>&1 &
    run=$!
    until [ "$(letters)" -ge "$1" ] || ! kill -0 $run 2>/dev/null; do :; done
    kill -KILL $run 2>/dev/null && kills=$((kills + 1))
    wait $run 2>/dev/null
    mkdir -p "$W/outbox" # it may have been killed before its first letter
    mv "$W/outbox" "$W/taken/$runs"
    taken=$(find "$W/taken/$runs" -name '*.jsonl' | wc -l)
}
killed_at 100
while [ "$taken" -ge $many ] && [ $anew -lt 5 ]; do # this shell was held up until it was all done
    anew=$((anew + 1)) runs=0 kills=0
    rm -rf "$W/taken/1" "$W/state/backfilled"
    killed_at 100
done
first=$taken
if [ "$first" -ge 100 ] && [ "$first" -lt $many ]; then ok "the first was killed in the middle"; else
    not_ok "the first was killed in the middle: it had done $first"
fi
for n in 1 50 100 150; do killed_at $n; done
echo "# killed $kills times; done when killed: $(for n in $(seq $runs); do find "$W/taken/$n" -name '*.jsonl' | wc -l; done | tr '\n' ' ')"
accepts "begun again, it goes to the end" stele attest --claim backfill --all
same "it counts what was done before" $many $(($(number 1) + $(number 2)))
at_least "which is not done again" $((first - workers)) "$(number 2)"
mkdir -p "$W/outbox"
mv "$W/outbox" "$W/taken/last"
subjects "$W"/taken/* | LC_ALL=C sort >"$W/attested"
LC_ALL=C sort "$W/outs" >"$W/wanted"
sort -u "$W/attested" >"$W/once"
accepts "every path is attested" cmp "$W/wanted" "$W/once"
at_most "none twice but what a worker had in its hands when it was killed" $((many + kills * workers)) "$(wc -l <"$W/attested")"
same "and that is the same attestation" $many "$(find "$W/taken" -name '*.jsonl' -exec sha256sum {} + | cut -d' ' -f1 | sort -u | wc -l)"
accepts "then there is nothing to do" stele attest --all
same "which it says" "0 $many" "$(number 1) $(number 2)"
same "and nothing waits" 0 "$(letters)"

if command -v strace >"$W/got" && [ "$(basename "$STELE_BUILD")" = plain ]; then
    echo "# killed between a letter and its note"
    rm -f "$W/state/backfilled"
    strace -f -qq -o "$W/trace" -P "$W/state/backfilled" -e trace=write -e inject=write:signal=KILL:when=20 stele attest --all >"$W/out" 2>&1
    same "it was killed there" yes "$(grep -q 'killed by SIGKILL' "$W/trace" && echo yes)"
    noted=$(wc -l <"$W/state/backfilled")
    at_least "a letter is there without its note" $((noted + 1)) "$(letters)"
    accepts "begun again" stele attest --all
    same "it does what was not noted" "$((many - noted)) $noted" "$(number 1) $(number 2)"
    same "a letter for each path" $many "$(letters)"
    same "about each path" "$(cksum <"$W/wanted")" "$(subjects "$W/outbox" | LC_ALL=C sort | cksum)"

    echo "# several processors"
    rm -rf "$W/state/backfilled" "$W/outbox"
    sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "update ValidPaths set ultimate = null where path like '%-one-%' and path not like '%-one-1__'"
    strace -f -qq -o "$W/trace" -e trace=openat,rename -e inject=rename:delay_exit=20000 stele attest --all >"$W/out" 2>&1
    same "a hundred are attested" "100 0" "$(number 1) $(number 2)"
    same "a worker for each processor, with the database of its own" $((workers + 1)) \
        "$(grep 'openat(.*/db\.sqlite"' "$W/trace" | cut -d' ' -f1 | sort -u | wc -l)"
    at_least "more than one does the work, where there is more than one" $((workers > 1 ? 2 : 1)) \
        "$(grep 'rename(.*/outbox/' "$W/trace" | cut -d' ' -f1 | sort -u | wc -l)"
else
    skipped "killed between a letter and its note, and several processors" "wants strace and the plain build"
fi

if command -v script >"$W/got"; then
    rm -rf "$W/state/backfilled" "$W/outbox"
    script -qec "stele attest --all" /dev/null >"$W/tty" 2>&1
    says "on a terminal there is a progress bar" "attesting  \[#+\.+\] [0-9]+/" "$W/tty"
else
    skipped "on a terminal there is a progress bar" "script is not installed"
fi
done_testing
