# litewitness, with a key that it asks an SSH agent of ours for: read in by test_interop.sh and by the witness's bench. Wants Go.
# shellcheck shell=sh

# Go's caches are the user's own, not this run's scratch folder's.
GOPATH=$(go env GOPATH 2>/dev/null) GOCACHE=$(go env GOCACHE 2>/dev/null)
export GOPATH GOCACHE GOFLAGS="-mod=readonly -buildvcs=false"

# lite_build DIR [TAG]: the folder tests/interop; $W/interop and $W/litewitness.
lite_build() {
    (cd "$1" && go build ${2:+-tags "$2"} -o "$W/interop" . && go build -o "$W/litewitness" filippo.io/torchwood/cmd/litewitness) >"$W/out" 2>&1
}
# lite_start: sets lite_url and lite_vkey. It runs as "lite", the agent as "agent".
lite_start() {
    start agent "$W/interop" agent "$W/agent.sock" lite.example/witness || return
    lite_vkey=$(sed -n 's/^vkey //p' "$W/run/agent.out")
    lite_url=http://127.0.0.1:$(free_port)
    (
        cd "$W" || exit
        exec ./litewitness -name lite.example/witness -db lite.db -ssh-agent agent.sock -listen "${lite_url#http://}" \
            -key "$(sed -n 's/^fingerprint //p' "$W/run/agent.out")" >"$W/run/lite.out" 2>"$W/run/lite.err"
    ) &
    note lite $!
    tries=0
    until curl -s -o "$W/ignored" "$lite_url/" || [ $tries -gt 1200 ]; do tries=$((tries + 1)) && sleep 0.05; done
}
