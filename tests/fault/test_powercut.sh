#!/bin/sh
# A power cut: real runs are recorded, write by write and sync by sync; what a disk may hold at any moment of them is put there,
# and the real programs must keep every promise made by then. Then the same as though a sync were not in the program: that must
# be noticed, for every sync. TAP.
. "$(dirname "$0")/lib.sh"
world
states=1500 without=400
if short; then states=50 without=100; fi
seed=${SEED:-1}

# The states are made, and the programs run over them, where a sync costs nothing: what syncs do is known from the trace.
memory_free_kib=$(df -k /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -w /dev/shm ] && [ "${memory_free_kib:-0}" -gt 262144 ]; then
    scratch=$(mktemp -d /dev/shm/stele.XXXXXX) || exit 1
    trap 'code=$?; [ -n "${KEEP:-}" ] || rm -rf "$scratch"; (exit $code); world_end' EXIT
else
    scratch=$W/scratch
fi

# recording NAME: what `recorded` runs from here on goes to $W/NAME.trace, where it is about $W/NAME.
recording() {
    trace=$W/$1.trace root=$W/$1
    mkdir -p "$root"
    truncate -s 1G "$trace"
}
recorded() {
    env TRACE_FILE="$trace" TRACE_ROOT="$root" TRACE_DIE="${die:-none:0:/}" \
        LD_PRELOAD="$STELE_BUILD/tests/preload/recorder.so" "$@"
}
# said WORD: from here on it is promised.
said() { recorded sh -c "echo $1" >"$W/out"; }
# serve_recorded NAME: the log in $log_dir, or the witness under $root, recorded, on a port of its own. `die` is TRACE_DIE's value,
# or empty.
serve_recorded() {
    case $1 in
    log) set -- log stele-log serve "$log_dir" --listen "127.0.0.1:$port" ;;
    w) set -- w stele-witness serve "$root/w" --listen "127.0.0.1:$witness_port" ;;
    esac
    started=$1
    shift
    start "$started" env TRACE_FILE="$trace" TRACE_ROOT="$root" TRACE_DIE="${die:-none:0:/}" \
        LD_PRELOAD="$STELE_BUILD/tests/preload/recorder.so" "$@"
}
# submit NAME FIRST N THREADS: N attestations, until they are answered.
submit() {
    make_attestation "$W/key" "$2" "$3" >"$W/$1.envelopes"
    log_driver load "http://127.0.0.1:$port" "$W/policy" "$W/$1.envelopes" "$W/$1.notes" "$4" >>"$W/load.out" 2>&1
}
# dies NAME COMMAND...: until the server, or its signer, has died under the load, and then the server ends, and comes back.
dies() {
    dying=$1
    shift
    "$@" &
    load=$!
    server=$(cat "$W/run/$dying.pid")
    until ! kill -0 "$server" 2>/dev/null || grep -q 'ended unexpectedly' "$W/run/$dying.err"; do sleep 0.02; done
    stop "$dying"
    : >"$W/run/$dying.err"
    die=
    serve_recorded "$dying" && wait "$load"
}
# dies_at_start NAME FOLDER: each of the first starts ends between making a folder and syncing its name, until none is left to make.
dies_at_start() {
    die="sync:1:$2" starts=1
    until serve_recorded "$1" 2>"$W/out"; do
        die="sync:2:$2" starts=$((starts + 1)) # the first is that of what the start before had made
        [ $starts -lt 10 ] || break
    done
    die=
    [ $starts -lt 10 ]
}

# hold NAME BASE CHECK...: the recorder missed nothing; no power cut breaks a promise; with the syncs of any one place of the
# program taken out, one does.
hold() {
    name=$1 base=$2
    shift 2
    mkdir -p "$scratch/$name"
    accepts "$name: the trace is whole" powercut whole "$trace" "$root" "$base" "$W/$name.whole"
    sed 's/^/# /' "$W/out"
    # shellcheck disable=SC2086 # words
    accepts "$name: and says what is on the disk" diff -r --exclude=lock.mdb $unrecorded "$root" "$W/$name.whole"
    accepts "$name: no power cut breaks a promise" powercut run "$trace" "$root" "$base" "$scratch/$name" "$states" "$seed" "$@"
    tail -n 1 "$W/out"
    powercut sites "$trace" "$root" "$base" >"$W/$name.sites" || exit 1
    while read -r site place count program what; do
        who=$(callers "$program" "$what")
        places "$program" "$what" >>"$W/recorded"
        if ! short; then
            taken_out "$site" "$@"
            echo "# $count times $who: without this call $said"
        fi
        [ "$site" = "$place" ] || continue
        ! short || ! spare "$who" || continue
        taken_out "place:$place" "$@"
        if spare "$who"; then
            echo "# not relied upon: $who: without it $said"
        elif [ $noticed = yes ]; then
            ok "$name: missed where it is not: $who"
            echo "$who" >>"$W/missed"
        else
            echo "$who" >>"$W/not-missed"
            # shellcheck disable=SC2094 # the loop reads another file
            printf '%s\t%s\n' "$who" "place:$place $trace $root ${base:--} $scratch/$name $*" >>"$W/not-missed.runs"
        fi
    done <"$W/$name.sites"
}

