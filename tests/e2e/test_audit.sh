#!/bin/sh
# `stele audit` on real Nix: each class and each alarm, with the control beside it. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/build_lib.sh"
PATH=$STELE_BUILD/tests/e2e:$PATH
stele keygen ci.example/builder --out "$W/key" >"$W/out" 2>&1
stele keygen stranger.example/builder --out "$W/stranger" >"$W/out" 2>&1
network "$W/policy" "$W/key.pub" "$W/stranger.pub"
printf 'policy policy\nkey key\nstate state\noutbox outbox\nskip data\n' >"$W/builder.conf"
printf 'policy policy\ntrust trust\nstate user-state\n' >"$W/user.conf"
nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public"
trust() { # LINE...: the user's trust file
    { printf 'builder ci %s\ncache c %s\n' "$(cat "$W/key.pub")" "$(cat "$W/cache.public")" && printf '%s\n' "$@"; } >"$W/trust"
}
export STELE_CONFIG="$W/user.conf"
user=$W/user
db=$user/nix/var/nix/db/db.sqlite
audit() { stele audit --store "$user" "$@"; }

app=$(STELE_CONFIG=$W/builder.conf nix-build --no-out-link "$here/graph.nix" -A app --option post-build-hook "$hook" 2>"$W/err")
library=$(nix-build --no-out-link "$here/graph.nix" -A library 2>"$W/err")
tool=$(nix-build --no-out-link "$here/graph.nix" -A tool 2>"$W/err")
data=$(nix-build --no-out-link "$here/graph.nix" -A data 2>"$W/err")
fetched=$(nix-build --no-out-link "$here/graph.nix" -A fetched 2>"$W/err")
STELE_CONFIG=$W/builder.conf accepts "the attestations are delivered" stele deliver --once
nix copy --to "file://$W/cache?compression=none&secret-key=$W/cache.secret" "$app" "$fetched" 2>"$W/err"
nix copy --no-check-sigs --from "file://$W/cache" --to "$user" "$app" "$fetched" 2>"$W/err"

# The classes.
trust "quorum ci"
refuses "a path that was signed by a cache that nobody is asked about" "unexplained *[^ ]*-data: nobody answers" audit
says "the attested ones" "^attested .*-app: attested by builder ci" "$W/out"
says "which is told" "lost its support: .*-data: the signature by c does not suffice: .*the quorum .ci. is not met" "$W/out"
says "in sum" "^5 paths: 4 attested, 1 unexplained; 1 lost their support$" "$W/out"
accepts "the builder's own store" stele audit
says "has what was built here" "^built-here .*-data" "$W/out"
says "and sources" "^content-addressed .*-greeting.txt" "$W/out"
trust "group any any ci c" "quorum any"
accepts "vouched" audit
says "with nothing lost" "^5 paths: 4 attested, 1 vouched$" "$W/out"
says "by which key" "^vouched .*-data: vouched for by cache c: who built it is not known" "$W/out"
refuses "which --strict does not take" "1 paths are" audit --strict --quiet
trust "quorum ci" "exempt data"
accepts "exempt" audit
says "and by which line" "^exempt .*-data: exempt by .exempt data" "$W/out"
audit --json >"$W/json" 2>"$W/err"
accepts "as JSON" jq -e '.counts.exempt == 1 and .counts.unexplained == 0 and .notAsked == 0 and ([.paths[] | select(.class == "attested")] | length) == .counts.attested' "$W/json"

# Would the gate take it? The way from warn to enforce.
trust "quorum ci"
refuses "what enforce would refuse" "would be refused .*-data: not attested" audit --would-refuse
says "and how much it would take" "4 would pass, 1 would be refused, 0 were built here" "$W/out"
trust "group any any ci c" "quorum any" "quorum ci app"
accepts "control: a trust file that takes it all" audit --would-refuse
trust "quorum ci" "exempt data"
accepts "an exempt path that a named cache signed" audit --would-refuse
trust "quorum ci" "exempt data" "revoke c"
refuses "one that a revoked cache signed" "exempt, but no .cache. line" audit --would-refuse
trust "quorum ci" "exempt data"
sqlite3 "$db" "update ValidPaths set sigs = '' where path = '$data'"
refuses "one that nobody signed" "exempt, but no .cache. line" audit --would-refuse
accepts "what was built here is not asked for" stele audit --would-refuse "$data"

