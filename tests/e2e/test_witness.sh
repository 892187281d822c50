#!/bin/sh
# stele-witness as its operator and its peers see it: the commands, the routes, every vector over HTTP, what lasts. TAP.
. "$(dirname "$0")/lib.sh"
world
helper=$STELE_BUILD/tests/e2e/witness_vectors
log=log.example/6cc4viyuc+5e1c784c+AXMCYdQ3QQccb3XpNsomqeQ2hptEJCrnMpV0LzNNIYxd
other=second.example/cxd+f315f222+AdQ3i5k1yg4EdgEj85WOyA+sED1znvNcJM7sf1BLFe6J

# exits CODE COMMAND...: it ends with this exit status.
exits() {
    want=$1
    shift
    "$@"
    code=$?
    echo "exit status $code"
    [ $code -eq "$want" ]
}

# answers WHAT CODE HEADER CURL-ARGUMENTS...: the HTTP status, and a header line that matches.
answers() {
    what=$1 code=$2 header=$3
    shift 3
    if curl -s -i --max-time 10 "$@" >"$W/out" && head -n 1 "$W/out" | grep -q " $code " && tr -d '\r' <"$W/out" | grep -Eiq "$header"; then
        ok "$what"
    else
        not_ok "$what"
        sed 's/^/# /' "$W/out"
    fi
}

accepts "init makes a folder" stele-witness init "$W/w" --name w.example/witness
cp "$W/out" "$W/init"
vkey=$(stele-witness key "$W/w")
says "init prints the policy line" "^witness w\\.example/witness w\\.example/witness\\+[0-9a-f]{8}\\+B[A-Za-z0-9+/=]{43,} https://w\\.example/witness\$" "$W/init"
accepts "the vkey is the first line" grep -qxF "$vkey" "$W/init"
accepts "the folder and the key are the owner's alone" test "$(stat -c %a "$W/w") $(stat -c %a "$W/w/key")" = "700 600"
accepts "init over a folder in use is refused, with status 1" exits 1 stele-witness init "$W/w" --name w.example/witness
accepts "init without a name is a usage error, with status 2" exits 2 stele-witness init "$W/w2"
accepts "add-log takes a log" stele-witness add-log "$W/w" "$log"
refuses "add-log refuses the key a second time" "same public key" stele-witness add-log "$W/w" "$log" --origin other.example
refuses "add-log refuses a witness's key" "type 0x04" stele-witness add-log "$W/w" "$vkey"
refuses "add-log refuses an origin of two lines" "control characters" stele-witness add-log "$W/w" "$other" --origin "a
log b"
accepts "add-log takes another key for an origin with a space" stele-witness add-log "$W/w" "$other" --origin "go.sum database tree"
stele-witness logs "$W/w" >"$W/list"
printf 'log %s go.sum database tree\nlog %s\n' "$other" "$log" >"$W/wanted"
accepts "logs lists both" cmp "$W/list" "$W/wanted"

accepts "serve starts" start w stele-witness serve "$W/w" --listen 127.0.0.1:0
refuses "a second one over the same folder is refused" "another process uses" stele-witness serve "$W/w" --listen 127.0.0.1:0
answers "/healthz" 200 "^ok$" "$(url w)/healthz"
answers "HEAD /healthz" 200 "^content-length: 3$" --head "$(url w)/healthz"
answers "/metrics" 200 '^stele_witness_requests_total\{origin="go.sum database tree",result="cosigned"\} 0$' "$(url w)/metrics"
answers "POST only on add-checkpoint" 405 "^allow: POST$" "$(url w)/add-checkpoint"
answers "in a problem's form" 405 "^content-type: application/problem\+json" "$(url w)/add-checkpoint"
answers "GET only on the monitoring route" 405 "^allow: GET, HEAD$" -d x "$(url w)/$(printf 'log.example/6cc4viyuc' | sha256sum | cut -c1-64)/checkpoint"
answers "a log never cosigned has no checkpoint" 404 "^content-type: application/problem" "$(url w)/$(printf 'log.example/6cc4viyuc' | sha256sum | cut -c1-64)/checkpoint"
answers "sign-subtree is not offered" 404 "optional" -d x "$(url w)/sign-subtree"
answers "a malformed request" 400 "line 1 is not" -d x "$(url w)/add-checkpoint"
head -c 300000 /dev/zero >"$W/large"
answers "a request too large" 413 "too large" --data-binary "@$W/large" "$(url w)/add-checkpoint"
answers "it counts" 200 '^stele_witness_malformed_total 1$' "$(url w)/metrics"
echo "log nonsense" >>"$W/w/logs"
kill -HUP "$(cat "$W/run/w.pid")"
answers "it goes on after a bad logs file on SIGHUP" 200 "^ok$" "$(url w)/healthz"
pid=$(cat "$W/run/w.pid")
stop w
accepts "SIGTERM ends it" exits 1 kill -0 "$pid"
says "what was wrong with the logs file is reported" 'error stele-witness logs-not-reread why=".*/logs line 5: ' "$W/run/w.err"
refuses "and refused at the next start" "logs line 5: " stele-witness serve "$W/w" --listen 127.0.0.1:0
sed -i '$d' "$W/w/logs"
mv "$W/w/heads" "$W/w/heads.lost"
refuses "without its heads file it does not start" "heads" stele-witness serve "$W/w" --listen 127.0.0.1:0

vectors=${STELE_VECTORS:-$here/../../../shared/vectors}/witness.json
if [ -e "$vectors" ]; then
    mkdir "$W/vectors"
    accepts "every case of witness.json over HTTP" "$helper" vectors "$vectors" "$W/vectors"
    grep '^# witness.json: ' "$W/out"
else
    skipped "every case of witness.json over HTTP" "no test vectors (set STELE_VECTORS to their folder)"
fi
mkdir "$W/lasting"
accepts "what it said lasts: SIGKILL, a rollback refused, racing requests" "$helper" lasting "$W/lasting"
done_testing