# look_longer: what no recording missed is taken out of each once more, for as many states as it may take to be noticed by chance.
look_longer() {
    grep -Fxv -f "$W/missed" "$W/not-missed" | sort -u >"$W/unnoticed"
    while read -r who; do
        awk -F '\t' -v who="$who" '$1 == who { print $2 }' "$W/not-missed.runs" >"$W/runs"
        while read -r taken trace root base into check; do
            # shellcheck disable=SC2086 # words
            ! powercut without "$taken" "$trace" "$root" "$base" "$into" $((without * 20)) "$seed" $check >"$W/one" 2>&1 || {
                echo "$who" >>"$W/missed"
                break
            }
        done <"$W/runs"
    done <"$W/unnoticed"
}

# none_superfluous: a sync that one recording could do without was missed in another.
none_superfluous() {
    touch "$W/missed" "$W/not-missed"
    look_longer
    accepts "every sync is missed in some recording" test -z "$(grep -Fxv -f "$W/missed" "$W/not-missed")"
    grep -Fxv -f "$W/missed" "$W/not-missed" | sed 's/^/# not missed: /'
}

# taken_out SITE CHECK...: sets $noticed and $said.
taken_out() {
    taken=$1
    shift
    noticed=no said='all holds'
    if powercut without "$taken" "$trace" "$root" "$base" "$scratch/$name" "$without" "$seed" "$@" >"$W/one" 2>&1; then
        noticed=yes said="$(sed -n 's/^#   //p' "$W/one" | tail -n 1)"
    fi
}

# callers PROGRAM "WHAT... ADDRESS...": what is synced, and by which functions, innermost first.
callers() {
    # shellcheck disable=SC2046 # words
    functions=$(addr2line -f -i -e "$1" $(echo "$2" | grep -o '0x[0-9a-f]*' | head -n 4) | sed -n 'p;n' | head -n 5)
    echo "$(echo "$2" | sed 's/ 0x.*//')" "in" $functions
}

# places PROGRAM "WHAT... ADDRESS...": "FUNCTION FILE" of each of them.
places() {
    # shellcheck disable=SC2046 # words
    addr2line -f -i -e "$1" $(echo "$2" | grep -o '0x[0-9a-f]*') | paste - - | sed 's|\t.*/| |; s/:.*//'
}

