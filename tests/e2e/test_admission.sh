#!/bin/sh
# Who may submit to stele-log, and how much: builders by file and by anybody, rates of keys and addresses, forgers. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# forged FILE: the envelopes of FILE with other signatures.
forged() { sed 's/"sig":"[A-Za-z0-9+/]\{6\}/"sig":"AAAAAA/' "$1"; }
retry_after() { tr -d '\r' <"$W/headers" | sed -n 's/^[Rr]etry-[Aa]fter: //p'; }
# within WHAT LEAST MOST GOT
within() {
    if [ -n "$4" ] && [ "$4" -ge "$2" ] && [ "$4" -le "$3" ]; then ok "$1"; else not_ok "$1: \"$4\" is not from $2 to $3"; fi
}
# metric NAME: its value.
metric() { curl -s "$(url log)/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
reload() { kill -HUP "$(cat "$W/run/log.pid")"; }

make_attestation "$W/builder" 0 1 >"$W/mine"
make_attestation "$W/builder" 1 1 >"$W/mine2"
make_attestation "$W/other" 0 1 >"$W/others"
make_attestation "$W/other" 1 1 >"$W/others2"

echo "# builders by file, reread"
new_log "quorum none"
accepts "the log starts" serve
status "a listed builder" 200 "$(post "$W/mine")"
status "another" 403 "$(post "$W/others")"
says "is told why" "takes no attestations by other.example/builder" "$W/body"
forged "$W/others" >"$W/bad"
status "a forgery of another" 403 "$(post "$W/bad")"
says "is not verified at all" "takes no attestations by" "$W/body"
cat "$W/other.pub" >>"$W/log/builders"
status "before SIGHUP nothing changes" 403 "$(post "$W/others")"
reload
status "after it the other may submit" 200 "$(soon 200 post "$W/others")"
echo "nonsense" >>"$W/log/builders"
reload
says "a malformed file is reported with its line" 'builders-not-reread.*builders line [0-9]+' "$W/run/log.err"
status "and leaves what was in use" 200 "$(post "$W/others")"
cat "$W/builder.pub" >"$W/log/builders"
reload
status "who is taken out is refused" 403 "$(soon 403 post "$W/others2")"
status "but what is in the log is still proven" 200 "$(post "$W/others")"
status "who is left is not" 200 "$(post "$W/mine")"
stop log

echo "# a rate for each builder's key"
cat "$W/builder.pub" "$W/other.pub" >"$W/log/builders"
printf 'builder-rate 1\nbuilder-burst 20\n' >>"$W/log/config"
accepts "the log starts with a rate" serve
forged "$W/mine" >"$W/bad"
i=0; while [ $i -lt 60 ]; do post "$W/bad" >"$W/got"; i=$((i + 1)); done
status "sixty forgeries are refused as such" 403 "$(post "$W/bad")"
status "and cost the builder nothing" 200 "$(post "$W/mine2")"
make_attestation "$W/builder" 100 400 >"$W/many"
status "more than the burst at once is taken whole" 200 "$(post "$W/many")"
make_attestation "$W/builder" 600 1 >"$W/next"
status "and then waited for" 429 "$(post "$W/next")"
within "for so long" 200 400 "$(retry_after)"
says "with the reason" "as much as this log takes of one builder" "$W/body"
forged "$W/next" >"$W/bad"
status "which is said before anything is verified" 429 "$(post "$W/bad")"
status "another builder is served" 200 "$(post "$W/others")"
cat "$W/others" "$W/next" >"$W/bad"
status "but not together with him" 429 "$(post "$W/bad")"
same "refusals are counted" 3 "$(metric 'stele_log_submissions_refused_total{status="429"}')"
same "by their status" 61 "$(metric 'stele_log_submissions_refused_total{status="403"}')"
stop log

echo "# anybody, and a rate for each address"
new_log "quorum none"
sed -i 's/^builders .*/builders open/' "$W/log/config"
printf 'address-rate 1\naddress-burst 20\nproxy 127.0.0.1\n' >>"$W/log/config"
accepts "the log starts open" serve
status "anybody may submit" 200 "$(post "$W/others" -H 'X-Forwarded-For: 192.0.2.9')"
status "up to the rate of his address" 200 "$(post "$W/many" -H 'X-Forwarded-For: 192.0.2.9')"
status "and not beyond it" 429 "$(post "$W/next" -H 'X-Forwarded-For: 198.51.100.1, 192.0.2.9')"
within "for so long" 200 400 "$(retry_after)"
says "with the reason" "your address" "$W/body"
status "another address is served" 200 "$(post "$W/next" -H 'X-Forwarded-For: 192.0.2.10')"
head -c 300 "$W/many" >"$W/bad"
# As many as the burst, and those that time gives back meanwhile.
i=0
until [ "$(post "$W/bad" -H 'X-Forwarded-For: 2001:db8::1')" = 429 ] || [ $i -ge 1000 ]; do i=$((i + 1)); done
at_least "a burst of what is malformed is answered" 20 $i
status "what is malformed counts too" 429 "$(post "$W/next" -H 'X-Forwarded-For: 2001:db8::2')"
status "of the whole /64, and no other" 200 "$(post "$W/next" -H 'X-Forwarded-For: 2001:db8:0:1::1')"
stop log

for line in 'builder-rate -1' 'builder-rate 1000001' 'address-burst 0' 'proxy log.example'; do
    sed -i "/^${line%% *} /d" "$W/log/config"
    echo "$line" >>"$W/log/config"
    refuses "\`$line\` is refused" "config.*${line%% *}" timeout 20 stele-log serve "$W/log" --listen 127.0.0.1:0
    sed -i '$d' "$W/log/config"
done
done_testing
