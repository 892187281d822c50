#!/bin/sh
# A witness as its operator runs it: the page, backup and restore, resume, the clock. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
accepts "init" stele-witness init "$W/w" --name w.example/w
vkey=$(stele-witness key "$W/w")
says "it prints the line for a policy" "^witness w\\.example/w $(printf %s "$vkey" | sed 's/[+.]/\\&/g') https://w\\.example/w\$" "$W/out"
for log in a b c d; do stele-witness add-log "$W/w" "$(witness_log vkey $log.example)" >/dev/null 2>&1; done
stele-witness add-log "$W/w" "$(witness_log vkey x.example)" --origin 'a <b> & "c"' >/dev/null 2>&1
serve
send a.example 0 5 >"$W/ignored"
send b.example 0 5 >"$W/ignored"
curl -s -D "$W/headers" "$(url w)/" >"$W/page"
says "the page names the witness and its key" "<code>$(printf %s "$vkey" | sed 's/[+.]/\\&/g')</code>" "$W/page"
says "and the line for a policy" "<code>witness w\\.example/w $(printf %s "$vkey" | sed 's/[+.]/\\&/g') https://w\\.example/w</code>" "$W/page"
says "it lists a log with its size and age" '<td class="o">a\.example</td><td class="n"><a href="/[0-9a-f]{64}/checkpoint">5</a></td><td title="20..-..-.. ..:..:.. UTC">[0-9]+ s ago</td>' "$W/page"
says "and one that was never cosigned" '<td class="o">c\.example</td><td class="n">–</td><td>never cosigned</td>' "$W/page"
says "an origin is text" 'a &lt;b&gt; &amp; &quot;c&quot;' "$W/page"
accepts "there is no script" sh -c "! grep -qi '<script\|javascript:\|onload' '$W/page'"
says "and none would run" "^Content-Security-Policy: default-src 'none'" "$W/headers"

# What a log asked for, by how it ended.
stele-witness add-log "$W/w" "$(witness_log vkey m.example)" >/dev/null 2>&1
reread
same "a head is cosigned" 200 "$(soon 200 send m.example 0 5)"
for refusal in "old_above_size 400 6 5" "not_signed 403 5 6 - 3" "conflict 409 3 9" "unproven 422 5 9 2"; do
    # shellcheck disable=SC2086 # words
    set -- $refusal
    kind=$1 wanted=$2
    shift 2
    status "a refusal: $kind" "$wanted" "$(send m.example "$@")"
    same "is counted as that" 1 "$(metric "stele_witness_requests_total{origin=\"m.example\",result=\"$kind\"}")"
done
same "and the cosigned one as none" 1 "$(metric 'stele_witness_requests_total{origin="m.example",result="cosigned"}')"
same "the metrics have its size" 5 "$(metric 'stele_witness_size{origin="m.example"}')"
now=$(date +%s)
same "and its last time" yes "$(metric 'stele_witness_time_seconds{origin="m.example"}' | awk -v now="$now" '{ print ($1 > now - 600 && $1 <= now + 1 ? "yes" : $1) }')"
stele-witness remove-log "$W/w" m.example >/dev/null 2>&1
reread
same "of a log that was removed they have nothing" "" "$(soon "" metric 'stele_witness_size{origin="m.example"}')"

# A backup of a witness that runs; then it goes on, and is lost.
accepts "the notes reach the disk" test "$(soon 3 sh -c "ls '$W/w/checkpoints' | wc -l")" = 3
accepts "backup" stele-witness backup "$W/w" "$W/backup"
accepts "the key is not in it" test ! -e "$W/backup/key"
refuses "a backup gets a folder of its own" "not empty" stele-witness backup "$W/w" "$W/backup"
send a.example 5 9 >"$W/ignored"
send a.example 9 12 >"$W/ignored"
send b.example 5 6 >"$W/ignored"
send c.example 0 7 >"$W/ignored"
for log in a b c; do
    curl -s "$(url w)/$(printf %s $log.example | sha256sum | cut -c1-64)/checkpoint" >"$W/$log.note"
