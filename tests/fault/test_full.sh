#!/bin/sh
# A disk that becomes full: a file system in memory, of which this test alone sees something. Nothing is lost, what is wrong is
# said, and with room again it goes on. TAP.
. "$(dirname "$0")/lib.sh"
if [ -z "${FULL_INSIDE:-}" ]; then
    for how in -m -rm; do
        # shellcheck disable=SC2086 # an option
        if unshare $how mount -t tmpfs -o size=64k none "${TMPDIR:-/tmp}" 2>/dev/null; then
            FULL_INSIDE=yes exec unshare $how "$0"
        fi
    done
    skipped "a full disk" "no file system can be mounted here"
    done_testing
    exit
fi
world
driver=
port=$(free_port)
post() { curl -s -m 20 -o "$W/body" -D "$W/headers" -w '%{http_code}' --data-binary "@$1" "http://127.0.0.1:$port/attestations"; }
free_kib() { df -k --output=avail "$W/log" | tail -n 1; }
# leaves KIB: fills the disk up to so much, or gives so much back; at no time is there more.
leaves() {
    more=$(($(free_kib) - $1))
    if [ $more -gt 0 ]; then
        dd if=/dev/zero of="$W/log/filler" bs=1024 count=$more oflag=append conv=notrunc 2>"$W/dd"
    elif [ $more -lt 0 ]; then
        truncate -s "${more}K" "$W/log/filler"
    fi
}

trap 'code=$?; stop log; umount -l "$W/log"; (exit $code); world_end' EXIT
mkdir "$W/log" && mount -t tmpfs -o size=16m,mode=700 none "$W/log" || exit 1
make_attestation key ci.example/builder "$W/builder" >"$W/out" 2>&1
# The folder must not be there for init.
stele-log init "$W/made" --origin $origin >"$W/out" 2>&1 && cp -r "$W/made/." "$W/log/" && rm -rf "$W/made"
cat "$W/builder.pub" >>"$W/log/builders"
{ echo "quorum none"; } >>"$W/log/policy"
: >"$W/notes"
made=0

echo "# the floor"
echo "free-space-floor 4000000" >>"$W/log/config"
accepts "the log starts" serve
load 200 4
accepts "and answers" answered
make_attestation "$W/builder" 0 1 >"$W/known"
make_attestation "$W/builder" 500000 1 >"$W/new"
leaves 3800
same "below the floor nothing new is taken" 503 "$(post "$W/new")"
says "and that is said" 'short of disk space' "$W/body"
says "with when to come again" '^[Rr]etry-[Aa]fter: [1-9]' "$W/headers"
same "what is known is answered" 200 "$(post "$W/known")"
same "nothing is broken" 200 "$(health)"
rm "$W/log/filler"
same "with room again it goes on, without a restart" 200 "$(post "$W/new")"
stop log

echo "# no floor, and no room"
sed -i '/^free-space-floor/d' "$W/log/config"
echo "free-space-floor 0" >>"$W/log/config"
accepts "the log starts" serve
# The log wants four times an attestation; the commit that fills a bundle joins what it has, and takes far more.
load 1 1
loads=1
while [ "$(health)" = 200 ] && [ $loads -lt 400 ]; do
    loading || { answered && load 1 1 && loads=$((loads + 1)); }
    leaves 16
done
no_room='with [0-9]{1,5} bytes free on the disk: (No space left on device|Input/output error)'
says "a commit that found no room ends the taking, and says so" "$no_room" "$W/health"
says "in the log's own words as well" "error stele-log failed .*$no_room" "$W/run/log.err"
same "what was published is served" 200 "$(curl -s -o "$W/body" -w '%{http_code}' "$(url log)/checkpoint")"
stop log
leaves 0
: >"$W/run/log.err"
if serve; then
    ok "without any room it starts"
    same "and shows what it had" "$(cksum <"$W/body")" "$(curl -s "$(url log)/checkpoint" | cksum)"
    stop log
else
    says "without any room it does not start, and says so" 'No space left on device' "$W/run/log.err"
fi
rm "$W/log/filler"
accepts "with room it starts, answers what waited, and has lost nothing" holds
done_testing