# Manual additions, altered bytes, false addresses.
planted=$NIX_STORE_DIR/0123456789abcdfghijklmnpqrsvwxyz-planted
plant() { # CA: registered by hand
    file=$user/nix/store/$(basename "$planted")
    echo planted >"$file"
    sqlite3 "$db" "insert or replace into ValidPaths (path, hash, registrationTime, narSize, ca) values ('$planted', 'sha256:$(nix-store --dump "$file" | sha256sum | cut -d' ' -f1)', 1, $(nix-store --dump "$file" | wc -c), $1)"
}
plant NULL
refuses "a path registered by hand" "^unexplained .*-planted" audit
plant "'fixed:r:sha256:0000000000000000000000000000000000000000000000000000'"
refuses "a false content address" "[^ ]*-planted: its content address is false" audit
sqlite3 "$db" "delete from ValidPaths where path = '$planted'"
accepts "control: without it" audit
# Rows that no Nix writes: what is no text, or goes on behind its end, would come after itself for ever.
hash=sha256:$(printf row | sha256sum | cut -d' ' -f1)
row() { # WHAT REASON PATH: as SQL
    sqlite3 "$db" "insert into ValidPaths (path, hash, registrationTime, narSize) values ($3, '$hash', 1, 128)"
    refuses "$1" "$2" timeout 60 "$STELE_BUILD/bin/stele" audit --store "$user"
    sqlite3 "$db" "delete from ValidPaths where hash = '$hash'"
}
hex=$(printf %s "$planted" | od -An -tx1 | tr -d ' \n')
row "a row whose path is no text" "a row of ValidPaths has no path in plain text" "x'$hex'"
row "one whose path has a NUL" "a row of ValidPaths has no path in plain text" "cast(x'${hex}0041' as text)"
row "one with what is no store path" "database has the path $NIX_STORE_DIR/planted: planted is no store" "'$NIX_STORE_DIR/planted'"
accepts "control: without them" audit
accepts "what lies on disk is what was registered" audit --rehash
file=$user/nix/store/$(basename "$library")/greeting
chmod u+w "$file" "$(dirname "$file")" && sed -i s/hello/hullo/ "$file"
accepts "altered bytes are not seen in the database" audit
refuses "but by --rehash" "^altered .*-library: what lies on disk" audit --rehash
hash=$(sqlite3 "$db" "select hash from ValidPaths where path = '$library'")
sqlite3 "$db" "update ValidPaths set hash = 'sha256:$(nix-store --dump "$(dirname "$file")" | sha256sum | cut -d' ' -f1)' where path = '$library'"
refuses "altered with the database" "^contradicted .*-library: .*other bytes" audit --rehash
says "contested, too" "contested: somebody logged other bytes" "$W/out"
sed -i s/hullo/hello/ "$file"
sqlite3 "$db" "update ValidPaths set hash = '$hash' where path = '$library'"
accepts "control: put back" audit --rehash

# A fixed output whose address has the hash of a file's contents, which no database has: altered with the database it is one of another.
file=$user/nix/store/$(basename "$fetched")
hash=$(sqlite3 "$db" "select hash from ValidPaths where path = '$fetched'")
chmod u+w "$file" && echo fetches >"$file"
sqlite3 "$db" "update ValidPaths set hash = 'sha256:$(nix-store --dump "$file" | sha256sum | cut -d' ' -f1)' where path = '$fetched'"
refuses "a file that is not what its address says" "^altered .*-fetched: what lies on disk is not what its content address says" audit --rehash
echo fetched >"$file"
sqlite3 "$db" "update ValidPaths set hash = '$hash' where path = '$fetched'"
accepts "control: put back" audit --rehash
elsewhere=$planted
said=$(echo something | sha256sum | cut -d' ' -f1)
planted=$(nix-store --print-fixed-path sha256 "$said" planted)
plant "'fixed:sha256:$said'"
refuses "nor is a path planted with an address that gives its name" "^altered .*-planted: what lies on disk is not what its content address says" \
    audit --rehash
