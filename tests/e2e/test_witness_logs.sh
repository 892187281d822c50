#!/bin/sh
# Which logs a witness cosigns, and how often: add-log, remove-log, log lists, limits. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
a=a.example/log
stele-witness init "$W/w" --name w.example >/dev/null 2>&1
vkey() { witness_log vkey "$@"; }

accepts "add-log" stele-witness add-log "$W/w" "$(vkey $a)"
accepts "add-log: a second key of the same origin, and a limit" stele-witness add-log "$W/w" "$(vkey $a 1)" --limit 10000
accepts "add-log: another limit takes the first one's place" stele-witness add-log "$W/w" "$(vkey $a 2)" --limit 20000
same "logs lists keys and limit" "log $(vkey $a)
log $(vkey $a 1)
log $(vkey $a 2)
limit 20000 $a" "$(stele-witness logs "$W/w")"
refuses "add-log: a secret key is told from its vkey" "this is a secret key" stele-witness add-log "$W/w" "$(cat "$W/w/key")"
refuses "add-log: a limit is a number" "number from 1" stele-witness add-log "$W/w" "$(vkey x)" --limit none
serve
status "the first key's signature is enough" 200 "$(send $a 0 5)"
status "the second key's too" 200 "$(send $a 5 6 - 1)"
status "a key that was never added is not" 403 "$(send $a 6 7 - 3)"
accepts "remove-log --key takes one key" stele-witness remove-log "$W/w" $a --key "$(vkey $a 1)"
refuses "a second time it is not there" "no such line" stele-witness remove-log "$W/w" $a --key "$(vkey $a 1)"
reread
same "without a restart it is not trusted any more" 403 "$(soon 403 send $a 6 7 - 1)"
status "the others are" 200 "$(send $a 6 7 - 2)"
accepts "remove-log takes the log" stele-witness remove-log "$W/w" $a
same "logs says so" "removed $a" "$(stele-witness logs "$W/w")"
reread
same "without a restart it is unknown" 404 "$(soon 404 send $a 7 8)"
same "and not shown" "" "$(shown $a | grep '^[0-9]')"
accepts "add-log brings it back" stele-witness add-log "$W/w" "$(vkey $a)"
reread
same "it goes on where it was" 200 "$(soon 200 send $a 7 8)"
status "and cannot go back" 409 "$(send $a 0 4)"

# Log lists.
b=b.example/log c=c.example/log d=d.example/log
cat >"$W/list" <<END
# a list
logs/v0

vkey $(vkey $b)
qpd 86400
contact b@example.org

vkey $(vkey $a 5)
qpd 1
contact mallory
vkey $(vkey $c)
origin go.sum database tree
bastion none
qpd 24
contact c
vkey $(stele-witness key "$W/w")
qpd 5
contact a witness is no log
vkey $(vkey $b 9)
qpd 7
contact another key of the same new log
END
echo "log-list $W/list" >>"$W/w/config"
echo "log-list missing-list" >>"$W/w/config"
stop w
cp "$W/w/logs" "$W/logs-before"
serve
same "a list's log is cosigned" 200 "$(soon 200 send $b 0 3)"
same "logs has what the list added, and what was there" "log $(vkey $a)
log $(vkey $b)
log $(vkey $b 9)
limit 86400 $b
log $(vkey $c) go.sum database tree
limit 24 go.sum database tree" "$(stele-witness logs "$W/w")"
status "a list does not add a key to a log that is known" 403 "$(send $a 8 9 - 5)"
status "nor a limit" 200 "$(send $a 8 9)"
status "nor a second time" 200 "$(send $a 9 9)"
says "what is no Ed25519 log is reported" "list-log-unusable .*type 0x04" "$W/run/w.err"
says "a list that is missing is reported" 'list-not-read .*missing-list' "$W/run/w.err"
printf 'logs/v0\nvkey %s\nqpd 500\ncontact d\nvkey %s\nqpd 9\ncontact b\n' "$(vkey $d)" "$(vkey $b 4)" >"$W/list"
reread
same "SIGHUP rereads the list" 200 "$(soon 200 send $d 0 3)"
status "a log that is in no list any more stays" 200 "$(send $b 3 4)"
status "a list does not change its key" 403 "$(send $b 4 5 - 4)"
accepts "its limit is as before" grep -qx "limit 86400 $b" "$W/w/logs"
accepts "remove-log of a list's log" stele-witness remove-log "$W/w" $d
echo 'nonsense' >>"$W/list"
reread
same "a list that breaks its form changes nothing" 404 "$(soon 404 send $d 3 4)"
says "and is reported, with its line" "list-not-read .*line 8" "$W/run/w.err"
sed -i '$d' "$W/list"
sed -i "s|^contact b\$|contact b2|" "$W/list"
printf 'vkey %s\nqpd 9\ncontact e\n' "$(vkey e.example)" >>"$W/list"
reread
same "a list is read again once it is right" 200 "$(soon 200 send e.example 0 3)"
status "and does not bring back what was removed" 404 "$(send $d 3 4)"
stop w
static_server lists "$W"
sed -i "s|^log-list .*/list\$|log-list $(url lists)/list2|" "$W/w/config"
printf 'logs/v0\nvkey %s\nqpd 9\ncontact f\nvkey %s\nqpd 2\ncontact q\n' "$(vkey f.example)" "$(vkey q.example)" >"$W/list2"
serve
same "a list by URL" 200 "$(soon 200 send f.example 0 3)"
same "with qpd 2 a log has two heads a day cosigned, not three" "200 200 429" \
    "$(send q.example 0 1) $(send q.example 1 2) $(send q.example 2 3)"