done
stop w
mv "$W/w" "$W/lost"
stele-witness logs "$W/backup" >"$W/list" 2>&1
refuses "restore wants the key" "key is missing" stele-witness restore "$W/backup" "$W/w"
stele keygen w.example/w --out "$W/other" --type witness >"$W/ignored" 2>&1
refuses "and no other" "the backup is of" stele-witness restore "$W/backup" "$W/w" --key "$W/other"
accepts "restore" stele-witness restore "$W/backup" "$W/w" --key "$W/lost/key"
accepts "the folder and the key are the owner's alone" test "$(stat -c %a "$W/w") $(stat -c %a "$W/w/key")" = "700 600"
refuses "it does not overwrite" "not empty" stele-witness restore "$W/backup" "$W/w" --key "$W/lost/key"
same "control: the list of logs of a backup marks none as suspended" 0 "$(grep -c suspended "$W/list")"
stele-witness logs "$W/w" >"$W/marked" 2>"$W/got"
same "that of the restored witness marks each" "a.example b.example c.example d.example a <b> & \"c\"" \
    "$(sed -n 's/^# suspended //p' "$W/marked" | sort | tr '\n' ' ' | sed 's/\(a <.*"\) \(a.example.*\) $/\2 \1/')"
same "behind its key" "# suspended a.example" "$(grep -A1 "^log $(witness_log vkey a.example)\$" "$W/marked" | tail -n 1)"
says "and says what to do" "^5 suspended, .*stele-witness resume $W/w ORIGIN" "$W/got"
accepts "the rest is as it was" sh -c "grep -v '^#' '$W/marked' | cmp - '$W/list'"
mkdir "$W/next"
cp "$W/marked" "$W/next/logs"
cp "$W/backup/heads" "$W/next/heads"
same "and another witness can take it as it is" "$(cat "$W/list")" "$(stele-witness logs "$W/next")"
rm "$W/next/heads"
refuses "where heads cannot be read, that is said" "which logs are suspended cannot be told: .*next/heads" stele-witness logs "$W/next"
same "behind the list" "$(cat "$W/list")" "$(stele-witness logs "$W/next" 2>/dev/null)"
serve
for log in a b c d; do status "$log.example is suspended: 503" 503 "$(send $log.example 5 20)"; done
says "which says why" "suspended: restored from a backup" "$W/body"
says "with Retry-After" "^Retry-After: 3600" "$W/headers"
same "the metrics say so" 1 "$(metric 'stele_witness_suspended{origin="a.example"}')"
curl -s "$(url w)/" >"$W/page"
says "and the page" '<td class="o">a\.example</td>.*suspended' "$W/page"
same "and the list of logs, while it runs" 5 "$(stele-witness logs "$W/w" 2>/dev/null | grep -c '^# suspended ')"
refuses "resume wants the witness stopped" "another process uses" stele-witness resume "$W/w" a.example
stop w

# Taken up again.
mkdir "$W/site"
cp "$W/a.note" "$W/site/newest"
sed '/w\.example/d' "$W/a.note" >"$W/site/uncosigned"
cp "$W/b.note" "$W/site/b"
cp "$W/backup/checkpoints/$(printf %s a.example | sha256sum | cut -c1-64)" "$W/site/old"
static_server site "$W/site"
refuses "resume: a note without our cosignature does not count" "no cosignature of this witness" stele-witness resume "$W/w" a.example "$(url site)/uncosigned"
refuses "resume: nor another log's" "b: .*origin|b: .*known key" stele-witness resume "$W/w" a.example "$(url site)/b"
refuses "resume: one that cannot be had may have been the newest" "answered 404: .*LOG/checkpoint" stele-witness resume "$W/w" a.example "$(url site)/newest" "$(url site)/none"
refuses "resume: a log that is not known" "knows no log" stele-witness resume "$W/w" z.example
accepts "resume at the newest head that URLs show" stele-witness resume "$W/w" a.example "$(url site)/old" "$(url site)/newest" "$(url site)/old"
says "which is said" "^a.example: taken up at 12 entries" "$W/out"
says "with the risk that is left" "larger head that none of these URLs shows" "$W/out"
refuses "once" "is not suspended" stele-witness resume "$W/w" a.example "$(url site)/newest"
same "which is not marked any more" "b c d" "$(stele-witness logs "$W/w" 2>/dev/null | sed -n 's/^# suspended \(.\)\.example/\1/p' | tr '\n' ' ' | sed 's/ $//')"
accepts "resume by the operator's word" stele-witness resume "$W/w" b.example
says "which says what is risked" "Nothing was asked.*cosign another history" "$W/out"
serve
status "what was cosigned after the backup binds" 409 "$(send a.example 5 20)"
same "at the newest head" 12 "$(cat "$W/body")"
status "another history is refused" 422 "$(send a.example 12 20 6)"
status "the log's own goes on" 200 "$(send a.example 12 20)"
status "b.example goes on where the backup was" 200 "$(send b.example 5 20)"
status "c.example is suspended still, though the backup has no head of it" 503 "$(send c.example 0 9)"
stop w
accepts "backup of a witness with suspended logs" stele-witness backup "$W/w" "$W/backup2"
cp "$W/c.note" "$W/site/c"
accepts "resume of a log that the backup has no head of" stele-witness resume "$W/w" c.example "$(url site)/c"
serve
status "its newest head binds" 409 "$(send c.example 0 9)"
status "d.example, never cosigned, is suspended still" 503 "$(send d.example 0 9)"
stop w
accepts "resume --others" stele-witness resume "$W/w" --others
serve
status "takes up what has no head at all" 200 "$(send d.example 0 9)"
stop w
refuses "resume: ORIGIN or --others" "wanted is" stele-witness resume "$W/w"

