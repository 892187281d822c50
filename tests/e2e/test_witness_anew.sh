#!/bin/sh
# A witness whose heads file has become long: it starts itself anew, and those who ask it hardly notice. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
bench=$STELE_BUILD/tests/bench/witness
stele-witness init "$W/w" --name w.example >/dev/null 2>&1
stele-witness add-log "$W/w" "$(witness_log vkey a.example)" >/dev/null 2>&1
"$bench" vkeys 4 >>"$W/w/logs"
echo "heads-max 1023" >>"$W/w/config"
refuses "fewer would be too few to write it anew" "heads-max. is 1024 or more" stele-witness serve "$W/w" --listen 127.0.0.1:0
sed -i '$d' "$W/w/config"
echo "heads-max 1024" >>"$W/w/config"
serve
pid=$(cat "$W/run/w.pid") url=$(url w)
status "a log is cosigned" 200 "$(send a.example 0 5)"
# knock: connects anew, again and again, until the load is over.
knock() {
    while [ ! -e "$W/over" ]; do
        curl -s -o "$W/knocked" -m 20 "$url/healthz"
        echo "$?" >>"$W/knocks"
    done
}
knock &
knocking=$!
# It ends with its connections.
"$bench" load "$url" 4 4 400 30 >"$W/load" 2>&1
same "after 1,024 heads it starts anew" 2 "$(soon 2 grep -c ' started logs=' "$W/run/w.err")"
touch "$W/over"
wait "$knocking"
says "says why" 'starting-anew why=.*heads-max' "$W/run/w.err"
accepts "it is the same process" kill -0 "$pid"
same "nobody who connected was refused" 0 "$(grep -cx 7 "$W/knocks")"
accepts "of some" test -s "$W/knocks"
accepts "its heads file was written anew" test "$(wc -c <"$W/w/heads")" -lt 65536
status "what it cosigned binds" 409 "$(send a.example 0 6)"
status "and goes on" 200 "$(send a.example 5 7)"
same "it knows the logs of before" 6 "$(curl -s "$url/" | grep -c '<tr>')"
stop w
says "it ends as ever" 'stopping signal=15' "$W/run/w.err"
done_testing
