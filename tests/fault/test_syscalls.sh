#!/bin/sh
# Each system call by which the server or its signer changes a file of the log fails once with EIO, once with ENOSPC, once with EIO
# though it was done, and once is where the process is killed. One log goes through all of it, under load, with a witness that would
# notice a head that goes back. After each fault it must start again, have answered everything, stand by every answer ever given, and
# pass fsck. TAP.
#
# strace counts the calls of each thread for itself, so that "the third" is the third of each thread that makes three; the
# files are told apart by their paths. What fails though it was done is tests/preload/persisted.c's, which counts each process's.
. "$(dirname "$0")/lib.sh"
world
driver=
port=$(free_port)

if ! can_trace; then
    skipped "system calls that fail" "strace cannot trace here"
    done_testing
    exit
fi

empty_log
new_witness w || exit 1
under w

# hit: did the fault come about?
hit() { grep -Eq '\(INJECTED\)|killed by SIGKILL' "$W/trace" || [ "$(head -c 1 "$W/hit" | tr -d '\0')" = x ]; }

# serve_failing N SYSCALL FILE: the log, told of a failure of what was done.
serve_failing() {
    file=$W/log/$3
    [ "$3" != any ] || file=$W/log
    serve env FAIL_CALL="$2:$1:$file" FAIL_HIT="$W/hit" LD_PRELOAD="$STELE_BUILD/tests/preload/persisted.so" 2>"$W/out"
}

# traced INJECTION SYSCALL FILE: the log under strace; FILE is of the log's folder, or "any".
traced() {
    path=
    [ "$3" = any ] || path="-P $W/log/$3"
    : >"$W/trace"
    rm -f "$W/hit" && truncate -s 4096 "$W/hit"
    if [ "${1#persisted:when=}" != "$1" ]; then
        serve_failing "${1#persisted:when=}" "$2" "$3"
        return
    fi
    # shellcheck disable=SC2086 # words
    serve strace -D -f -y -o "$W/trace" $path -e trace="$2" -e inject="$2:$1" 2>"$W/out"
}

# stops: the traced log comes to its end when told to. By an eventfd libmicrohttpd wakes its threads: it is no file, and no system
# lets it fail; where that was the fault, the log is killed.
stops() {
    [ -e "$W/run/log.pid" ] || return 0
    kill -TERM "$(cat "$W/run/log.pid")" 2>/dev/null
    tries=0
    while kill -0 "$(cat "$W/run/log.pid")" 2>/dev/null && [ $tries -lt 3000 ] && ! grep -q 'eventfd.*(INJECTED)' "$W/trace"; do
        tries=$((tries + 1)) && sleep 0.02
    done
    [ $tries -lt 3000 ] || echo "it does not stop" >"$W/holds"
    stop log KILL
    [ $tries -lt 3000 ]
}

# one INJECTION SYSCALL FILE [final]: one fault. Where it is final, a log that lives must say that it takes nothing more, and why.
# False where something did not hold; $W/trace says whether the fault came about.
one() {
    : >"$W/run/log.err"
    driver=
    $before
    if traced "$1" "$2" "$3" && [ "$load_n" -gt 0 ]; then
        load "$load_n" 4
        while loading && ! hit; do sleep 0.02; done
        until hit || $settled || ! kill -0 "$(cat "$W/run/log.pid")" 2>/dev/null; do sleep 0.02; done
    fi
    if hit && [ "${4:-}" = final ] && [ "${1#signal}" = "$1" ]; then
        tries=0
        until grep -q "$W/log/${3%/*}.*: \(Input/output error\|No space left on device\)" "$W/run/log.err" || [ $tries -gt 600 ]; do
            tries=$((tries + 1)) && sleep 0.05
        done
        if [ $tries -gt 600 ]; then
            { echo "it does not say what failed:" && cat "$W/run/log.err"; } >"$W/holds"
            stop log KILL
            return 1
        fi
    fi
    stops && holds >"$W/holds" 2>&1
}

