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
# not_served: did a build fail because a module is not to be had here?
not_served() {
    grep -Eq 'dial tcp|no such host|[Tt]imeout|proxyconnect|requires go >=|module lookup disabled|(403|404|410) [A-Z]' "$W/out"
}
# skip WHAT: and why.
skip() { skipped "$1" "$(grep -v '^go: downloading' "$W/out" | tail -n 1)"; }
sigsum=yes
if ! lite_build "$interop" sigsum; then
    # sigsum-go alone may be what is missing.
    if not_served; then
        skip "a Sigsum log"
        sigsum=
    fi
    if [ -n "$sigsum" ] || ! lite_build "$interop"; then
        if not_served; then skip "interoperation with the reference libraries"; else
            not_ok "the programs build"
            sed 's/^/# /' "$W/out"
        fi
        done_testing
        exit
    fi
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
[ -z "$sigsum" ] || stele-witness add-log "$W/w" "$("$W/interop" sigsum-vkey)" >"$W/out" 2>&1
start w stele-witness serve "$W/w" --listen 127.0.0.1:0
run "our witness" "$W/interop" witness "$(url w)" "$(stele-witness key "$W/w")"

[ -z "$sigsum" ] || run "a Sigsum log" "$W/interop" sigsum "$(url w)" "$(stele-witness key "$W/w")"

# Another one behind the reference bastion, asked by the same clients.
"$W/interop" cert "$W"
export SSL_CERT_FILE="$W/ca.pem"
stele-witness init "$W/nat" --name w.example/witness >"$W/out" 2>&1
stele-witness add-log "$W/nat" "$("$W/interop" vkey)" >"$W/out" 2>&1
start bastion "$W/interop" bastion "$W" 127.0.0.1:0
bastion=$(url bastion)
printf 'bastion %s\nbastion-ca %s\n' "${bastion#https://}" "$W/ca.pem" >>"$W/nat/config"
nat_hash=$(stele-witness key "$W/nat" --bastion)
# through PATH: the status of a GET through the bastion.
through() { curl -s -o "$W/body" -w '%{http_code}' --cacert "$W/ca.pem" "$bastion/$nat_hash/$1"; }
bastion_metric() { curl -s "$(url nat)/metrics" | sed -n "s/^stele_witness_bastion_$1{.*} //p"; }
printf '%064d\n' 0 >"$W/backends"
start nat stele-witness serve "$W/nat" --listen 127.0.0.1:0
# turned_away: has it been?
turned_away() { [ "$(bastion_metric failures_total)" = 0 ] || bastion_metric connected; }
same "the reference bastion turns an unknown witness away" 0 "$(soon 0 turned_away)"
echo "$nat_hash" >>"$W/backends"
same "once it is told of it, it is reached" 200 "$(soon 200 through healthz)"
run "our witness through it" "$W/interop" witness "$bastion/$nat_hash" "$(stele-witness key "$W/nat")"
stop bastion
same "the witness notices that the bastion is gone" 0 "$(soon 0 bastion_metric connected)"
start bastion "$W/interop" bastion "$W" "127.0.0.1:${bastion##*:}"
soon 200 through healthz >"$W/ignored" # by now it tries only every few seconds
same "and comes back to it" 200 "$(soon 200 through healthz)"
stop nat
stop bastion

lite_start

# litewitness, sentence by sentence. What it does otherwise is its own affair: the rows are shown, and only that there are any counts.
. "$interop/../e2e/conformance_lib.sh"
conformance vkeys >"$W/vkeys"
while read -r log vkey; do "$W/interop" add-log "$W/lite.db" "$log" "$vkey"; done <"$W/vkeys" >"$W/out" 2>&1
conformance witness "$lite_url" "$lite_vkey" >"$W/table" 2>"$W/err"
says "litewitness cosigns the logs of the conformance suite" "^pass +MUST .*the witness's cosignatures over this checkpoint" "$W/table"
grep -E '^(fail|[0-9]+ pass)' "$W/table" | sed 's/^/# litewitness: /'

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
