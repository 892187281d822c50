#!/bin/sh
# `stele deliver`: to one log and to several, past what they refuse, with logs that lie, hang, or ask for patience, and killed in
# the middle. Whatever happens, nothing is lost and nothing is logged twice. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# letters FIRST N [KEY]: that many attestations in the outbox, a file each, as the hook leaves them.
letters() {
    mkdir -p "$W/outbox" "$W/letters"
    make_attestation "$W/${3:-builder}" "$1" "$2" >"$W/lines"
    split -l 1 -d -a 5 --additional-suffix=.jsonl "$W/lines" "$W/letters/$(printf %032d "$1")-"
    mv "$W/letters"/* "$W/outbox" # whole: a daemon may look at any time
}
waiting() { find "$W/outbox" -maxdepth 1 -name '*.jsonl' | wc -l; }
aside() { find "$W/outbox/refused" -name '*.why' 2>/dev/null | wc -l; }
kept() { find "$W/state/proofs" -name '*.tlog-proof' | wc -l; }
logged() { curl -s "$(url "${1:-log}")/checkpoint" | sed -n 2p; }
# anew: an empty outbox and state.
anew() { rm -rf "$W/outbox" "$W/state"; }
# policy LINE...: the builder's.
policy() { printf '%s\n' "$@" >"$W/policy"; }
deliver() { stele deliver --once "$@"; }

new_log
new_witness w1 || exit 1
under w1
witness=$(witness_line w1)
log_key=$(stele-log key "$W/log")
port=$(free_port)
serve_at || exit 1
ours="log $log_key http://127.0.0.1:$port"
printf 'policy policy\nstate state\noutbox outbox\n' >"$W/deliver.conf"
export STELE_CONFIG="$W/deliver.conf"
policy "$ours" "$witness" "quorum w1"

echo "# many, and some that are refused"
letters 1000 700
mkdir -p "$W/state/proofs"
printf 'c2sp.org/tlog-proof@v1\nextra eyJw' >"$W/state/proofs/$(part 1300).tlog-proof" # as a deliverer that was killed leaves it
accepts "700 letters are delivered" deliver
same "none waits" 0 "$(waiting)"
same "there is a proof of each" 700 "$(kept)"
same "the log has each once" 700 "$(logged)"
accepts "a proof verifies, the one that was half there" stele verify "$W/state/proofs/$(part 1300).tlog-proof"
letters 2000 100
letters 0 1 other
make_attestation "$W/builder" 5000 1 3000 | tail -n 1 >"$W/outbox/00000000000000000000000000002000-00050a.jsonl"
echo rubbish >"$W/outbox/00000000000000000000000000002000-00060a.jsonl"
head -c 4000000 /dev/zero >"$W/outbox/large.jsonl"
refuses "what is refused is told of" "100 delivered, 4 refused" deliver
same "none waits" 0 "$(waiting)"
same "each of the refused has its reason" 4 "$(aside)"
says "a stranger's" "403.*builder" "$(grep -l 403 "$W"/outbox/refused/*.why | head -n 1)"
says "one without its input list" "400: line 1: .*list" "$(grep -l "answered 400" "$W"/outbox/refused/*.why | head -n 1)"
says "what is no attestation" "not an attestation as stele writes it" "$W/outbox/refused/00000000000000000000000000002000-00060a.jsonl.why"
says "what is too large" "large.jsonl has more than" "$W/outbox/refused/large.jsonl.why"
same "the log has the others once" 800 "$(logged)"
make_attestation "$W/builder" 6000 1 3000 >"$W/outbox/list.jsonl"
accepts "a letter with its input list goes" deliver
same "it is logged" 801 "$(logged)"

echo "# a proxy that takes little at once"
nginx_server small "client_max_body_size 20k; location / { proxy_pass http://127.0.0.1:$port; }" || exit 1
same "the proxy is there" 801 "$(curl -s "$(url small)/checkpoint" | sed -n 2p)"
policy "log $log_key $(url small)" "$witness" "quorum w1"
letters 7000 120
accepts "letters go through it in smaller batches" deliver
same "all of them" 921 "$(logged)"
policy "log $log_key http://127.0.0.1:1" "$witness" "quorum w1"
letters 7500 1
refuses "while the log is away" "1 attestations still wait" deliver --for 1
refuses "it is not forgotten when something was delivered" "it delivered last: 20" stele status
rm "$W"/outbox/*.jsonl
policy "$ours" "$witness" "quorum w1"

echo "# logs that are none"
accepts "a log that lies starts" start fake fake_log "$W/fake"
liar="log $log_key $(url fake)"
# answers STATUS TYPE [HEADER]: $W/fake is that answer with what is read as its body.
answers() {
    cat >"$W/fake.body"
    printf 'HTTP/1.1 %s\r\nContent-Type: %s\r\n%s\r\nContent-Length: %s\r\n\r\n' "$1" "$2" "${3:-X: y}" "$(wc -c <"$W/fake.body")" >"$W/fake"
    cat "$W/fake.body" >>"$W/fake"
}
asked() { cat "$W/fake.count"; }
# stays WHAT REASON: the letters wait, for that reason.
stays() {
    refuses "$1: they wait, and it says why" "attestations still wait in .*: .*$2" deliver --for 1
    same "$1: nothing is lost" 3 "$(waiting)"
    same "$1: nothing is set aside" 0 "$(aside)"
}
anew
policy "$liar" "$witness" "quorum w1"
letters 8000 3
echo "no proof of anything" | answers "200 OK" text/plain
stays "garbage" "line 1 of the proof"
answers "200 OK" text/plain </dev/null
stays "an empty answer" "no proof of this attestation"
curl -s "$(url log)/output/$(part 1300)" | answers "200 OK" text/plain
stays "another's bundle" "no proof of this attestation"
make_attestation "$W/builder" 8000 1 | tr -d '\n' | base64 -w 0 >"$W/extra"
curl -s "$(url log)/output/$(part 1300)" | sed "s|^extra .*|extra $(cat "$W/extra")|" | answers "200 OK" text/plain
stays "a proof of something else" "index [0-9]+ of .*inclusion"
curl -s "$(url log)/output/$(part 1300)" | sed "s|^extra .*|extra $(cat "$W/extra")|; /^— w1/d" | answers "200 OK" text/plain
stays "and no quorum" "index [0-9]+ of .*inclusion"
printf '<html>not found</html>' | answers "404 Not Found" text/html
stays "a wrong address" "answered 404"
printf '<html>refused</html>' | answers "403 Forbidden" text/html
stays "a login page" "answered 403"
printf '@drip\nHTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n' >"$W/fake"
stays "an answer that drips" "[Tt]ime"
printf '@endless\nHTTP/1.1 200 OK\r\n\r\n%s' "$(head -c 60000 /dev/zero | tr '\0' x)" >"$W/fake"
stays "an answer without end" "more than"
printf '@hang\n' >"$W/fake"
stays "no answer" "[Tt]ime"
rm -f "$W/fake"
stays "a closed connection" "."
rm -f "$W/fake.count"
printf '{"detail":"not now"}' | answers "429 Too Many Requests" application/problem+json "Retry-After: 3600"
refuses "Retry-After is obeyed: it gives up at once" "3 attestations still wait in .*: .*429: not now" deliver
requests=$(asked)
printf '{"detail":"not now"}' | answers "503 Service Unavailable" application/problem+json \
    "Retry-After: $(LC_ALL=C date -u -d '+1 hour' '+%a, %d %b %Y %H:%M:%S GMT')"
refuses "a date, too" "3 attestations still wait in .*: .*503: not now" deliver
same "each time it was asked once" $((requests + 1)) "$(asked)"
printf '{"detail":"line 2: in the way"}' | answers "409 Conflict" application/problem+json
refuses "what is refused with 409 is set aside" "0 delivered, 3 refused" deliver
same "all of it" 3 "$(aside)"
says "with the reason" "409: line 2: in the way" "$(find "$W/outbox/refused" -name '*.why' | head -n 1)"

echo "# short of our quorum, and looked up later"
anew
stele-witness init "$W/w2" --name w2.example >"$W/out" 2>&1
stele-witness add-log "$W/w2" "$log_key" >"$W/out" 2>&1
late_port=$(free_port)
late="witness w2 $(stele-witness key "$W/w2") http://127.0.0.1:$late_port"
stop log
printf '%s\n' "$witness" "$late" "quorum w1" >"$W/log/policy"
serve_at || exit 1
policy "$ours" "$witness" "$late" "group both all w1 w2" "quorum both"
letters 8050 40
size=$(logged)
stele deliver >"$W/daemon" 2>&1 &
daemon=$!
same "the log takes them all" $((size + 40)) "$(soon $((size + 40)) logged)"
same "a proof that is short of our quorum is none, and it says so" 1 "$(soon 1 sh -c "grep -m 1 '40 wait: ' $W/daemon | grep -c -E 'quorum|witness'")"
same "none has left the outbox" 40 "$(waiting)"
same "and none is kept" 0 "$(kept)"
start w2 stele-witness serve "$W/w2" --listen "127.0.0.1:$late_port" || exit 1
same "when the other witness comes, they are proven" 0 "$(soon 0 waiting)"
same "there is a proof of each" 40 "$(soon 40 kept)"
same "the log has each once" $((size + 40)) "$(logged)"
kill -TERM $daemon
wait $daemon
accepts "a proof verifies under both" stele verify "$W/state/proofs/$(part 8070).tlog-proof"
policy "$ours" "$witness" "quorum w1"

echo "# a log that is frozen"
letters 8100 40
cat "$W"/outbox/*.jsonl >"$W/sent"
status "the log takes letters whose proofs never come" 200 "$(post "$W/sent" -H 'Content-Type: application/jsonl')"
letters 8200 2
stop log
accepts "it is frozen" stele-log freeze "$W/log" --note "go on elsewhere"
serve_at || exit 1
refuses "what it took is proven all the same, what is new waits" "2 attestations still wait in .*: .*410: go on elsewhere" deliver --for 1
same "that alone" 2 "$(waiting)"
same "there is a proof of each of the others" 80 "$(kept)"
same "nothing is set aside" 0 "$(aside)"

echo "# several logs"
anew
policy "$liar" "$witness" "quorum w1"
letters 8000 3
printf '{"detail":"moved to log.example/next"}' | answers "410 Gone" application/problem+json
refuses "a log that has ended takes nothing, and the letters wait" "3 attestations still wait in .*: .*410: moved to" deliver
same "none is lost" 3 "$(waiting)"
mv "$W/log" "$W/first"
stop log
stele-log init "$W/log" --origin log.example/next >"$W/out" 2>&1
cat "$W/builder.pub" >>"$W/log/builders"
under w1
introduce w1 log
serve || exit 1
next="log $(stele-log key "$W/log") $(url log)"
policy "$liar" "$next" "$witness" "quorum w1"
accepts "with a new log beside it they go there" deliver
says "to that one" "index 0 in log.example/next, cosigned by w1" "$W/out"
letters 8100 3
rm -f "$W/fake"
accepts "where the first is down, the second takes them" deliver
letters 8200 3
echo "no proof of anything" | answers "200 OK" text/plain
accepts "where the first lies, too" deliver
letters 8300 3
printf '{"detail":"no"}' | answers "403 Forbidden" application/problem+json
accepts "where the first refuses, too" deliver
same "the second has each once" 12 "$(logged)"
letters 8400 2 other
refuses "what both refuse is set aside" "0 delivered, 2 refused" deliver
same "none waits" 0 "$(waiting)"

echo "# one deliverer at a time, as a daemon"
policy "$next" "$witness" "quorum w1"
stele deliver >"$W/daemon" 2>&1 &
daemon=$!
letters 8500 2
same "a daemon delivers what comes" 0 "$(soon 0 waiting)"
refuses "another deliverer does not begin" "another process uses .*outbox already" deliver
kill -0 $daemon
same "the first goes on" 0 $?
printf 'nonsense\n' >"$W/policy"
kill -HUP $daemon
same "a policy that is none is not taken" 1 "$(soon 1 grep -c 'stays as it was: .*policy' "$W/daemon")"
policy "$next" "$witness" "quorum w1"
kill -HUP $daemon
same "a new one is" 1 "$(soon 1 grep -c 'was read again' "$W/daemon")"
letters 8600 2
same "and it goes on" 0 "$(soon 0 waiting)"
kill -TERM $daemon
wait $daemon
same "it ends when told to" 0 $?

echo "# weeks offline"
stop log
serve_at || exit 1
weeks_offline() {
    anew
    nginx_server front "location / {
        if (-f $W/patience) { add_header Retry-After 3600 always; return 503; }
        if (-f $W/down) { return 503; }
        proxy_pass http://127.0.0.1:$port; }" || exit 1
    policy "log $(stele-log key "$W/log") $(url front)" "$witness" "quorum w1"
    size=$(logged)
    touch "$W/down"
    letters 8700 50
    asks() { grep -c '"POST /attestations HTTP/1.[01]" 503' "$W/nginx-front/access.log"; }
    asked_again() { [ "$(asks)" -gt "$before" ] && echo yes; }
    # passed SECONDS: since the deliverer began, by its clocks.
    passed() { shift_clock "$1" "$1"; }
    passed 0
    (shifted stele deliver) >"$W/daemon" 2>&1 &
    daemon=$!
    before=0
    same "a log that is down is asked" yes "$(soon yes asked_again)"
    missed=
    for day in $(seq 21); do
        before=$(asks)
        passed $((day * 86400))
        [ "$(soon yes asked_again)" = yes ] || missed="$missed $day"
    done
    same "and again on each day of three weeks" "" "$missed"
    same "all wait that waited" 50 "$(waiting)"
    same "none is set aside" 0 "$(aside)"
    touch "$W/patience"
    before=$(asks)
    passed $((22 * 86400))
    same "it asks for patience" yes "$(soon yes asked_again)"
    before=$(asks)
    passed $((22 * 86400 + 1800))
    sleep 1
    same "half of it later it has not been asked" "$before" "$(asks)"
    passed $((22 * 86400 + 7500))
    same "when that is over it is" yes "$(soon yes asked_again)"
    rm "$W/patience" "$W/down"
    passed $((23 * 86400))
    same "it is back, and all is delivered" 0 "$(soon 0 waiting)"
    same "there is a proof of each" 50 "$(soon 50 kept)"
    same "the log has each once" $((size + 50)) "$(logged)"
    kill -TERM $daemon
    wait $daemon
}
case $STELE_BUILD in
*/tsan) skipped "weeks offline" "ThreadSanitizer's own sleep is not woken by a clock that is moved" ;;
*) weeks_offline ;;
esac
policy "log $(stele-log key "$W/log") http://127.0.0.1:$port" "$witness" "quorum w1"

echo "# killed again and again"
anew
size=$(logged)
letters 9000 3000
kills=0
while [ "$(waiting)" -gt 0 ] && [ $kills -lt 6 ]; do
    stele deliver --once >"$W/out" 2>&1 &
    deliverer=$!
    before=$(waiting)
    # It is killed as soon as something has left the outbox.
    tries=0
    while [ "$(waiting)" = "$before" ] && kill -0 $deliverer 2>/dev/null && [ $tries -lt 1000 ]; do tries=$((tries + 1)) && sleep 0.01; done
    kill -KILL $deliverer 2>/dev/null
    wait $deliverer 2>/dev/null
    kills=$((kills + 1))
done
echo "# killed $kills times"
accepts "in the end all are delivered" deliver --for 60
same "none waits" 0 "$(waiting)"
same "there is a proof of each" 3000 "$(kept)"
same "and each was logged once" $((size + 3000)) "$(logged)"
done_testing
