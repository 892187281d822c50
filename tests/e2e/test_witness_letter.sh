#!/bin/sh
# tlog-witness, sentence by sentence: our witness in front of tests/conformance, and what we promise beyond it. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
. "$here/conformance_lib.sh"

stele-witness init "$W/w" --name w.example/witness >"$W/out" 2>&1
# add_logs SEED
add_logs() {
    conformance vkeys --seed "$1" >"$W/vkeys"
    while read -r log vkey; do stele-witness add-log "$W/w" "$vkey" --origin "$log"; done <"$W/vkeys" >"$W/out" 2>&1
}
add_logs conformance.example
add_logs again.example
port=$(free_port)
cat >"$W/again" <<END
# again SIGNAL: the witness ended, and started once its folder and address are free.
again() {
    stop w \$1
    i=0
    until start w stele-witness serve "$W/w" --listen "127.0.0.1:$port" 2>/dev/null; do
        i=\$((i + 1)) && [ \$i -lt 600 ] || return 1
        sleep 0.1
    done
}
END
printf '%s\n' ". '$here/lib.sh'" "W='$W'" ". '$W/again'" 'again KILL' >"$W/restart"
. "$W/again"
again TERM || exit 1
# Under a name in this folder, where lib.sh looks for what it reads in.
conformance witness "$(url w)" "$(stele-witness key "$W/w")" --restart "sh -c '. $W/restart' $here/restart" >"$W/table" 2>"$W/err"
same "our witness does all that it must" 0 $?
table "$W/table"
same "what it should do and does not: ML-DSA-44" "tlog-witness, add-checkpoint: they are of ML-DSA-44" "$(fails SHOULD "$W/table")"
same "no MUST that binds a witness of Ed25519 was left out" "" "$(open_musts "$W/table")"

# Without a restart, from other logs; by this shell again, which waits for it in the end.
again TERM
conformance witness "$(url w)" "$(stele-witness key "$W/w")" --seed again.example >"$W/table" 2>"$W/err"
same "logs of another seed" 0 $?
same "without --restart it says so" "MUST: tlog-witness, add-checkpoint: a checkpoint is durable before it is answered" \
    "$(open_musts "$W/table" | sed 's/ (.*//')"
conformance witness "$(url w)" "$(stele-witness key "$W/w")" --seed again.example >"$W/table" 2>"$W/err"
same "a second time the logs that were cosigned are not new" 6 "$(grep -c '^# .*cosigned before' "$W/table")"

# Ours is stricter than the letter.
status "GET add-checkpoint" 405 "$(curl -s -o "$W/body" -w '%{http_code}' "$(url w)/add-checkpoint")"
status "a request that is none" 400 "$(curl -s -o "$W/body" -w '%{http_code}' --data-binary 'old 00' "$(url w)/add-checkpoint")"
status "sign-subtree is not offered" 404 "$(curl -s -o "$W/body" -w '%{http_code}' --data-binary x "$(url w)/sign-subtree")"
note=$(printf again.example/signatures | sha256sum | cut -c1-64)
status "what monitors see" 200 "$(curl -s -o "$W/body" -w '%{http_code}' "$(url w)/$note/checkpoint")"
same "  has the lines that were verified and the witness's own, no stranger's" 3 "$(grep -c '^— ' "$W/body")"
status "an origin hash in upper case is another path" 404 \
    "$(curl -s -o "$W/body" -w '%{http_code}' "$(url w)/$(echo "$note" | tr a-f A-F)/checkpoint")"
done_testing