planted=$elsewhere
sqlite3 "$db" "delete from ValidPaths where ca = 'fixed:sha256:$said'"

# A stranger logs other bytes: contested, and still attested.
part=$(basename "$tool" | cut -c1-32)
curl -s "http://127.0.0.1:$log_port/output/$part" | sed -n '/^extra /{s/^extra //p;q}' | base64 -d | jq -r .payload | base64 -d |
    sed 's/ci.example/stranger.example/g; s/"digest":{"sha256":"[0-9a-f]*"},"mediaType"/"digest":{"sha256":"'"$(printf x | sha256sum | cut -d' ' -f1)"'"},"mediaType"/' >"$W/payload"
make_attestation sign "$W/stranger" <"$W/payload" >"$W/contest.json"
printf 'policy policy\nkey stranger\nstate stranger-state\n' >"$W/stranger.conf"
STELE_CONFIG=$W/stranger.conf accepts "a stranger attests other bytes" stele submit "$W/contest.json"
accepts "that refuses nothing" audit
says "but is told" "^attested .*-tool: .*contested" "$W/out"

# A builder is revoked: what rested on it, and what depends on that.
trust "quorum ci" "exempt data" "exempt app" "revoke ci from 0 log.example/stele"
refuses "a revocation" "lost its support: .*-library: the attestation by ci does not count: the builder is revoked" audit
says "and what depends on it" "depends on it: .*-tool" "$W/out"
audit --json >"$W/json" 2>"$W/err"
accepts "as JSON" jq -e '[.paths[] | select(.lostSupport) | .dependents[] | select(endswith("-app"))] | length > 0' "$W/json"
trust "quorum ci" "exempt data"
in_reports audit "$W/json"
accepts "control: without the revocation" audit

# A stricter trust file: what rested on one builder is named as well.
trust "builder stranger $(cat "$W/stranger.pub")" "group both all ci stranger" "quorum both" "exempt data"
refuses "a quorum of two" "lost its support: .*-library: the attestation by ci does not suffice: .*the quorum .both. is not met" audit
says "and what depends on what lost it" "depends on it: .*-app" "$W/out"

# A builder that is named no more: by the proofs that the gate keeps of what it let through, here in its place.
printf 'builder stranger %s\nquorum stranger\nexempt data\n' "$(cat "$W/stranger.pub")" >"$W/trust"
refuses "a builder that is not named" "unexplained  *[^ ]*-library: nobody answers" audit
says "lost nothing by what logs say alone" "2 unexplained, 1 contradicted; 1 contested$" "$W/out"
mkdir -p "$W/user-state/proofs"
cp "$W/state/proofs/$(basename "$library" | cut -c1-32).tlog-proof" "$W/user-state/proofs/"
refuses "is told of where it was once" "lost its support: .*-library: the attestation by the key ci.example/builder, whose proof is kept here, is no" audit
says "once" "; 1 lost their support$" "$W/out"
trust "quorum ci" "exempt data"
accepts "control: named again" audit
rm -r "$W/user-state/proofs"

