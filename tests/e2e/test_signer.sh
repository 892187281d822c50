#!/bin/sh
# The process that holds a log's or a witness's key, seen from outside: what it has open, what the kernel lets it do, and where the
# key lies: in no other memory than its own guarded one, in no core dump. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# child PID: the process that it forked.
child() { grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3; }
# open_files PID: what it has open beside 0, 1 and 2, a kind or a name a line.
open_files() {
    for fd in /proc/"$1"/fd/*; do
        [ "${fd##*/}" -gt 2 ] && readlink "$fd"
    done | sed 's/:\[.*//; s|.*/||' | sort | tr '\n' ' '
}
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
pid_of() { cat "$W/run/$1.pid"; }

mkdir "$W/cores"
pattern=$(cat /proc/sys/kernel/core_pattern)
dumping() { cd "$W/cores" && ulimit -c unlimited && exec "$@"; }
# dumps: how many core dumps there are.
dumps() { find "$W/cores" -type f | wc -l | tr -d ' '; }

new_log
new_witness w dumping
under w
serve dumping
status "the control: it signs, and the witness's does" 200 "$(post "$W/e0")"

for name in log w; do
    signer=$(child "$(pid_of $name)")
    if [ $name = log ]; then key=$W/log/key; else key=$W/w/key; fi
    same "$name: there is one process beside the server" 1 "$(echo "$signer" | wc -w | tr -d ' ')"
    same "$name: it has the heads file open and a socket to the server, no data, no network" "heads socket " "$(open_files "$signer")"
    same "$name: no database is mapped" 0 "$(grep -c 'data.mdb' "/proc/$signer/maps")"
    same "$name: it can gain no privileges" 1 "$(field "$signer" NoNewPrivs)"
    same "$name: it dumps no core, whatever the limit was" 0 "$(awk '/^Max core file size/ { print $5 }' "/proc/$signer/limits")"
    if [ "${STELE_BUILD%asan}" != "$STELE_BUILD" ]; then
        skipped "$name: each of its threads is behind a seccomp filter" "left out under the sanitizers"
        skipped "$name: the key lies in guarded memory alone" "the sanitizers' shadow is too large to look through"
    else
        same "$name: each of its threads is behind a seccomp filter" "2 2 " \
            "$(cat /proc/"$signer"/task/*/status | sed -n 's/^Seccomp:[[:space:]]*//p' | tr '\n' ' ')"
        memory_probe process "$key" "$signer" >"$W/out" 2>&1
        says "$name: the key lies in guarded memory alone, if anybody may look" '^guarded [1-9][0-9]* open 0$|^unreadable$' "$W/out"
        memory_probe process "$key" "$(pid_of $name)" >"$W/out" 2>&1
        says "$name: the server never had it" '^guarded 0 open 0$|^unreadable$' "$W/out"
    fi
done

# A signer that ends takes its server along, for the service manager to start both: the units have Restart=on-failure, but for the
# statuses of what would be refused again.
signed() { curl -s "$(url log)/metrics" | sed -n 's/^stele_log_sign_seconds_count //p'; }
# ended NAME: its status goes to $ended; in a minute it must have come to its end.
ended() {
    tries=0
    while kill -0 "$(pid_of "$1")" 2>/dev/null && [ $tries -le 600 ]; do tries=$((tries + 1)) && sleep 0.1; done
    [ $tries -le 600 ] || kill -KILL "$(pid_of "$1")"
    wait "$(pid_of "$1")"
    ended=$?
    rm "$W/run/$1.pid"
}
before=$(signed)
kill -STOP "$(pid_of w)"
make_attestation "$W/builder" 77 1 >"$W/e77"
post "$W/e77" >"$W/status" &
posting=$!
same "the log has signed a head, and waits for its witness" $((before + 1)) "$(soon $((before + 1)) signed)"
kill -ABRT "$(child "$(pid_of log)")"
says "its signer ends: it says so, by name, and stops" 'stopping why=.*the signer ended unexpectedly, by signal 6' "$W/run/log.err"
kill -CONT "$(pid_of w)"
wait $posting
status "what had its signature is answered" 200 "$(cat "$W/status")"
ended log
same "then the log ends, with the status of what a start may mend" 4 $ended
same "and the signer left no core dump" 0 "$(dumps)"
kill -KILL "$(child "$(pid_of w)")"
ended w
same "so does a witness, though nobody asked it anything" 4 $ended
says "which says why" 'stopping why=.*the signer ended unexpectedly, by signal 9' "$W/run/w.err"
for unit in log witness; do
    says "systemd starts stele-$unit again" '^Restart=on-failure$' "$here/../../systemd/stele-$unit.service"
    says "  after that status" '^RestartPreventExitStatus=1 2 3$' "$here/../../systemd/stele-$unit.service"
done
start w stele-witness serve "$W/w" --listen "$(url w | sed 's|http://||')"
accepts "the log goes on" serve dumping
case $pattern in
/* | \|*)
    skipped "the server's core dump does not have the key" "this machine's core dumps go elsewhere"
    stop log KILL
    ;;
*)
    stop log ABRT
    if [ "$(dumps)" = 0 ]; then
        skipped "the server's core dump does not have the key" "this machine makes no core dumps"
    else
        memory_probe file "$W/log/key" "$(find "$W/cores" -type f | head -n 1)" >"$W/out" 2>&1
        same "the server's core dump does not have the key" "found 0" "$(cat "$W/out")"
        memory_probe file "$W/log/key" "$W/log/key" >"$W/out" 2>&1
        same "the control: the key file has it" "found 1" "$(cat "$W/out")"
    fi
    ;;
esac
accepts "restarted, it goes on" serve
status "and answers" 200 "$(post "$W/e77")"

# A signer whose disk fails says so, and takes nobody along: what was published is served until the operator has looked.
well() { curl -s -o "$W/body" -w '%{http_code}' "$(url "$1")/healthz"; }
echo "quorum-timeout-ms 1000" >>"$W/log/config"
stop log
serve
number=78
for name in log w; do
    if ! prlimit --fsize=0 --pid "$(child "$(pid_of $name)")" 2>"$W/out"; then
        skipped "$name: a signer that cannot write" "root alone sets another process's limits"
        continue
    fi
    make_attestation "$W/builder" "$number" 1 >"$W/more"
    number=$((number + 1))
    status "$name: its signer cannot write" 503 "$(post "$W/more")"
    status "$name: it says so" 503 "$(soon 503 well $name)"
    says "$name: in its report, too" 'why=.*/heads: File too large' "$W/run/$name.err"
    status "$name: and is there for whoever looks" 200 "$(curl -s -o "$W/body" -w '%{http_code}' "$(url $name)/metrics")"
    stop $name
    [ $name = w ] || serve
done
done_testing