# none_left_out: what was taken out, one by one, are all the syncs that there are: each function of the sources that calls for one is
# in some recording.
none_left_out() {
    awk '/^[a-z].*\(/ && !/;$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
         /[^a-z_](fsync|fdatasync|syncfs|msync|sync_file_range|mdb_env_sync|mdb_txn_commit)\(/ {
             file = FILENAME; sub(/.*\//, "", file); print name, file }' \
        "$here"/../../lib/sys/*.c "$here"/../../log/*.c "$here"/../../witness/*.c | sort -u >"$W/syncs"
    accepts "the sources have syncs" grep -qx "append heads.c" "$W/syncs"
    accepts "and no function that syncs was left out of the recordings" test -z "$(grep -Fxv -f "$W/recorded" "$W/syncs")"
    grep -Fxv -f "$W/recorded" "$W/syncs" | sed 's/^/# left out: /'
}

# spare WHO: these may be taken out. Most are LMDB's, which knows no other way to commit.
spare() {
    case $1 in
    *'write-sync /log/index/'* | *'/backup/index/'*) ;; # the indices may lag the entries by a commit, and by all
    *'sync /log/index/data.mdb in settle '*) ;;   # the same
    *'write-sync /log/data/new/data.mdb '*) ;;         # the database is synced again when it has got its name
    *'/heads in settle heads_open heads_take '*) ;;    # who takes the heads from the command line adds to them, and syncs both
    *) return 1 ;;
    esac
}

make_attestation key ci.example/builder "$W/key" >"$W/out" 2>&1
port=$(free_port)
witness_port=$(free_port)

echo "# a log: made, served, killed, served again"
recording log
log_dir=$root/log
accepts "init" recorded stele-log init "$log_dir" --origin log.example
said init
mkdir -p "$W/given/init"
cp "$log_dir/config" "$log_dir/policy" "$log_dir/builders" "$log_dir/key.pub" "$W/given/init"
echo "quorum none" | tee "$W/given/policy" >>"$log_dir/policy"
cat "$W/key.pub" | tee "$W/given/builders" >>"$log_dir/builders"
cp "$log_dir/policy" "$W/policy"
for known in 7 150 255 256 299 2005 3020 10000 20000; do make_attestation "$W/key" $known 1; done >"$W/given/more"
make_attestation "$W/key" 90000 2 >>"$W/given/more"
unrecorded="--exclude=policy --exclude=builders"

accepts "it starts in the end" dies_at_start log "$log_dir"
accepts "300 attestations, four at a time" submit first 0 300 4
make_attestation "$W/key" 1000 6 400 >"$W/lists"
accepts "six with lists" curl -sf -o "$W/body" --data-binary "@$W/lists" "http://127.0.0.1:$port/attestations"
stop log
# The signer ends between writing a head and syncing it; then the data, between writing what commits and having it on the disk.
die="sync:20:$log_dir/heads"
serve_recorded log
accepts "the signer dies under load, all are answered" dies log submit signer 2000 40 1
stop log
die="write-sync:15:$log_dir/data/data.mdb"
serve_recorded log
accepts "the server dies under load, all are answered" dies log submit server 3000 40 1
stop log
for i in 1 2 3 4 5 6 7; do
    serve_recorded log && submit "again$i" "${i}0000" 3 1
    stop log
done
hold log - "$here/cut/hold_log.sh" "$W/given"

echo "# a witness: made, given a log, served, killed, served again"
recording witness
log_dir=$W/other
accepts "init" recorded stele-witness init "$root/w" --name w.example
said init
mkdir -p "$W/given-w/init"
cp "$root/w/config" "$root/w/key.pub" "$W/given-w/init"
stele-log init "$log_dir" --origin log.example/other >"$W/out" 2>&1
accepts "a log is added" recorded stele-witness add-log "$root/w" "$(stele-log key "$log_dir")"
said add-log
stele-witness logs "$root/w" >"$W/given-w/logs"
printf 'witness w %s http://127.0.0.1:%s\nquorum w\n' "$(stele-witness key "$root/w")" "$witness_port" >>"$log_dir/policy"
cp "$W/key.pub" "$log_dir/builders"
cp "$log_dir/policy" "$W/policy"
unrecorded=
accepts "the witness starts in the end" dies_at_start w "$root/w"
serve_recorded log # its words are recorded, not its files
accepts "its cosignature is under 60 answers" submit cosigned 0 60 4
stop w
die="sync:10:$root/w/heads"
serve_recorded w
accepts "its signer dies under load, all are answered" dies w submit resigned 2000 40 1
stop w
for i in 1 2; do
    serve_recorded w && submit "once$i" "${i}0000" 3 1
    stop w
done
stop log
hold witness - "$here/cut/hold_witness.sh" "$W/given-w"

if ! short; then
    echo "# a witness of many heads, whose file of heads is written anew at the start"
    start w stele-witness serve "$root/w" --listen "127.0.0.1:$witness_port"
    start log stele-log serve "$log_dir" --listen "127.0.0.1:$port"
    accepts "1,100 heads more" submit heads 40000 1100 1
    stop log
    stop w
    cp -r "$root" "$W/base"
    recording many
    cp -r "$W/base/w" "$root/w"
    said init
    said add-log
    serve_recorded w
    serve_recorded log
    accepts "a few on top" submit few 50000 5 1
    stop log
    stop w
    hold many "$W/base" "$here/cut/hold_witness.sh" "$W/given-w"
fi

echo "# a log that lost its data: recovered, backed up, frozen"
log_dir=$W/whole
stele-log init "$log_dir" --origin log.example/whole >"$W/out" 2>&1
echo "quorum none" >>"$log_dir/policy"
cp "$W/key.pub" "$log_dir/builders"
cp "$log_dir/policy" "$W/policy"
start log stele-log serve "$log_dir" --listen "127.0.0.1:$port"
accepts "60 attestations" submit whole 0 60 4
mkdir "$W/given-m"
curl -s -o "$W/given-m/bundles" "$(url log)/builder/$(tr -d '\n' <"$W/key.pub" | sha256sum | cut -d' ' -f1)"
stop log
cp "$W/whole.notes" "$W/given-m/notes"
cp "$log_dir/key" "$log_dir/heads" "$W/given-m"
make_attestation "$W/key" 200 1 >"$W/given-m/new"
mkdir "$W/moved-base"
mv "$log_dir" "$W/moved-base/log"
rm -rf "$W/moved-base/log/data" "$W/moved-base/log/index"
recording moved
cp -r "$W/moved-base/log" "$root/log"
# It ends between making a folder and syncing its name, between the first write that commits and its sync, before the next folder's
# name is synced; then goes on.
for die in "sync:1:$root/log" "write-sync:1:$root/log/data/data.mdb" "sync:2:$root/log"; do
    recorded stele-log recover "$root/log" "$W/given-m/bundles" >"$W/out" 2>&1
    same "recover is killed on its way" 137 $?
done
die=
accepts "recover, again" recorded stele-log recover "$root/log" "$W/given-m/bundles"
said recovered
accepts "backup" recorded stele-log backup "$root/log" "$root/backup"
said backup
accepts "freeze" recorded stele-log freeze "$root/log" --note over
said frozen
unrecorded=
short && states=20 without=30
hold moved "$W/moved-base" "$here/cut/hold_moved.sh" "$W/given-m"

echo "# a witness that finds a fork, is backed up, restored, taken up again, and gives up a log; an auditor's memory"
# asked OLD SIZE [FORK]: what the witness says to a head of a.example.
asked() {
    witness_log request a.example "$@" >"$W/request"
    curl -s -o "$W/body" -w '%{http_code}' --data-binary "@$W/request" "http://127.0.0.1:$witness_port/add-checkpoint"
}
mkdir "$W/kept-base" "$W/given-k"
stele-witness init "$W/kept-base/w" --name w.example >"$W/out" 2>&1
for name in a b; do stele-witness add-log "$W/kept-base/w" "$(witness_log vkey $name.example)" >"$W/out" 2>&1; done
cp "$W/kept-base/w/key" "$W/given-k"
stele-witness logs "$W/kept-base/w" >"$W/given-k/logs.before"
recording kept
cp -r "$W/kept-base/w" "$root/w"
serve_recorded w
same "a head is cosigned" 200 "$(asked 0 10)"
same "another of its size is not" 422 "$(asked 10 10 3)"
said forked
stop w
accepts "backup" recorded stele-witness backup "$root/w" "$root/backup"
said backup
cp -r "$root/backup" "$W/given-k"
for folder in restored resumed; do
    accepts "restore: $folder" recorded stele-witness restore "$root/backup" "$root/$folder" --key "$W/given-k/key"
done
said restored
accepts "resume" recorded stele-witness resume "$root/resumed" a.example
said resumed
accepts "remove-log" recorded stele-witness remove-log "$root/w" b.example
said removed
stele-witness logs "$root/w" >"$W/given-k/logs"
log_dir=$W/audited
stele-log init "$log_dir" --origin log.example/audited >"$W/out" 2>&1
echo "quorum none" >>"$log_dir/policy"
cp "$W/key.pub" "$log_dir/builders"
cp "$log_dir/policy" "$W/policy"
start log stele-log serve "$log_dir" --listen "127.0.0.1:$port"
audit() { recorded stele-log fsck --from "http://127.0.0.1:$port" --key "$(stele-log key "$log_dir")" --state "$root/state"; }
accepts "20 attestations" submit audited 0 20 4
accepts "are audited" audit
said audited
cp "$root/state" "$W/given-k/state.1"
accepts "ten more" submit more 20 10 4
accepts "and they" audit
said again
cp "$root/state" "$W/given-k/state.2"
stop log
short && states=20 without=30
hold kept "$W/kept-base" "$here/cut/hold_kept.sh" "$W/given-k"

none_superfluous
none_left_out
done_testing
