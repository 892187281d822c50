#!/bin/sh
# How stele-log speaks HTTP: caches, compression, HEAD, 404 and 405, and what it does about clients that no honest one is. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

header() { tr -d '\r' <"$W/headers" | sed -n "s/^$1: //Ip"; }
port() { url log | sed 's/.*://'; }
metric() { curl -s "$(url log)/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
# crowd NAME ARGUMENT...: http_driver in the background, once it is under way.
crowd() {
    name=$1
    shift
    http_driver "$@" >"$W/run/$name.out" 2>"$W/run/$name.err" &
    note "$name" $!
    tries=0
    until grep -q ready "$W/run/$name.out" || [ $tries -ge 1200 ]; do tries=$((tries + 1)); sleep 0.05; done
}
# honest WHAT FILE: ten reads, and one submission of FILE, by a client of its own each.
honest() {
    i=0 served=0
    while [ $i -lt 10 ]; do
        [ "$(get /checkpoint -m 20)" = 200 ] && served=$((served + 1))
        i=$((i + 1))
    done
    same "$1: ten reads are served" 10 $served
    status "$1: a submission is taken" 200 "$(post "$2" -m 30)"
}

make_attestation "$W/builder" 0 600 >"$W/many"
make_attestation "$W/builder" 1000 1 >"$W/next1"
make_attestation "$W/builder" 1001 1 >"$W/next2"
make_attestation "$W/builder" 1002 1 >"$W/next3"
make_attestation "$W/builder" 1003 1 >"$W/next4"
make_attestation "$W/builder" 2000 1 3000 >"$W/long"
new_log "quorum none"
serve || exit 1
status "600 entries" 200 "$(post "$W/many")"
status "and one with a list of inputs" 200 "$(post "$W/long")"
list=$(head -n 1 "$W/long" | sed 's/^{"inputs":"//; s/"}$//' | base64 -d | sha256sum | cut -d' ' -f1)
part=$(make_attestation path 7 | cut -c 12-43)
builder=$(tr -d '\n' <"$W/builder.pub" | sha256sum | cut -d' ' -f1)
drv=$(derivation "$W/next1")

echo "# caches"
# cached PATH TYPE CACHE
cached() {
    status "GET $1" 200 "$(get "$1")"
    same "  is of its type" "$2" "$(header content-type)"
    same "  and may be cached" "$3" "$(header cache-control)"
}
forever="public, max-age=31536000, immutable"
cached /checkpoint "text/plain; charset=utf-8" "max-age=2"
cached /tile/0/000 application/octet-stream "$forever"
cached /tile/0/002.p/80 application/octet-stream "$forever"
cached /tile/entries/000 application/octet-stream "$forever"
cached "/inputs/$list" "text/plain; charset=utf-8" "$forever"
cached "/output/$part" "text/plain; charset=utf-8" "max-age=2"
cached /healthz "text/plain; charset=utf-8" "no-store"
status "what is not there" 404 "$(get /tile/0/003)"
same "is not to be cached" "" "$(header cache-control)"
get /checkpoint >"$W/got"
etag=$(header etag)
for given in "$etag" "W/$etag" "\"x\", $etag" '*'; do
    : >"$W/body"
    status "the checkpoint, where $given is known" 304 "$(get /checkpoint -H "If-None-Match: $given")"
    same "  without a body" 0 "$(wc -c <"$W/body" | tr -d ' ')"
    same "  with its tag" "$etag" "$(header etag)"
done
status "where another is" 200 "$(get /checkpoint -H 'If-None-Match: "x", W/"y"')"

echo "# HEAD, 404, 405"
for path in /checkpoint /tile/0/000 /tile/entries/000 /tile/entries/002.p/88 "/inputs/$list" "/output/$part" "/derivation/$drv" \
    "/builder/$builder" /healthz /nothing /tile/0/9 "/output/$part?after=9999"; do
    want=$(get "$path")
    cp "$W/headers" "$W/with"
    status "HEAD $path" "$want" "$(get "$path" -I)"
    same "  says the length of GET's answer" "$(tr -d '\r' <"$W/with" | sed -n 's/^content-length: //Ip')" "$(header content-length)"
done
for method in PUT DELETE OPTIONS TRACE PATCH; do
    status "$method of the checkpoint" 405 "$(get /checkpoint -X $method)"
    same "  says what it takes" "GET, HEAD" "$(header allow)"
done
for path in /attestations /outputs; do
    status "HEAD $path" 405 "$(get $path -I)"
    same "  says what it takes" POST "$(header allow)"
done
for path in / /checkpoint/ /Checkpoint /tile /tile/ /tile/entries/ /healthz/x /attestations/x /%63heckpoint /output; do
    status "no such thing: $path" 404 "$(get $path)"
    same "  in a problem's form" application/problem+json "$(header content-type)"
done

echo "# compression"
get /tile/entries/000 >"$W/got"
cp "$W/body" "$W/plain"
same "none unasked" "" "$(header content-encoding)"
same "  but it varies" Accept-Encoding "$(header vary)"
for round in first second; do
    status "a bundle, $round time" 200 "$(get /tile/entries/000 -H 'Accept-Encoding: br, gzip')"
    same "  is compressed" gzip "$(header content-encoding)"
    gunzip <"$W/body" >"$W/unpacked"
    if cmp -s "$W/plain" "$W/unpacked"; then ok "  and the same"; else not_ok "  and the same"; fi
done
get /tile/entries/000 -H 'Accept-Encoding: gzip;q=0, *' >"$W/got"
same "not where it is refused" "" "$(header content-encoding)"
if cmp -s "$W/plain" "$W/body"; then ok "  and the same"; else not_ok "  and the same"; fi
get /tile/entries/002.p/88 -H 'Accept-Encoding: gzip' >"$W/got"
same "a partial bundle is compressed" gzip "$(header content-encoding)"
get /tile/0/000 -H 'Accept-Encoding: gzip' >"$W/got"
same "hashes are not" "" "$(header content-encoding)"
for path in "/output/$part" "/builder/$builder" "/inputs/$list" "/derivation/$drv"; do
    [ "$(get "$path")" = 200 ] || continue
    cp "$W/body" "$W/plain"
    status "$path" 200 "$(get "$path" -H 'Accept-Encoding: gzip')"
    same "  is compressed" gzip "$(header content-encoding)"
    gunzip <"$W/body" >"$W/unpacked"
    if cmp -s "$W/plain" "$W/unpacked"; then ok "  and the same"; else not_ok "  and the same"; fi
done
echo "$part" >"$W/parts"
look_up "$W/parts" >"$W/got"
cp "$W/body" "$W/plain"
curl -s -D "$W/headers" -H 'Accept-Encoding: gzip' --data-binary "@$W/parts" "$(url log)/outputs" | gunzip >"$W/unpacked"
if cmp -s "$W/plain" "$W/unpacked"; then ok "so are many paths"; else not_ok "so are many paths"; fi
same "  with what was answered" 1 "$(answered)"

echo "# framing"
# sent WHAT WANT REQUEST: raw, with \r\n written out; the first status, and that the connection is closed.
sent() {
    printf "$3" | http_driver raw "$(port)" >"$W/raw"
    status "$1" "$2" "$(sed -n 's|^HTTP/1.1 \([0-9]*\).*|\1|p' "$W/raw" | head -n 1)"
    same "  and it is over" "[closed]" "$(tail -n 1 "$W/raw" | tr -d '\0')"
}
sent "the control" 200 'GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'
sent "two lengths" 400 'POST /attestations HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'
sent "a length and chunks" 400 'POST /attestations HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
sent "no Host" 400 'GET /healthz HTTP/1.1\r\n\r\n'
sent "two Hosts" 400 'GET /healthz HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'
sent "a folded header" 400 'GET /healthz HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n'
sent "bare line feeds" 400 'GET /healthz HTTP/1.1\nHost: h\n\n'
sent "chunks of chunks" 400 'POST /attestations HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'
printf 'POST /attestations HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n' |
    http_driver raw "$(port)" >"$W/raw"
same "nothing is read after chunks" "1 [closed]" "$(grep -c '^HTTP/1.1' "$W/raw") $(tail -n 1 "$W/raw")"
hex=$(printf %064d 0)
long=$(i=0; while [ $i -lt 255 ]; do printf '%064x,' $i; i=$((i + 1)); done)$builder
status "256 builders in a look-up's arguments" 200 "$(get "/output/$part?builder=$long")"
status "too long a path" 414 "$(get "/output/$part?builder=$long,$long")"
status "too large a header" 431 "$(get /healthz -H "X: $long$long")"
same "many requests at once on one connection" 500 "$(http_driver pipeline "$(port)" 500 /checkpoint)"

echo "# a crowd"
crowd slow slow "$(port)" 1000
crowd bodies bodies "$(port)" 500
honest "beside 1,500 who send a byte a second" "$W/next1"
stop slow
stop bodies
crowd idle idle "$(port)" 4000
honest "beside 4,000 who say nothing, from one address" "$W/next2"
if [ "$(metric stele_log_http_connections)" -le 2048 ]; then ok "of whom half are kept"; else not_ok "of whom half are kept"; fi
stop idle
crowd readers readers "$(port)" 300 /builder/"$builder"
honest "beside 300 who do not read what they ask for" "$W/next3"
stop readers
stop log
printf 'connections-max 400\nconnections-per-address-max 200\n' >>"$W/log/config"
serve || exit 1
crowd idle idle "$(port)" 600
honest "beside 600 where 200 may be" "$W/next4"
stop idle
done_testing
