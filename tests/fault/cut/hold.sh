# What hold_log.sh and hold_witness.sh share. The arguments are GIVEN and STATE.
# shellcheck shell=sh
set -u
given=$1 state=$2
server=

fail() {
    echo "$*"
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null
    exit 1
}

# serve PROGRAM DIR: until it listens, at $address; otherwise false, with the status that it ended with.
serve() {
    : >"$state/serve.out"
    "$1" serve "$2" --listen 127.0.0.1:0 >"$state/serve.out" 2>"$state/serve.err" &
    server=$!
    tries=0
    until address=$(sed -n 's/^listening on //p' "$state/serve.out") && [ -n "$address" ]; do
        tries=$((tries + 1))
        if ! kill -0 "$server" 2>/dev/null; then
            wait "$server"
            code=$?
            server=
            return $code
        fi
        [ $tries -lt 2000 ] || return 99
        sleep 0.01
    done
}

# ended: what `serve` started ends when it is told to.
ended() {
    kill -TERM "$server"
    wait "$server" || fail "serve ends with status $?: $(tail -n 3 "$state/serve.err")"
    server=
}

# half_made PROGRAM DIR: before `init` has said that it is done nothing is promised, but that whoever serves the folder all the same
# learns what is wrong with it. Then that was all.
half_made() {
    grep -q '^init$' "$state/marks" && return
    serve "$1" "$2"
    code=$?
    [ -z "$server" ] || kill -KILL "$server"
    [ $code -le 4 ] || fail "half a folder: serve ends with status $code: $(tail -n 3 "$state/serve.err")"
    exit 0
}

# as_init_wrote DIR FILE...
as_init_wrote() {
    dir=$1
    shift
    for file in "$@"; do
        cmp -s "$dir/$file" "$given/init/$file" || fail "$file is not what init wrote"
    done
}
