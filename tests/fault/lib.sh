# What the fault tests share, beside tests/e2e/lib.sh: a log, a witness, and what must hold after any fault. Needs STELE_BUILD;
# FAULT is short or long.
# shellcheck shell=sh
. "$(dirname "$0")/../e2e/lib.sh"
PATH=$STELE_BUILD/tests/fault:$STELE_BUILD/tests/e2e:$PATH
: "${FAULT:=long}"
origin=log.example/fault
full=--full # what `holds` asks of fsck
made=0 # attestations, so that each load is of new ones

# short: is this the short form?
short() { [ "$FAULT" = short ]; }

# can_trace: may system calls be traced here, also of a process that gives up its privileges?
can_trace() {
    command -v strace >/dev/null && strace -D -f -o "$W/can-trace" -e trace=exit_group true 2>/dev/null || return 1
    tries=0
    until grep -q exited "$W/can-trace" || [ $tries -gt 200 ]; do tries=$((tries + 1)) && sleep 0.05; done
    [ $tries -le 200 ]
}

# empty_log POLICY-LINE...: a new_log for one builder, that has answered nothing.
empty_log() {
    [ -e "$W/builder" ] || make_attestation key ci.example/builder "$W/builder" >/dev/null 2>&1
    new_log "$@" || return 1
    : >"$W/notes"
}

# load N THREADS: in the background, N new attestations are submitted, each until it is answered. The answers' notes go to
# $W/notes.now; `answered` waits for them all.
load() {
    make_attestation "$W/builder" $made "$1" >"$W/load"
    made=$((made + $1))
    : >"$W/notes.now"
    log_driver load "http://127.0.0.1:$port" "$W/log/policy" "$W/load" "$W/notes.now" "$2" 2>"$W/load.err" &
    driver=$!
}

loading() { kill -0 "$driver" 2>/dev/null; }

answered() {
    wait "$driver"
    code=$?
    driver=
    cat "$W/notes.now" >>"$W/notes"
    [ $code -eq 0 ] || sed 's/^/# /' "$W/load.err" >&2
    return $code
}

# serve [COMMAND...]: the log on $port, by way of COMMAND.
serve() { start log "$@" stele-log serve "$W/log" --listen "127.0.0.1:$port"; }

health() { curl -s -o "$W/health" -m 20 -w '%{http_code}' "http://127.0.0.1:$port/healthz"; }

# shown: the log has a published checkpoint, or will in a moment: what was out when it ended is cosigned anew.
shown() {
    tries=0
    until curl -sf -o "$W/shown" "http://127.0.0.1:$port/checkpoint" || [ $tries -gt 1200 ]; do tries=$((tries + 1)) && sleep 0.05; done
    [ $tries -le 1200 ] || { echo "it publishes nothing" && return 1; }
}

stands_by_all() {
    if [ -n "$driver" ]; then answered || return 1; fi
    shown && log_driver check "http://127.0.0.1:$port" "$W/log/policy" "$W/notes"
}

# holds: the log starts, answers what waits, stands by everything that it ever answered, and fsck has nothing to say.
# Otherwise it says what is wrong, and is false.
holds() {
    serve || return 1
    stands_by_all
    code=$?
    stop log
    # shellcheck disable=SC2086 # an option
    [ $code -eq 0 ] && stele-log fsck "$W/log" $full
}
