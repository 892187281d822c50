# Shared by the end-to-end tests and the demo: a scratch folder, processes, a hermetic Nix, TAP. Needs STELE_BUILD.
# shellcheck shell=sh
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$STELE_BUILD/bin:$PATH
tests_done=0
tests_failed=0

# world: makes the scratch folder $W; at the end every process of `start` is ended and $W removed.
world() {
    W=$(mktemp -d "${TMPDIR:-/tmp}/stele.XXXXXX") || exit 1
    mkdir -p "$W/run" "$W/home"
    trap world_end EXIT
    trap 'exit 1' INT TERM
    export HOME="$W/home" XDG_STATE_HOME="$W/home/state" XDG_CONFIG_HOME="$W/home/config"
    mkdir -p "$W/home/config/stele" # as root the state would otherwise be this machine's own
    echo "state $W/home/state/stele" >"$W/home/config/stele/stele.conf"
    unset STELE_CONFIG
}

world_end() {
    code=$?
    trap - EXIT
    for pid in "$W"/run/*.pid; do
        [ -e "$pid" ] && stop "$(basename "$pid" .pid)"
    done
    if [ -n "${KEEP:-}" ]; then echo "kept: $W" >&2; else chmod -R u+w "$W" && rm -rf "$W"; fi
    exit $code
}

# start NAME COMMAND...: in the background; waits for its line "listening on URL", which `url NAME` then prints.
# Output goes to $W/run/NAME.out and NAME.err.
start() {
    name=$1
    shift
    : >"$W/run/$name.out" # now: what an earlier run said must not be taken for this one's
    "$@" >"$W/run/$name.out" 2>>"$W/run/$name.err" &
    echo $! >"$W/run/$name.pid"
    tries=0
    until grep -q '^listening on ' "$W/run/$name.out"; do
        tries=$((tries + 1))
        if [ $tries -gt 1200 ] || ! kill -0 "$(cat "$W/run/$name.pid")" 2>/dev/null; then
            echo "$name did not start:" >&2
            tail -n 20 "$W/run/$name.err" >&2
            return 1
        fi
        sleep 0.05
    done
}

url() {
    sed -n 's/^listening on //p' "$W/run/$1.out" | tail -n 1
}

# stop NAME [SIGNAL]: ends a process of `start` and waits for it.
stop() {
    pid=$(cat "$W/run/$1.pid" 2>/dev/null) || return 0
    rm -f "$W/run/$1.pid"
    kill "-${2:-TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

# static_server NAME FOLDER: nginx over a folder, on a free port of 127.0.0.1.
static_server() {
    mkdir -p "$W/nginx-$1"
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        nginx_port=$(free_port)
        rm -f "$W/nginx-$1/pid"
        cat >"$W/nginx-$1/conf" <<END
$([ "$(id -u)" = 0 ] && echo 'user root;')
worker_processes 1;
daemon off;
pid $W/nginx-$1/pid;
error_log $W/nginx-$1/error.log;
events { worker_connections 512; }
http {
    access_log $W/nginx-$1/access.log;
    client_body_temp_path $W/nginx-$1/b; proxy_temp_path $W/nginx-$1/p; fastcgi_temp_path $W/nginx-$1/f;
    uwsgi_temp_path $W/nginx-$1/u; scgi_temp_path $W/nginx-$1/s;
    gzip_static on; # FILE.gz for FILE, where gzip is asked for
    server { listen 127.0.0.1:$nginx_port; root $2; }
}
END
        nginx -p "$W/nginx-$1" -e "$W/nginx-$1/error.log" -c "$W/nginx-$1/conf" >"$W/run/$1.out" 2>"$W/run/$1.err" &
        echo $! >"$W/run/$1.pid"
        wait_tries=0
        # It writes its pid once it has the port; another's server there would answer, too.
        while kill -0 "$(cat "$W/run/$1.pid")" 2>/dev/null && [ $wait_tries -lt 400 ]; do
            if [ -s "$W/nginx-$1/pid" ] && curl -s -o /dev/null "http://127.0.0.1:$nginx_port/"; then
                echo "listening on http://127.0.0.1:$nginx_port" >>"$W/run/$1.out"
                return 0
            fi
            wait_tries=$((wait_tries + 1))
            sleep 0.05
        done
        stop "$1"
    done
    echo "no static server: $(cat "$W/nginx-$1/error.log")" >&2
    return 1
}

# nix_world: a hermetic Nix whose store and state lie in $W/builder. Commands then use it; `--store $W/user` gives another
# store with the same store folder name. STELE_NIX_CONFIG: more lines for its configuration.
nix_world() {
    mkdir -p "$W/builder/etc"
    export NIX_STORE_DIR="$W/builder/store" NIX_STATE_DIR="$W/builder/var" NIX_LOG_DIR="$W/builder/log" \
        NIX_CONF_DIR="$W/builder/etc" XDG_CACHE_HOME="$W/home/cache"
    unset NIX_REMOTE NIX_PATH
    export NIX_CONFIG="experimental-features = nix-command
build-users-group =
sandbox = false
substituters =
narinfo-cache-negative-ttl = 0
${STELE_NIX_CONFIG:-}
"
}

# free_port: prints a port of 127.0.0.1 that nothing listens on, below those that the system gives to connections. What is to come
# back at its address needs one of these: any other may have become a connection's meanwhile. Tests that tests/run.sh runs side by
# side have ports of their own: none asks at, or takes, what another has left for a moment.
free_port() {
    while :; do
        if [ -n "${STELE_SLOT:-}" ]; then free=$((20000 + STELE_SLOT * 750)) ports=750; else free=20000 ports=12000; fi
        free=$((free + $(od -An -N2 -tu2 /dev/urandom) % ports))
        curl -s -m 5 -o /dev/null "http://127.0.0.1:$free/"
        [ $? -ne 7 ] || break # 7: no connection
    done
    echo "$free"
}

# ok WHAT / not_ok WHAT: one TAP line.
ok() {
    tests_done=$((tests_done + 1))
    echo "ok $tests_done - $1"
}

not_ok() {
    tests_done=$((tests_done + 1))
    tests_failed=$((tests_failed + 1))
    echo "not ok $tests_done - $1"
}

skipped() {
    tests_done=$((tests_done + 1))
    echo "ok $tests_done - $1 # SKIP $2"
}

# accepts WHAT COMMAND...: it must succeed. Its output is in $W/out.
accepts() {
    what=$1
    shift
    if "$@" >"$W/out" 2>&1; then
        ok "$what"
    else
        not_ok "$what"
        sed 's/^/# /' "$W/out"
    fi
}

# refuses WHAT REASON COMMAND...: it must fail, and say something that matches the extended regular expression REASON.
refuses() {
    what=$1 reason=$2
    shift 2
    if "$@" >"$W/out" 2>&1; then
        not_ok "$what (it succeeded)"
    elif grep -Eq "$reason" "$W/out"; then
        ok "$what"
    else
        not_ok "$what (for another reason than: $reason)"
        sed 's/^/# /' "$W/out"
    fi
}

# status WHAT WANT GOT: an HTTP status; the answer is in $W/body.
status() {
    if [ "$2" = "$3" ]; then ok "$1"; else
        not_ok "$1: status $3, not $2"
        head -c 600 "$W/body" | sed 's/^/# /'
    fi
}

# same WHAT WANT GOT
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: \"$3\", not \"$2\""; fi
}

# soon WANT COMMAND...: runs it until it prints WANT, for a minute; prints what it said last.
soon() {
    want=$1
    shift
    tries=0
    until said=$("$@") && [ "$said" = "$want" ] || [ $tries -gt 600 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    echo "$said"
}

# says WHAT REGEX FILE: a line of FILE matches. What a process of `start` writes may come a little after what it does.
says() {
    case $3 in
    "$W"/run/*)
        tries=0
        until grep -Eq "$2" "$3" || [ $tries -gt 600 ]; do tries=$((tries + 1)) && sleep 0.05; done
        ;;
    esac
    if grep -Eq "$2" "$3"; then
        ok "$1"
    else
        not_ok "$1"
        tail -n 30 "$3" | sed 's/^/# /'
    fi
}

# in_reports VERB FILE: every member of that JSON is explained under that verb in spec/reports.md.
in_reports() {
    sed -n "/^## stele $1/,/^## /s/^| \(\`.*\`\) |.*/\1/p" "$here/../../spec/reports.md" | tr ', ' '\n\n' | grep . | tr -d '\`' | sort -u >"$W/explained"
    jq -r '[.. | objects | keys[]] | unique[]' "$2" | grep -vxE 'attested|content-addressed|exempt|built-here|vouched|unexplained|contradicted|altered' |
        grep -vxFf "$W/explained" >"$W/unexplained"
    same "every member of stele $1 --json stands in spec/reports.md" "" "$(cat "$W/unexplained")"
}

# done_testing: the plan, and the exit status.
done_testing() {
    echo "1..$tests_done"
    [ $tests_failed -eq 0 ]
}