# A heads file that is put back by itself: what was cosigned tells. (A whole folder that is put back does not.)
cp "$W/w/heads" "$W/heads.old"
serve
send a.example 20 22 >"$W/ignored"
stop w
cp "$W/w/heads" "$W/heads.new"
cp "$W/heads.old" "$W/w/heads"
refuses "an old heads file: it does not start" "heads is older than what was cosigned: .* has 22 entries, heads 20" stele-witness serve "$W/w" --listen 127.0.0.1:0
head -c 128 "$W/heads.new" >"$W/w/heads"
refuses "nor with an empty one" "heads is older than what was cosigned: .* heads 0" stele-witness serve "$W/w" --listen 127.0.0.1:0
cp "$W/heads.new" "$W/w/heads"
serve
status "with the right one it goes on" 200 "$(send a.example 22 23)"
stop w

# The clock: this witness once lived in the future.
now=$(date +%s)
witness_log head e.example 5 "$W/w/heads" $((now + 200)) >"$W/ignored"
serve
status "up to five minutes ahead: cosigned" 200 "$(send d.example 9 10)"
same "with the last time again, of whatever log" $((now + 200)) "$(metric 'stele_witness_time_seconds{origin="d.example"}')"
stop w
witness_log head e.example 6 "$W/w/heads" $((now + 86400)) >"$W/ignored"
serve
status "further: 503" 503 "$(send d.example 10 11)"
says "which says why" "behind the last signature" "$W/body"
status "for every log" 503 "$(send a.example 23 24)"
refuses "set-clock wants the witness stopped" "another process uses" stele-witness set-clock "$W/w" "$(date -u +%Y-%m-%dT%H:%MZ)"
stop w
refuses "set-clock wants a time" "is wanted as" stele-witness set-clock "$W/w" now
refuses "set-clock wants a time that exists" "is wanted as" stele-witness set-clock "$W/w" 2026-02-30T10:00Z
refuses "set-clock: a person's clock and the machine's must agree" "differs" stele-witness set-clock "$W/w" 2031-01-01T00:00Z
accepts "set-clock" stele-witness set-clock "$W/w" "$(date -u +%Y-%m-%dT%H:%MZ)"
says "says what it did" "^[12] logs had a time in the future" "$W/out"
serve
status "then it signs again" 200 "$(send d.example 10 11)"

# A note that the disk does not take.
note=$W/w/checkpoints/$(printf %s d.example | sha256sum | cut -c1-64)
written() { sed -n 2p "$note"; }
same "a note is written" 11 "$(soon 11 written)"
rm "$note"
mkdir "$note"
status "another cannot be" 200 "$(send d.example 11 12)"
refused() { grep -c "note-not-written.*$note" "$W/run/w.err"; }
same "which is said" 1 "$(soon 1 refused)"
rmdir "$note"
status "with the next, of another log" 200 "$(send a.example 23 24)"
same "it is" 12 "$(soon 12 written 2>/dev/null)"
stop w
done_testing
