# Shared by the log's end-to-end tests: requests to it, what comes back, and a log to ask. After lib.sh; makes the world.
# shellcheck shell=sh
world
PATH=$STELE_BUILD/tests/e2e:$PATH
origin=log.example/test

# post FILE [CURL-OPTION...]: its status is printed; the body is in $W/body, the headers in $W/headers.
post() {
    file=$1
    shift
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' --data-binary "@$file" -H 'Content-Type: application/json' \
        "$@" "$(url log)/attestations"
}
# look_up FILE: the same for POST /outputs.
look_up() {
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' --data-binary "@$1" -H 'Content-Type: text/plain' "$(url log)/outputs"
}
# answered: how many hash parts the last look_up was answered for.
answered() { tr -d '\r' <"$W/headers" | sed -n 's/^[Ss]tele-[Aa]nswered: //p'; }
# derivation FILE: the hash part of the derivation that an envelope names.
derivation() {
    sed 's/.*"payload":"//; s/".*//' "$1" | base64 -d | grep -o '"derivation":"/nix/store/[^-]*' | head -n 1 | sed 's|.*/||'
}
get() {
    path=$1
    shift
    curl -s -o "$W/body" -D "$W/headers" -w '%{http_code}' "$@" "$(url log)$path"
}
# indices: of the bundles in $W/body, verified under the policy.
indices() { log_driver verify "$W/log/policy" <"$W/body" | cut -d' ' -f1 | tr '\n' ' '; }
# serve [COMMAND...]: the log, by way of COMMAND.
serve() { start log "$@" stele-log serve "$W/log" --listen 127.0.0.1:0; }
# serve_at: on $port, so that it can be killed and come back under a client.
serve_at() { start log stele-log serve "$W/log" --listen "127.0.0.1:$port"; }
# mirror FOLDER: a copy of all that a tile mirror serves, as it is now.
mirror() {
    mkdir -p "$1"
    curl -s -o "$1/checkpoint" "$(url log)/checkpoint"
    mirror_size=$(sed -n 2p "$1/checkpoint")
    for level in 0 1 2 entries; do
        case $level in 1) n=$((mirror_size / 256)) ;; 2) n=$((mirror_size / 65536)) ;; *) n=$mirror_size ;; esac
        {
            [ $n -lt 256 ] || seq -f "tile/$level/%03.0f" 0 $((n / 256 - 1))
            [ $((n % 256)) = 0 ] || echo "tile/$level/$(printf %03d $((n / 256))).p/$((n % 256))"
        } | sed "s|.*|url = $(url log)/&\noutput = $1/&|" >"$W/mirror.curl"
        [ ! -s "$W/mirror.curl" ] || curl -s --create-dirs -K "$W/mirror.curl"
    done
}

make_attestation key ci.example/builder "$W/builder"
make_attestation key other.example/builder "$W/other"
builder=$(tr -d '\n' <"$W/builder.pub" | sha256sum | cut -d' ' -f1)
other=$(tr -d '\n' <"$W/other.pub" | sha256sum | cut -d' ' -f1)
for i in 0 1 2; do make_attestation "$W/builder" $i 1 >"$W/e$i"; done
make_attestation "$W/builder" 10 300 >"$W/many"
make_attestation "$W/other" 0 1 >"$W/foreign"
# part N: the hash part of the path that attestation N is about.
part() { make_attestation path "$1" | cut -c 12-43; }
# shifted COMMAND...: runs it with clocks that shift_clock moves, those of the file $clock.
clock=$W/clock
shifted() {
    [ -e "$clock" ] || shift_clock 0 0
    ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} CLOCK_SHIFT="$clock" \
        LD_PRELOAD="$STELE_BUILD/tests/preload/clock.so" exec "$@"
}
# shift_clock DAY MONOTONIC: how many seconds the time of day and the monotonic clocks differ from the machine's. In place: the
# file is mapped.
shift_clock() { printf '%20d %20d\n' "$1" "$2" 1<>"$clock"; }
# counts NAME: of a fake witness: add-checkpoint requests, connections, requests elsewhere.
counts() { curl -s "$(url "$1")/counts"; }
# signatures: how many the published checkpoint has.
signatures() { curl -s "$(url log)/checkpoint" | grep -c '^— '; }
# metric NAME WITNESS: the log's, of one of its witnesses.
metric() {
    curl -s "$(url log)/metrics" | sed -n "s/^stele_log_witness_$1{witness=\"$2\"[^}]*} //p" | awk '{ n += $1 } END { if (NR) print n }'
}
# under_kills TIMES COMMAND: answers to all of $W/load are kept in $W/notes while COMMAND, given 0, 1, …, ends and starts programs:
# each time a little after more of them came.
under_kills() {
    log_driver load "http://127.0.0.1:$port" "$W/log/policy" "$W/load" "$W/notes" 8 2>"$W/load.err" &
    driver=$!
    kills=0
    : >>"$W/notes"
    step=$(($(wc -l <"$W/load") / (2 * $1)))
    while [ $kills -lt "$1" ]; do
        while [ "$(wc -l <"$W/notes")" -lt $((kills * step + 1)) ] && kill -0 $driver 2>/dev/null; do sleep 0.01; done
        kill -0 $driver 2>/dev/null || break
        sleep "0.0$(($(od -An -N1 -tu1 /dev/urandom) % 10))"
        "$2" $kills || break
        kills=$((kills + 1))
    done
    echo "# killed $kills times"
    at_least "the load went on while they were killed" 2 $kills
    wait $driver
    same "every submission was answered in the end" 0 $?
    sed 's/^/# /' "$W/load.err"
}
