#!/bin/sh
# Our witness and our log as the reference libraries' own clients see them, and our log with litewitness as its witness. Wants Go
# and its modules. TAP.
interop=$(cd "$(dirname "$0")" && pwd)
. "$interop/../e2e/lib.sh"
if ! command -v go >/dev/null 2>&1; then
    skipped "interoperation with the reference libraries" "there is no Go here"
    done_testing
    exit
fi
. "$interop/litewitness.sh"
. "$interop/../e2e/log_lib.sh"
if ! lite_build "$interop"; then
    if grep -Eq 'dial tcp|no such host|[Tt]imeout|proxyconnect|requires go >=|module lookup disabled' "$W/out"; then
        skipped "interoperation with the reference libraries" "$(tail -n 1 "$W/out")"
    else
        not_ok "the programs build"
        sed 's/^/# /' "$W/out"
    fi
    done_testing
    exit
fi

# run WHAT COMMAND...: its TAP as ours.
run() {
    what=$1
    shift
    echo "# $what"
    "$@" >"$W/tap" 2>&1
    code=$?
    while read -r line; do
        case $line in
        'ok '*) ok "$what: ${line#* - }" ;;
        'not ok '*) not_ok "$what: ${line#* - }" ;;
        esac
    done <"$W/tap"
    [ $code -eq 0 ] || not_ok "$what: it ended with status $code: $(tail -n 1 "$W/tap")"
}

# Our witness, asked by x/mod, torchwood and formats.
stele-witness init "$W/w" --name w.example/witness >"$W/out" 2>&1
stele-witness add-log "$W/w" "$("$W/interop" vkey)" >"$W/out" 2>&1
start w stele-witness serve "$W/w" --listen 127.0.0.1:0
run "our witness" "$W/interop" witness "$(url w)" "$(stele-witness key "$W/w")"

lite_start

# Our log under both of them.
new_log "witness ours $(stele-witness key "$W/w") $(url w)" "witness lite $lite_vkey $lite_url" \
    "group both all ours lite" "quorum both"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >"$W/out" 2>&1
kill -HUP "$(cat "$W/run/w.pid")"
echo "quorum-timeout-ms 2000" >>"$W/log/config"
serve
status "a log that litewitness does not know gets no quorum: 503" 503 "$(post "$W/e0")"
accepts "litewitness is told of the log" "$W/interop" add-log "$W/lite.db" "$origin" "$(stele-log key "$W/log")"
stop log
serve
same "then an attestation is proven under both witnesses" 200 "$(soon 200 post "$W/e0")"
same "and three hundred more" 200 "$(soon 200 post "$W/many")"
same "and another" 200 "$(soon 200 post "$W/e1")"
cp "$W/body" "$W/bundle"
{
    echo "log $(stele-log key "$W/log")"
    sed '/^log /d' "$W/log/policy"
} >"$W/policy"
same "our own verification agrees" "301 " "$(indices)"
run "our log" "$W/interop" log "$(url log)" "$W/policy" "$W/bundle"
done_testing