# every SYSCALL FILE [final]: the faults one by one, until a run has no such call any more, or $few of them.
every() {
    for kind in error=EIO error=ENOSPC signal=KILL persisted; do
        n=1 hits=0 bad=
        while one "$kind:when=$n" "$@" || bad="$bad $n"; do
            case "$bad " in *" $n ")
                sed 's/^/# /' "$W/holds"
                tail -n 5 "$W/trace" | sed 's/^/# /'
                [ -n "$driver" ] && kill "$driver" 2>/dev/null
                stop log KILL
                ;;
            esac
            hit || break
            hits=$((hits + 1))
            [ $n -ge $few ] && break
            n=$((n + 1))
        done
        if [ -n "$bad" ]; then
            not_ok "$1 of $2, $kind: not at call$bad"
        elif [ $hits -eq 0 ]; then
            not_ok "$1 of $2, $kind: there was no such call"
        else
            ok "$1 of $2, $kind: held at $hits calls"
        fi
    done
}

# before each: $before; then so many are submitted, and $settled is waited for; so many calls are tried in the short form.
before=true load_n=30 settled=true few=2
short || few=1000
accepts "the log starts" serve
load 20 4
accepts "and answers" answered
stop log

echo "# the data, the signer's heads, the indices, all other files"
# LMDB writes pages that lie side by side by writev, others by pwrite64: which, the load decides.
for call in pwrite64,writev fdatasync; do every $call data/data.mdb final; done
if [ "$(id -u)" = 0 ]; then
    for call in pwrite64 fdatasync ftruncate fsync; do every $call heads final; done
else
    skipped "the signer's heads" "root alone is told the files of a process that is not dumpable"
fi
for call in pwrite64,writev fdatasync; do every $call index/data.mdb; done
for call in write rename fsync; do every $call any; done

echo "# a sync that failed counts as done once the system has forgotten the failure: what it was for is written again"
if [ "$(id -u)" = 0 ]; then
    traced error=EIO:when=2 fdatasync heads
    load 20 1
    while loading && ! hit; do sleep 0.02; done
    stops
    serve strace -D -f -o "$W/trace2" -P "$W/log/heads" -e trace=pwrite64,fsync,fdatasync
    answered
    if head -n 1 "$W/trace2" | grep -q pwrite64 && sed -n 2p "$W/trace2" | grep -q fsync; then ok "at the next start"; else
        not_ok "at the next start"
        head -n 3 "$W/trace2" | sed 's/^/# /'
    fi
    stop log
fi

echo "# a heads file that is written anew at start"
empty_log "quorum none"
serve
load 1100 1
answered
stop log
cp "$W/log/heads" "$W/heads"
before="cp $W/heads $W/log/heads" load_n=0
! short || few=1
for call in write fsync rename ftruncate; do every $call any; done
if [ "$(wc -c <"$W/log/heads")" -lt "$(wc -c <"$W/heads")" ]; then ok "it is smaller now"; else not_ok "it was not written anew"; fi

echo "# the first start of a new log"
fresh() { empty_log "quorum none"; }
before=fresh load_n=10
for call in pwrite64,writev fdatasync fsync ftruncate write rename; do every $call any; done
if ! short; then
    echo "# the leaf hashes of a log that is large enough for them to be written out"
    empty_log "quorum none"
    PATH=$STELE_BUILD/tests/bench:$PATH
    accepts "a quarter of a million entries" grow "$W/log" "$W/builder" 250500 1024 0
    rm -rf "$W/log/seen"
    serve
    run=
    while [ -z "$run" ]; do run=$(ls "$W/log/seen") && sleep 0.02; done
    run=seen/$run
    # Its head is written last.
    written() { [ -n "$(head -c 8 "$W/log/$run" 2>/dev/null | tr -d '\0')" ]; }
    until written; do sleep 0.02; done
    ok "they are written to $run"
    load 20 1
    accepts "and it answers" answered
    stop log
    before="rm -rf $W/log/seen" load_n=10 settled=written few=3 full=
    every pwrite64 "$run"
fi
done_testing