# Limits: of a log, and of an address.
stele-witness add-log "$W/w" "$(vkey l.example)" --limit 3 >/dev/null 2>&1
reread
same "a log with a limit of 3 a day: the first" 200 "$(soon 200 send l.example 0 1)"
same "the others" "200 200" "$(send l.example 1 2) $(send l.example 2 3)"
status "the fourth" 429 "$(send l.example 3 4)"
says "with the time to wait" "^[Rr]etry-[Aa]fter: (2[0-9]{4}|1)" "$W/headers"
status "another log is not concerned" 200 "$(send f.example 3 4)"
status "what is no larger head has a limit of its own" 409 "$(send l.example 0 3)"
same "it is counted" 1 "$(metric 'stele_witness_requests_total{origin="l.example",result="limited"}')"
stop w
printf 'address-rate 1\n' >>"$W/w/config"
serve
# many HOW-MANY FORWARDED: the statuses of as many requests over one connection.
many() {
    witness_log request f.example 0 5 >"$W/request"
    i=0
    while [ $i -lt "$1" ]; do
        printf 'url = "%s/add-checkpoint"\noutput = "%s"\n' "$(url w)" "$W/body"
        i=$((i + 1))
    done >"$W/curl"
    curl -s -K "$W/curl" --data-binary "@$W/request" -H "X-Forwarded-For: $2" -w '%{http_code}\n'
}
many 60 "192.0.2.1, 198.51.100.7" >"$W/statuses"
same "an address may ask twice as often at once as in a second" "409 409" "$(head -n 2 "$W/statuses" | tr '\n' ' ' | sed 's/ $//')"
says "and is then told to wait" "^429\$" "$W/statuses"
limited=$(grep -c 429 "$W/statuses")
same "another address is not concerned, whatever it says of itself" 409 "$(many 1 "198.51.100.7, 192.0.2.1")"
same "this machine itself is not counted" "60" "$(many 60 127.0.0.1 | grep -c 409)"
same "it is counted" "$limited" "$(metric stele_witness_address_limited_total)"
# asks PATH ADDRESS: the status.
asks() { curl -s -D "$W/headers" -o "$W/body" -w '%{http_code}\n' -H "X-Forwarded-For: $2" "$(url w)$1"; }
for page in / /metrics; do
    status "$page is answered" 200 "$(asks $page "192.0.2.${#page}")"
    status "  and counts as a hundred requests: the next one waits" 429 "$(asks /healthz "192.0.2.${#page}")"
    says "  as long as they take" "^[Rr]etry-[Aa]fter: [89][0-9]" "$W/headers"
done
status "that is no other address's" 200 "$(asks /healthz 192.0.2.10)"
stop w

# Thousands of logs.
stele-witness init "$W/many" --name many.example >/dev/null 2>&1
"$STELE_BUILD/tests/bench/witness" vkeys 3000 >"$W/many/logs"
accepts "a log beside 3,000 others is added" stele-witness add-log "$W/many" "$(vkey $a)"
start w stele-witness serve "$W/many" --listen 127.0.0.1:0
status "and is cosigned" 200 "$(send $a 0 5)"
"$STELE_BUILD/tests/bench/witness" load "$(url w)" 3000 8 1 60 >"$W/load"
same "as each of the 3,000 is" "refused 0" "$(grep '^refused ' "$W/load")"
stele-witness add-log "$W/many" "$(vkey x.example)" >/dev/null 2>&1
reread
same "one more, without a restart" 200 "$(soon 200 send x.example 0 5)"
status "the first is remembered" 409 "$(send $a 0 6)"
same "the page has them all" 3002 "$(curl -s "$(url w)/" | grep -c '<td class="o">')"
same "the metrics, too" 3002 "$(curl -s "$(url w)/metrics" | grep -c '^stele_witness_size{')"
stop w
same "and all are on the disk" $(((3002 + 1) * 128)) "$(wc -c <"$W/many/heads")"
done_testing