# inputs attested.
trust "quorum ci" "exempt data" "inputs attested"
accepts "inputs attested, with a complete trail" audit
nginx_server plain "location / { proxy_pass http://127.0.0.1:$log_port; }" || exit 1
sed "s|http://127.0.0.1:$log_port|$(url plain)|" "$W/policy" >"$W/plain-policy"
printf 'policy plain-policy\ntrust trust\nstate plain-state\n' >"$W/plain.conf"
STELE_CONFIG=$W/plain.conf accepts "from a state of its own" audit
before=$(grep -c 'POST /outputs' "$W/nginx-plain/access.log")
STELE_CONFIG=$W/plain.conf accepts "once more, with what is remembered of the inputs" audit
same "a log is asked once for all paths, and not for each again" $((before + 1)) "$(grep -c 'POST /outputs' "$W/nginx-plain/access.log")"
trust "quorum ci" "quorum c data" "inputs attested" "revoke c"
refuses "with one that ends" "[^ ]*-app.*inputs|lost its support: .*-app" audit

# A log whose look-ups hang, under proofs of one's own: each path's trail has something to ask it.
trust "quorum ci" "exempt data" "inputs attested"
printf '@hang\n' >"$W/hang"
start hanging fake_log "$W/hang" || exit 1
nginx_server half "location / { proxy_pass http://127.0.0.1:$log_port; } location /outputs { proxy_pass $(url hanging); proxy_read_timeout 5s; }
location /output/ { proxy_pass $(url hanging); }" || exit 1
sed "s|http://127.0.0.1:$log_port|$(url half)|" "$W/policy" >"$W/half-policy"
printf 'policy half-policy\ntrust trust\nstate half-state\n' >"$W/half.conf"
mkdir -p "$W/half-state/proofs" && cp "$W"/state/proofs/*.tlog-proof "$W/half-state/proofs/"
STELE_CONFIG=$W/half.conf audit >"$W/out" 2>&1
says "a log that answers no look-up is named" "log log.example/stele: .*/outputs answered with status 504" "$W/out"
same "once, not for each path" 1 "$(grep -c "^  log log.example/stele: " "$W/out")"
same "and is waited for once, not for each path" 1 "$(grep -c 'POST /outputs' "$W/nginx-half/access.log")"
hanging() { cat "$W/hang.count"; }
before=$(hanging)
stele verify --config "$W/half.conf" --store "$user" "$app" "$library" "$tool" >"$W/half" 2>&1 &
note verifying $!
same "verify looks several paths up at once" $((before + 3)) "$(soon $((before + 3)) hanging)"
stop verifying

# This machine's own key.
trust "quorum ci" "exempt data"
printf 'policy policy\ntrust trust\nstate user-state\nkey key\n' >"$W/own.conf"
STELE_CONFIG=$W/own.conf refuses "a path under this machine's key that was not built here" "^ALARM .*-app: it stands in the log log.example/stele" audit
same "is named first" ALARM "$(grep -v '^stele' "$W/out" | head -n 1 | cut -d' ' -f1)"
printf 'policy policy\ntrust trust\nstate user-state\nkey stranger\n' >"$W/own.conf"
nix store sign --store "$user" -k "$W/cache.secret" "$data" 2>"$W/err"
NIX_CONFIG="$NIX_CONFIG
secret-key-files = $W/cache.secret" STELE_CONFIG=$W/user.conf refuses "or that carries this machine's signature" \
    "^ALARM .*-data: it carries the signature of this machine's key cache.example-1" audit
accepts "control: another machine" audit

