#!/bin/sh
# A gate that systemd starts: the socket that is handed over is the one that Nix asks, also after the gate has reread its files;
# what is no such socket is refused. TAP.
. "$(dirname "$0")/lib.sh"
world
nix_world
PATH=$STELE_BUILD/tests/e2e:$PATH

nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public"
mkdir "$W/cache"
stele keygen ci.example/builder --out "$W/key" >"$W/got" 2>&1
stele keygen log.example --out "$W/log-key" --type log >"$W/got" 2>&1
printf 'log %s\nquorum none\n' "$(cat "$W/log-key.pub")" >"$W/policy"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/trust"
printf 'policy policy\ntrust trust\nstate state\nsigning-key gate.secret\nstore-dir %s\nupstream file://%s/cache\nlisten 127.0.0.1:1\n' \
    "$NIX_STORE_DIR" "$W" >"$W/gate.conf"
gate="stele gate --config $W/gate.conf"
# answers ADDRESS HOST: the status of nix-cache-info
answers() { curl -s -o "$W/body" -w '%{http_code}' -H "Host: $2" "http://$1/nix-cache-info"; }

start gate hand_over tcp $gate || exit 1
at=$(sed -n 's/^handed over //p' "$W/run/gate.err")
same "it says that it serves the socket, not \`listen\`" "http://$at" "$(url gate)"
same "and does" 200 "$(answers "$at" "$at")"
same "under that name, and no other" 403 "$(answers "$at" 127.0.0.1:1)"
kill -HUP "$(cat "$W/run/gate.pid")"
# listenings: how often it said where it listens
listenings() { grep -c '^listening on ' "$W/run/gate.out"; }
same "and it has reread" 2 "$(soon 2 listenings)"
same "the socket is the same" "http://$at" "$(url gate)"
same "and is served" 200 "$(answers "$at" "$at")"
stop gate

refuses "a socket that does not listen is refused" "no TCP socket that listens" hand_over idle $gate
refuses "so are two" "hand over one socket" hand_over two $gate
refuses "a socket and --listen contradict each other" "give one" hand_over tcp $gate --listen 127.0.0.1:0
sed -i "s/^listen .*/listen 127.0.0.1:$(free_port)/" "$W/gate.conf"
start gate hand_over other $gate || exit 1
same "a socket that is another process's is left alone" "http://$(sed -n 's/^listen //p' "$W/gate.conf")" "$(url gate)"
stop gate
done_testing
