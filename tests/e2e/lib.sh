# Shared by the end-to-end tests and the demo: a scratch folder, processes, a hermetic Nix. Reads in TAP, and a log with its
# witnesses. Needs STELE_BUILD.
# shellcheck shell=sh
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$STELE_BUILD/bin:$PATH
. "$here/../e2e/tap_lib.sh"
. "$here/../e2e/network_lib.sh"

# world: makes the scratch folder $W; at the end every process of `start` and `note` is ended and $W removed.
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

# born PID: when that process started, in ticks since the boot; nothing where there is none.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# note NAME PID: a process in the background, which `stop NAME` ends. Its number alone may be another process's once it has ended.
note() {
    echo "$2" >"$W/run/$1.pid"
    born "$2" >"$W/run/$1.born"
}

# start NAME COMMAND...: in the background; waits for its line "listening on URL", which `url NAME` then prints.
# Output goes to $W/run/NAME.out and NAME.err.
start() {
    name=$1
    shift
    : >"$W/run/$name.out" # now: what an earlier run said must not be taken for this one's
    "$@" >"$W/run/$name.out" 2>>"$W/run/$name.err" &
    note "$name" $!
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

# stop NAME [SIGNAL]: ends a process of `start` or `note`, if it has not ended, and waits for it.
stop() {
    pid=$(cat "$W/run/$1.pid" 2>/dev/null) || return 0
    rm -f "$W/run/$1.pid"
    [ "$(born "$pid")" != "$(cat "$W/run/$1.born")" ] || kill "-${2:-TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

# nginx_server NAME DIRECTIVES: nginx on a free port of 127.0.0.1, with one server of these directives.
nginx_server() {
    nginx=$W/nginx-$1
    mkdir -p "$nginx"
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        nginx_port=$(free_port)
        rm -f "$nginx/pid"
        cat >"$nginx/conf" <<END
$([ "$(id -u)" = 0 ] && echo 'user root;')
worker_processes 1;
daemon off;
pid $nginx/pid;
error_log $nginx/error.log;
events { worker_connections 512; }
http {
    access_log $nginx/access.log;
    client_body_temp_path $nginx/b; proxy_temp_path $nginx/p; fastcgi_temp_path $nginx/f;
    uwsgi_temp_path $nginx/u; scgi_temp_path $nginx/s;
    server { listen 127.0.0.1:$nginx_port; $2 }
}
END
        nginx -p "$nginx" -e "$nginx/error.log" -c "$nginx/conf" >"$W/run/$1.out" 2>"$W/run/$1.err" &
        note "$1" $!
        wait_tries=0
        # It writes its pid once it has the port; another's server there would answer, too.
        while kill -0 "$(cat "$W/run/$1.pid")" 2>/dev/null && [ $wait_tries -lt 400 ]; do
            if [ -s "$nginx/pid" ] && curl -s -o /dev/null "http://127.0.0.1:$nginx_port/"; then
                echo "listening on http://127.0.0.1:$nginx_port" >>"$W/run/$1.out"
                return 0
            fi
            wait_tries=$((wait_tries + 1))
            sleep 0.05
        done
        stop "$1"
    done
    echo "no nginx: $(cat "$nginx/error.log")" >&2
    return 1
}

# accesses NAME REGEX: how many lines of that nginx's access log match. It writes a line when the answer is out, which whoever waits
# for the answer may come before; but its one process has written those of all answers that are out before it takes another request.
accesses() {
    curl -s -o /dev/null "$(url "$1")/"
    grep -c -e "$2" "$W/nginx-$1/access.log"
}

# static_server NAME FOLDER: nginx over a folder; FILE.gz for FILE, where gzip is asked for.
static_server() { nginx_server "$1" "root $2; gzip_static on;"; }

# nix_world: a hermetic Nix whose store and state lie in $W/builder. Commands then use it; `--store $W/user` gives another
# store with the same store folder name. What a test in $W builds is by $W/build.nix. STELE_NIX_CONFIG: more lines for its
# configuration.
nix_world() {
    mkdir -p "$W/builder/etc"
    cp "$here/../e2e/build.nix" "$W"
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

# again PATH...: makes Nix forget paths and what refers to them, so that they are built anew.
again() {
    # shellcheck disable=SC2046 # a list of words
    nix-store --delete --ignore-liveness $(nix-store -q --referrers-closure "$@") >/dev/null 2>&1
}

# tamper PATH SCRIPT FILE: a file of that store path altered by sed; the database has the hash of what it is then.
tamper() {
    chmod -R u+w "$1" && sed -i "$2" "$3" && chmod -R u-w "$1"
    altered=$(nix-store --dump "$1" | sha256sum | cut -d' ' -f1)
    sqlite3 "$NIX_STATE_DIR/db/db.sqlite" "update ValidPaths set hash = 'sha256:$altered' where path = '$1'"
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