# Without the log, from own proofs; with the log gone, it says what it could not ask.
stop log
refuses "without the log nothing is attested" "unexplained" audit
says "and what could not be asked is said" "not every source could be asked \(for [0-9]+ paths" "$W/out"
mkdir -p "$W/user-state/proofs" && cp "$W"/state/proofs/*.tlog-proof "$W/user-state/proofs/"
accepts "with own proofs it is" audit --offline
rm -r "$W/user-state/proofs"

# A cache.
refuses "a cache without proofs" "^unexplained .*-app" audit --cache "$W/cache" --offline
cp "$W"/state/proofs/*.tlog-proof "$W/cache/"
accepts "a cache with its proofs beside it" stele audit --cache "$W/cache" --offline
says "path by path" "^attested .*-app" "$W/out"
accepts "by URL" audit --cache "file://$W/cache" --offline
first=$(cd "$W/cache" && find . -name '*.narinfo' | sort | head -n 1 | sed 's/narinfo$/tlog-proof/')
[ ! -e "$W/cache/$first" ] || mv "$W/cache/$first" "$W/good.tlog-proof"
echo rubbish >"$W/cache/$first"
stele audit --cache "$W/cache" --offline >"$W/out" 2>&1
says "what is no proof takes no other path's with it" "^5 paths: [34] attested" "$W/out"
rm "$W/cache/$first"
[ ! -e "$W/good.tlog-proof" ] || mv "$W/good.tlog-proof" "$W/cache/$first"
narinfo=$W/cache/$(basename "$app" | cut -c1-32).narinfo
cp "$narinfo" "$W/good.narinfo"
sed -i 's/^NarSize: .*/NarSize: 4096/' "$narinfo"
refuses "a narinfo that says something else" "^contradicted .*-app" stele audit --cache "$W/cache" --offline

{ printf 'StorePath: /nix/\377\n' && sed 1d "$W/good.narinfo"; } >"$narinfo"
refuses "a narinfo of other bytes than UTF-8" "are unexplained" stele audit --cache "$W/cache" --offline --json
accepts "leaves the report JSON" sh -c "sed '/^stele audit/d' '$W/out' | jq -e '.counts.attested > 0 and (.troubles | contains(\"narinfo: \"))'"
{ cat "$W/good.narinfo" && head -c 2000000 /dev/zero | tr '\0' x; } >"$narinfo"
stele audit --cache "$W/cache" --offline "$app" "$data" >"$W/out" 2>&1
same "one that is too large is a malformed one: status 1" 1 $?
says "and is told by name" "^  $(basename "$app" | cut -c1-32).narinfo: the cache's narinfo is malformed: more than 1048576 bytes" "$W/out"
cp "$W/good.narinfo" "$narinfo"
accepts "a path that is named twice" stele audit --cache "$W/cache" --offline "$app" "$app"
says "is looked at once" "^1 paths: 1 attested$" "$W/out"
accepts "also in a store" audit --offline "$fetched" "$fetched"

