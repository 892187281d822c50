#!/bin/sh
# Memory runs out at the first call for it, at the second, and so on, through the main path of each program: it must say so and end,
# or go on, but never be ended by a signal, hang, or answer what does not hold. In the short form some of the calls, evenly. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/memory_lib.sh"
world
driver=
port=$(free_port)

fresh() { rm -rf "$W/new" "$W/new.pub"; }
before=fresh
every "stele-log init" 5 stele-log init "$W/new" --origin log.example/memory
every "stele-witness init" 5 stele-witness init "$W/new" --name w.example/memory
every "stele keygen" 3 stele keygen ci.example/memory --out "$W/new"

# A log with some entries, a proof, a policy for the client.
empty_log "quorum none"
serve && load 20 2 && answered
curl -s -o "$W/one.tlog-proof" --data-binary "@$W/load" "http://127.0.0.1:$port/attestations"
make_attestation "$W/builder" 900 1 >"$W/one"
before=true
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/builder.pub")" >"$W/trust"
printf '%s\n' "policy $W/log/policy" "trust $W/trust" "log http://127.0.0.1:$port" >>"$XDG_CONFIG_HOME/stele/stele.conf"
every "stele verify FILE" 5 stele verify "$W/one.tlog-proof"
every "stele submit FILE" 8 stele submit "$W/one"
every "stele-log fsck --from URL" 25 stele-log fsck --from "http://127.0.0.1:$port" --policy "$W/log/policy"
stop log
every "stele-log fsck" 10 stele-log fsck "$W/log" --full
every "stele-log key" 2 stele-log key "$W/log"

ask_log() {
    make_attestation "$W/builder" $made 1 >"$W/load"
    made=$((made + 1))
    curl -s -m 20 -o "$W/answer" --data-binary "@$W/load" "http://127.0.0.1:$port/attestations"
    curl -s -m 20 -o /dev/null -o /dev/null "http://127.0.0.1:$port/checkpoint" "http://127.0.0.1:$port/metrics"
}
every_serve log 13 ask_log stele-log serve "$W/log" --listen "127.0.0.1:$port"
accepts "and then it holds" holds

# A witness, asked by a log that goes on asking until it answers.
witness_port=$(free_port)
stele-witness init "$W/w" --name w.example/witness >"$W/out" 2>&1
empty_log "witness w $(stele-witness key "$W/w") http://127.0.0.1:$witness_port" "quorum w"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >"$W/out" 2>&1
serve
ask_witness() {
    make_attestation "$W/builder" $made 1 >"$W/load"
    made=$((made + 1))
    curl -s -m 5 -o "$W/answer" --data-binary "@$W/load" "http://127.0.0.1:$port/attestations"
    curl -s -m 20 -o /dev/null -o /dev/null "http://127.0.0.1:$witness_port/" "http://127.0.0.1:$witness_port/metrics"
}
every_serve w 11 ask_witness stele-witness serve "$W/w" --listen "127.0.0.1:$witness_port"
stop log
start w stele-witness serve "$W/w" --listen "127.0.0.1:$witness_port" || exit 1
accepts "and then the log holds under its quorum" holds
done_testing
