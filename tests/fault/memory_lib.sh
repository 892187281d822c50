# What the tests share in which memory runs out (tests/preload/nomem.c). After lib.sh.
# shellcheck shell=sh
no_memory=$STELE_BUILD/tests/preload/nomem.so

# was_hit: did a call fail?
was_hit() { [ "$(tr -d '\0' <"$W/hit")" = x ]; }

# spoilt N COMMAND...: its status; the N-th call fails.
spoilt() {
    at=$1
    shift
    rm -f "$W/hit"
    NOMEM_AT=$at NOMEM_HIT=$W/hit LD_PRELOAD=$no_memory timeout -k 5 60 "$@" >"$W/out" 2>&1
}

# every WHAT STEP COMMAND...: a command; BEFORE makes what it works on.
every() {
    what=$1 step=$2
    shift 2
    short || step=1
    at=1 hits=0 bad=
    while :; do
        $before
        spoilt $at "$@"
        code=$?
        was_hit || break
        hits=$((hits + 1))
        # 1 to 4 are a program's own; 0: it did without.
        if [ $code -gt 4 ] && [ -z "$bad" ]; then bad="call $at: status $code" && tail -n 5 "$W/out" | sed 's/^/# /'; fi
        [ $code -eq 0 ] || grep -q . "$W/out" || bad="call $at: it says nothing"
        at=$((at + step))
    done
    if [ -n "$bad" ] || [ $hits -eq 0 ] || [ $code -ne 0 ]; then
        not_ok "$what: ${bad:-$hits calls, status $code without a fault}"
        sed "s/^/# /" "$W/out"
    else
        ok "$what: $hits calls"
    fi
}

# every_serve NAME STEP ASK COMMAND...: a server that starts, is asked by ASK, and ends when told to.
every_serve() {
    server=$1 step=$2 ask=$3
    shift 3
    short || step=1
    at=1 hits=0 bad=
    while spoilt_server "$@" || bad="$bad $at"; do
        was_hit || break
        hits=$((hits + 1)) at=$((at + step))
    done
    if [ -z "$bad" ] && [ $hits -gt 0 ]; then ok "$1 $2: $hits calls"; else
        not_ok "$1 $2: $hits calls, ended by a signal at$bad"
        tail -n 5 "$W/run/$server.err" | sed 's/^/# /'
    fi
}

# spoilt_server COMMAND...: false where it was ended by a signal.
spoilt_server() {
    rm -f "$W/hit"
    start "$server" env NOMEM_AT=$at NOMEM_HIT="$W/hit" LD_PRELOAD="$no_memory" "$@" 2>"$W/start.err" && $ask
    pid=$(cat "$W/run/$server.pid")
    rm -f "$W/run/$server.pid"
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ $? -le 4 ]
}