# While a cache is slow, Nix writes its database all the same: here one whose readers keep writers out.
echo "hold $(basename "$app" | cut -c1-32)" >"$W/mode"
start slow flaky_cache "$W/cache" "$W/mode" || exit 1
sqlite3 "$db" "pragma journal_mode=delete" >"$W/got"
stele audit --store "$user" --cache "$(url slow)" --offline >"$W/slow" 2>&1 &
note asking $!
tries=0
until grep -q "$(basename "$app" | cut -c1-32).narinfo" "$W/run/slow.out" || [ $tries -gt 600 ]; do tries=$((tries + 1)) && sleep 0.05; done
accepts "a cache that takes its time holds up no writer" sqlite3 "$db" "update ValidPaths set registrationTime = registrationTime"
echo ok >"$W/mode"
wait "$(cat "$W/run/asking.pid")"
same "and is audited in the end" "0 5 paths" "$? $(sed -n 's/^\(5 paths\):.*/\1/p' "$W/slow")"
rm "$W/run/asking.pid"
stop slow
refuses "a path that is named, and is not there" "planted is not in the cache" stele audit --cache "$W/cache" --offline "$planted"
accepts "one that is" stele audit --cache "$W/cache" --offline "$app"
says "alone" "^1 paths: 1 attested" "$W/out"
rm "$W/cache"/*.tlog-proof
printf 'policy policy\ntrust trust\nstate user-state\nkey key\n' >"$W/own.conf"
own() { STELE_CONFIG=$W/own.conf NIX_CONFIG="$NIX_CONFIG
secret-key-files = $W/cache.secret" stele audit --cache "$W/cache" "$@"; }
accepts "a builder's own cache: what it built and signed itself is no alarm" own
says "but built here" "^built-here .*-app" "$W/out"
refuses "what another store did not build is one" "^ALARM .*-data: it carries the signature of this machine's key" own --store "$user"
stele audit --cache "http://127.0.0.1:9/none" --offline "$app" >"$W/out" 2>&1
same "a cache that does not answer: status 4" 4 $?
says "which is told" "gave no answer for 1 paths" "$W/out"
"$STELE_BUILD/bin/stele" audit --cache "$W/cache" --rehash >"$W/out" 2>&1
same "what only a store has is refused" 2 $?

# Whoever may not read an idle database is told; while nix-daemon works, a user of its own can read it.
if [ "$(id -u)" = 0 ] && command -v setpriv >"$W/out"; then
    mkfifo "$W/go"
    chmod 711 "$W" "$W/home"
    chmod -R a+rX "$NIX_STATE_DIR" "$NIX_STORE_DIR" "$W/builder/etc" "$W/policy" "$W/trust" "$W/user.conf"
    as_nobody() {
        setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$W/nobody" XDG_STATE_HOME="$W/nobody" XDG_CACHE_HOME="$W/nobody" \
            "$STELE_BUILD/bin/stele" audit --offline --config "$W/user.conf"
    }
    nix-daemon >"$W/daemon" 2>&1 &
    note daemon $!
    tries=0
    until [ -S "$NIX_STATE_DIR/daemon-socket/socket" ] || [ $tries -gt 200 ]; do tries=$((tries + 1)) && sleep 0.05; done
    NIX_REMOTE=daemon nix-build --no-out-link -E "derivation { name = \"slow\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"echo here >$W/here; read line <$W/go; echo a >\$out\" ]; }" >"$W/built" 2>&1 &
    build=$!
    tries=0
    until [ -e "$W/here" ] || ! kill -0 $build 2>"$W/out" || [ $tries -gt 400 ]; do tries=$((tries + 1)) && sleep 0.05; done
    as_nobody >"$W/out" 2>&1
    same "while nix-daemon builds, a user of its own can audit" 0 $?
    says "and has the whole store" "^built-here .*-app" "$W/out"
    echo go >"$W/go"
    wait $build
    accepts "and the build was not disturbed" grep -q -e -slow "$W/built"
    stop daemon
    sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "pragma wal_checkpoint(truncate)" >"$W/out"
    rm -f "$NIX_STATE_DIR/db/db.sqlite-wal" "$NIX_STATE_DIR/db/db.sqlite-shm"
    as_nobody >"$W/out" 2>&1
    same "an idle database in WAL mode that is another's: status 4" "wal 4" "$(sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "pragma journal_mode") $?"
    says "and what to do" "run this as the store's owner" "$W/out"
else
    skipped "an audit as a user of its own, beside nix-daemon" "not root"
fi

# A store that lost its support as a whole: what depends on each path of a chain would be a thousand times a thousand lines.
trust "quorum ci"
(
    export NIX_STORE_DIR="$W/chain/store" NIX_STATE_DIR="$W/chain/var"
    nix-store --init
    "$STELE_BUILD/tests/bench/audit" "$NIX_STORE_DIR" "$W/cache.secret" 1000 | sqlite3 "$NIX_STATE_DIR/db/db.sqlite"
    stele audit --offline --quiet >"$W/chain.out" 2>&1
    stele audit --offline --json >"$W/chain.json" 2>"$W/err"
)
says "each is told" "^1000 paths: 1000 unexplained; 1000 lost their support$" "$W/chain.out"
says "and what depends on the first" "and 985 more" "$W/chain.out"
says "but not on all" "^what depends on [0-9]+ more of them is not told: it is 1[0-9]{5} paths by here$" "$W/chain.out"
accepts "nor as JSON" jq -e '[.paths[] | .dependents // empty] | length < 200 and .[0][994] != null and (map(length) | add) < 110000' "$W/chain.json"
done_testing
