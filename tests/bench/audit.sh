# The audit of a store: for run.sh, after its functions.
# shellcheck shell=sh disable=SC2154
part "An audit of a store"
paths=100000
nix-store --generate-binary-cache-key cache.example-1 "$W/cache.secret" "$W/cache.public"
printf 'builder ci %s\ncache c %s\ngroup any any ci c\nquorum any\n' "$(cat "$W/key.pub")" "$(cat "$W/cache.public")" >"$W/audit-trust"
printf 'builder ci %s\nquorum ci\n' "$(cat "$W/key.pub")" >"$W/audit-unsigned"
printf 'log %s\nquorum none\n' "$(stele-log key "$W/log")" >"$W/audit-policy"
printf 'policy %s\ntrust %s\nstate %s\n' "$W/audit-policy" "$W/audit-trust" "$W/audit-state" >"$W/audit.conf"
printf 'policy %s\ntrust %s\nstate %s\n' "$W/audit-policy" "$W/audit-unsigned" "$W/audit-state" >"$W/unsigned.conf"
(
    nix_world
    # Of its own: the hook's rows have built in the usual one.
    export NIX_STORE_DIR="$W/audited/store" NIX_STATE_DIR="$W/audited/var"
    nix-store --init
    "$bench/audit" "$NIX_STORE_DIR" "$W/cache.secret" $paths | sqlite3 "$NIX_STATE_DIR/db/db.sqlite"
    # seconds CONFIG [OPTION...]: of an audit.
    seconds() {
        conf=$1
        shift
        from=$(date +%s%N)
        stele audit --offline --quiet --config "$W/$conf" "$@" >"$W/audit" 2>"$W/audit.err"
        echo "$(($(date +%s%N) - from)) / 1000000000"
    }
    limits
    s=$(calc %.2f "$(seconds unsigned.conf)")
    row "$paths paths of the database, without look-ups" "$s s" "(wanted: under 10 s) $(tail -n 1 "$W/audit" | cut -c1-60)"
    s=$(calc %.2f "$(seconds audit.conf)")
    row "  each with a cache's signature, verified" "$s s" "$(calc %.0f "100 * $paths / $s / $verify") % of verification; $(tail -n 1 "$W/audit" | cut -c1-60)"
    # 64 paths of 64 MiB, in the page cache: less, and what an audit costs before it hashes anything would show.
    sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "delete from Refs; delete from ValidPaths"
    head -c 67108864 /dev/urandom >"$W/block"
    hash=$(nix-hash --type sha256 "$W/block") nar_bytes=$(nix-store --dump "$W/block" | wc -c)
    mkdir -p "$NIX_STORE_DIR"
    for i in $(seq 64); do
        name=$(printf '%032d-block-%d' "$i" "$i")
        cp "$W/block" "$NIX_STORE_DIR/$name"
        echo "insert into ValidPaths (path, hash, registrationTime, narSize) values ('$NIX_STORE_DIR/$name', 'sha256:$hash', 1, $nar_bytes);"
    done | sqlite3 "$NIX_STATE_DIR/db/db.sqlite"
    "$bench/limits" "$W" >"$W/limits" || exit 1
    s=$(calc %.3f "$(seconds unsigned.conf --rehash)")
    mb=$(calc %.0f "64 * 67.108864 / $s")
    row "--rehash of 4 GiB" "$mb MB/s" "$(calc %.0f "100 * $mb / ($(figure sha256_mb_s "$W/limits") * $(figure cores "$W/limits"))") % of SHA-256 on all cores (wanted: 80); $(grep -c altered "$W/audit") altered"
)
