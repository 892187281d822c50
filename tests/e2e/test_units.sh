#!/bin/sh
# The systemd units: installed whole, valid, tight, and not too tight: the servers and their signers make no system call that the
# units forbid. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

EXPOSURE_MAX=15 # of 100, as `systemd-analyze security` counts
units=$W/dest/usr/lib/systemd/system
accepts "make install installs" make -s -C "$here/../.." BUILD="$(basename "$STELE_BUILD")" DESTDIR="$W/dest" PREFIX=/usr install
for file in bin/stele-log bin/stele-witness bin/stele bin/stele-hook lib/sysusers.d/stele.conf share/doc/stele/README.md \
    lib/systemd/system/stele-log.service lib/systemd/system/stele-witness.service \
    lib/systemd/system/stele-gate.service lib/systemd/system/stele-gate.socket lib/systemd/system/stele-deliver.path \
    share/man/man1/stele.1 share/man/man5/stele.conf.5 \
    share/man/man1/stele-diff-hook.1 share/man/man8/stele-log.8; do
    if [ -e "$W/dest/usr/$file" ]; then ok "with $file"; else not_ok "without $file"; fi
done
if grep -q '@' "$units/stele-log.service" && grep -n '@PREFIX@' "$units"/*; then not_ok "nothing is left to fill in"; else ok "nothing is left to fill in"; fi

same "what they name as documentation is installed" "" "$(sed -n 's/^Documentation=//p' "$units"/* | tr ' ' '\n' | sort -u |
    sed 's/^man:\(.*\)(\(.\))$/man\2\/\1.\2/' | while read -r page; do [ -e "$W/dest/usr/share/man/$page" ] || echo "$page"; done)"
# What is told to be enabled can be: without [Install] systemd says so, and starts it at no boot.
for unit in $(cat "$here/../../README.md" "$here"/../../man/*.[158]* "$here"/../../client/setup_*.c "$units"/* | tr '\\\n' '  ' |
    grep -o 'systemctl enable --now [^#;`"(]*' | sed 's/%s//' | tr ' ' '\n' | grep '^stele' | sort -u); do
    case $unit in *.*) file=$unit ;; *) file=$unit.service ;; esac
    accepts "$file can be enabled" grep -qx '\[Install\]' "$units/${file%.}"
done

# allowed UNIT: the system calls that its filter lets through, one a line: the lines of the file in their order. Groups hold groups.
allowed() {
    { systemd-analyze --no-pager syscall-filter && sed -n 's/^SystemCallFilter=/= /p' "$1"; } | sed 's/\x1b\[[0-9;]*m//g' | awk '
        # Breadth first: what is put at the end of the list is looked at in its turn.
        function change(name, on,    list, rest) {
            for (list = name; list != ""; list = rest) {
                name = list; sub(/ .*/, "", name)
                rest = substr(list, length(name) + 2)
                if (name ~ /^@/) rest = rest (rest == "" ? "" : " ") members[name]
                else allowed[name] = on
            }
        }
        /^@/ { group = $1; next }
        /^    [@a-z0-9_-]+$/ { members[group] = members[group] (group in members ? " " : "") $1; next }
        $1 == "=" { on = !sub(/~/, "", $2); for (i = 2; i <= NF; i++) change($i, on) }
        END { for (name in allowed) if (allowed[name]) print name }' | sort
}
# called FILE...: the system calls in strace's output.
called() { sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$@" | sort -u; }

if ! command -v systemd-analyze >"$W/got" 2>&1; then
    skipped "the units are valid and tight" "systemd-analyze is not installed"
else
    cp "$units/stele-gate.socket" "$units/stele-deliver.path" "$W" # the service requires the one, the other starts one
    for unit in stele-log stele-witness stele-gate stele-deliver stele-deliver-once; do
        most=$EXPOSURE_MAX
        [ "${unit#stele-deliver}" = "$unit" ] || most=$((EXPOSURE_MAX + 5)) # root, since the hook's files are
        sed "s|/usr/bin/stele|$W/dest/usr/bin/stele|" "$units/$unit.service" >"$W/$unit.service"
        accepts "$unit: valid" systemd-analyze verify --man=no "$W/$unit.service"
        same "$unit: without a warning" "" "$(cat "$W/out")"
        accepts "$unit: exposed to at most $most of 100" \
            systemd-analyze security --offline=yes --no-pager --threshold=$most "$W/$unit.service"
    done
    accepts "stele-deliver.path: valid" systemd-analyze verify --man=no "$W/stele-deliver.path"
    same "stele-deliver.path: without a warning" "" "$(cat "$W/out")"
    sed '/^ProtectSystem/d; /^SystemCallFilter/d; /^CapabilityBoundingSet/d' "$W/stele-log.service" >"$W/loose.service"
    refuses "a looser one would be seen" "." systemd-analyze security --offline=yes --no-pager --threshold=$EXPOSURE_MAX "$W/loose.service"
fi

echo "# what they call"
if ! command -v systemd-analyze >"$W/got" 2>&1 || ! command -v strace >"$W/got" 2>&1 || [ "$(basename "$STELE_BUILD")" != plain ]; then
    skipped "no system call is missing" "wants systemd-analyze, strace and the plain build"
else
    new_log
    new_witness w1 strace -f -qq -o "$W/witness.calls" || exit 1
    under w1
    start log strace -f -qq -o "$W/log.calls" stele-log serve "$W/log" --listen 127.0.0.1:0 || exit 1
    make_attestation "$W/builder" 0 300 >"$W/many"
    status "the traced log takes entries" 200 "$(post "$W/many")"
    for path in /checkpoint /tile/0/000 /tile/entries/000 "/output/$(make_attestation path 0 | cut -c 12-43)" /metrics /healthz; do
        get "$path" -H 'Accept-Encoding: gzip' >"$W/got"
    done
    printf 'policy log/policy\ntrust trust\nstate gate\nsigning-key gate.secret\nupstream %s\n' "$(url log)" >"$W/gate.conf"
    printf 'builder b %s\nquorum b\n' "$(cat "$W/builder.pub")" >"$W/trust"
    nix-store --generate-binary-cache-key gate.example-1 "$W/gate.secret" "$W/gate.public" 2>"$W/got"
    start gate strace -f -qq -o "$W/gate.calls" stele gate --config "$W/gate.conf" --listen 127.0.0.1:0 || exit 1
    for path in /nix-cache-info "/$(make_attestation path 0 | cut -c 12-43).narinfo" /nar/x.nar; do
        curl -s -o "$W/got" "$(url gate)$path"
    done
    for name in gate log w1; do
        server=$(pgrep -P "$(cat "$W/run/$name.pid")" | head -n 1)
        kill -HUP "$server"
        sleep 0.3
        kill -TERM "$server"
        wait "$(cat "$W/run/$name.pid")"
        rm -f "$W/run/$name.pid"
    done
    for name in log witness gate; do
        allowed "$units/stele-$name.service" >"$W/allowed"
        called "$W/$name.calls" >"$W/called"
        if [ "$(wc -l <"$W/called")" -gt 20 ]; then ok "stele-$name: its calls were seen"; else not_ok "stele-$name: its calls were seen"; fi
        same "stele-$name: none is forbidden" "" "$(comm -13 "$W/allowed" "$W/called" | tr '\n' ' ')"
        same "stele-$name: what it must not call is" "" "$(printf 'mount\nptrace\nreboot\nbpf\n' | grep -xf "$W/allowed" | tr '\n' ' ')"
    done
fi
done_testing
