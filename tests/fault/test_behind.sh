#!/bin/sh
# A witness that is behind the log, from one entry to all: put back to what it had cosigned then, it is brought up by its 409 answer, with
# the proof that it asks for. In the long form a log of 100,000 entries. TAP.
. "$(dirname "$0")/lib.sh"
world
port=$(free_port)
driver=
w_port=$(free_port)
serve_w() { start w stele-witness serve "$W/w" --listen "127.0.0.1:$w_port"; }
size() { curl -s "http://127.0.0.1:$port/checkpoint" | sed -n 2p; }
# post_to SIZE: attestations until the log has so many, all under the witness; what the witness then remembers is kept.
at=0
post_to() {
    while [ $at -lt "$1" ]; do
        n=$(($1 - at))
        [ $n -le 4000 ] || n=4000
        make_attestation "$W/builder" $at $n >"$W/part"
        [ "$(curl -s -m 100 -o "$W/body" -w '%{http_code}' --data-binary "@$W/part" "http://127.0.0.1:$port/attestations")" = 200 ] || return 1
        at=$((at + n))
    done
    cp "$W/w/heads" "$W/heads.$1"
    kept="$1 $kept"
}

stele-witness init "$W/w" --name w.example/witness >"$W/out" 2>&1
empty_log "witness w $(stele-witness key "$W/w") http://127.0.0.1:$w_port" "quorum w"
stele-witness add-log "$W/w" "$(stele-log key "$W/log")" >"$W/out" 2>&1
kept=
cp "$W/w/heads" "$W/heads.0"
serve_w
accepts "the log starts" serve
whole=3000
short || whole=100000
for size in 1 255 256 257 2000 $((whole - 257)) $((whole - 256)) $((whole - 1)) $whole; do
    post_to "$size" || not_ok "growing to $size"
done
same "the log has $whole entries" "$whole" "$(size)"
next=$at
for size in $kept 0; do
    stop w
    cp "$W/heads.$size" "$W/w/heads"
    rm -rf "$W/w/checkpoints"
    : >"$W/run/log.err"
    serve_w
    make_attestation "$W/builder" $next 1 >"$W/one"
    next=$((next + 1))
    post() { curl -s -m 100 -o "$W/body" -w '%{http_code}' --data-binary "@$W/one" "http://127.0.0.1:$port/attestations"; }
    same "behind by $((next - 1 - size)) entries: the next head is cosigned all the same" 200 "$(soon 200 post)"
    [ $size -eq $((next - 1)) ] || says "  from where it is" "witness-went-back witness=\"?w\"? from=[0-9]* to=$size\$" "$W/run/log.err"
done
same "each at its index" "$next" "$(size)"
stop log
echo "# likewise, where the log has just started"
stop w
cp "$W/heads.1" "$W/w/heads"
rm -rf "$W/w/checkpoints"
serve_w
accepts "the log starts" serve
make_attestation "$W/builder" $next 1 >"$W/one"
same "a witness that is behind by all but one is brought up" 200 "$(soon 200 post)"
stop log
accepts "the log is right" stele-log fsck "$W/log"
done_testing
