# Shared by all tests with a log and its witnesses, as users run them. Read in by lib.sh; wants its `world`.
# shellcheck shell=sh

# new_log POLICY-LINE...: a fresh $W/log, of the origin $origin, for the builder with the key $W/builder.
new_log() {
    rm -rf "$W/log"
    stele-log init "$W/log" --origin "$origin" >/dev/null 2>&1
    cat "$W/builder.pub" >>"$W/log/builders"
    printf '%s\n' "$@" >>"$W/log/policy"
}

# new_witness NAME [COMMAND...]: $W/NAME, in its keys NAME.example, that takes $W/log; served, by way of COMMAND.
new_witness() {
    witness=$1
    shift
    stele-witness init "$W/$witness" --name "$witness.example" >"$W/out" 2>&1
    stele-witness add-log "$W/$witness" "$(stele-log key "$W/log")" >"$W/out" 2>&1
    start "$witness" "$@" stele-witness serve "$W/$witness" --listen 127.0.0.1:0
}

# witness_line NAME: the line of a policy for a witness that is served.
witness_line() { echo "witness $1 $(stele-witness key "$W/$1") $(url "$1")"; }

# under WITNESS: the policy of $W/log is that this witness, which is served, cosigns.
under() {
    witness_line "$1" >>"$W/log/policy"
    echo "quorum $1" >>"$W/log/policy"
}

# introduce WITNESS LOG: the witness, which is served, takes the log $W/LOG as well.
introduce() {
    stele-witness add-log "$W/$1" "$(stele-log key "$W/$2")" >"$W/out" 2>&1
    kill -HUP "$(cat "$W/run/$1.pid")"
}

# network POLICY PUBLIC-KEY...: the log log.example/stele in $W/log, at an address that stays its own, under the witness w1; both
# are served. It takes the builders with these keys, of $W/builders. POLICY names both, with the log's address.
network() {
    network_policy=$1
    shift
    stele-log init "$W/log" --origin log.example/stele >"$W/out" 2>&1
    new_witness w1 || exit 1
    log_port=$(free_port)
    {
        echo "log $(stele-log key "$W/log") http://127.0.0.1:$log_port"
        witness_line w1
        echo "quorum w1"
    } >"$network_policy"
    cat "$@" >"$W/builders"
    printf 'origin log.example/stele\npolicy %s\nbuilders %s\n' "$network_policy" "$W/builders" >"$W/log/config"
    serve_network || exit 1
}

# serve_network: the log of `network`, again after it was stopped.
serve_network() { start log stele-log serve "$W/log" --listen "127.0.0.1:$log_port"; }

# without_address LOG POLICY: prints that policy for $W/LOG without its address: who has it asks nobody.
without_address() {
    echo "log $(stele-log key "$W/$1")"
    grep -v '^log ' "$2"
}
