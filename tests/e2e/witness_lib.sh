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
# reread: SIGHUP.
reread() { kill -HUP "$(cat "$W/run/w.pid")"; }
# shown ORIGIN: the size on the monitoring route.
shown() { curl -s "$(url w)/$(printf %s "$1" | sha256sum | cut -c1-64)/checkpoint" | sed -n 2p; }
# metric LINE: its value.
metric() { curl -s "$(url w)/metrics" | awk -v line="$1 " 'index($0, line) == 1 { print substr($0, length(line) + 1) }'; }
