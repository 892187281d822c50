# Shared by the witness's end-to-end tests: a witness $W/w, and logs that send to it. After lib.sh; makes the world.
# shellcheck shell=sh
world
PATH=$STELE_BUILD/tests/e2e:$PATH

# serve: $W/w, on a free port.
serve() { start w stele-witness serve "$W/w" --listen 127.0.0.1:0; }
# send ORIGIN OLD SIZE [FORK [KEY]]: posts it; the status is printed, the body in $W/body, the headers in $W/headers.
send() {
    witness_log request "$@" >"$W/request" || return 1
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' --max-time 20 --data-binary "@$W/request" \
        "$(url w)/add-checkpoint"
}
# status WHAT WANT GOT
status() {
    if [ "$2" = "$3" ]; then ok "$1"; else
        not_ok "$1: status $3, not $2"
        head -c 600 "$W/body" | sed 's/^/# /'
    fi
}
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: \"$3\", not \"$2\""; fi
}
# soon WANT COMMAND...: runs it until it prints WANT, for ten seconds; prints what it said last.
soon() {
    want=$1
    shift
    tries=0
    until said=$("$@") && [ "$said" = "$want" ] || [ $tries -gt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    echo "$said"
}
# reread: SIGHUP.
reread() { kill -HUP "$(cat "$W/run/w.pid")"; }
# shown ORIGIN: the size on the monitoring route.
shown() { curl -s "$(url w)/$(printf %s "$1" | sha256sum | cut -c1-64)/checkpoint" | sed -n 2p; }
# metric LINE: its value.
metric() { curl -s "$(url w)/metrics" | awk -v line="$1 " 'index($0, line) == 1 { print substr($0, length(line) + 1) }'; }
