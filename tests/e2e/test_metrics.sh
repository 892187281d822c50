#!/bin/sh
# GET /metrics of the log and of a witness: in the form that Prometheus reads, and saying how fast, how long, how full, and which
# witness is missing; and the log's lines about itself. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

# value NAME: of the metrics in $W/metrics.
value() { awk -v name="$1" '$1 == name { print $2 }' "$W/metrics"; }
scrape() { curl -s "$(url "$1")/metrics" >"$W/metrics"; }
# above WHAT NAME: its value is there and above 0.
above() {
    if has_above "$2"; then ok "$1"; else not_ok "$1: \"$(value "$2")\""; fi
}
has_above() { awk -v name="$1" '$1 == name && $2 > 0 { found = 1 } END { exit !found }' "$W/metrics"; }
all_above() {
    for name in "$@"; do has_above "$name" || return 1; done
}
# until_above NAME...: scrapes until they all are.
until_above() {
    tries=0
    until scrape log && all_above "$@" || [ $tries -gt 600 ]; do tries=$((tries + 1)) && sleep 0.05; done
}
well_formed() { awk -f "$here/check_metrics.awk" "$W/metrics"; }

new_log
new_witness w1 || exit 1
dead=$(free_port)
stele-witness init "$W/w2" --name w2.example >"$W/got" 2>&1
witness_line w1 >>"$W/log/policy"
printf 'witness w2 %s http://127.0.0.1:%s\ngroup g any w1 w2\nquorum g\n' "$(stele-witness key "$W/w2")" "$dead" >>"$W/log/policy"
accepts "the log starts" serve
make_attestation "$W/builder" 0 20 >"$W/twenty"
status "20 entries" 200 "$(post "$W/twenty")"
make_attestation "$W/builder" 20 1 >"$W/one"
status "and one" 200 "$(post "$W/one")"
head -c 100 "$W/one" >"$W/bad"
status "and one that is malformed" 400 "$(post "$W/bad")"
# An answer is counted when it is out, a witness that is not there when the log has noticed.
answers() { curl -s "$(url log)/metrics" | sed -n 's/^stele_log_answer_seconds_count //p'; }
same "two were answered" 2 "$(soon 2 answers)"
until_above 'stele_log_witness_failures_total{witness="w2",kind="unreachable"}'
accepts "the log's metrics are well-formed" well_formed
cp "$W/metrics" "$W/whole"
for broken in 's/^# TYPE stele_log_tree_size.*//' 's/^\(stele_log_tree_size\) .*/\1 x/' 's/^\(stele_log_heads_total .*\)/\1\n\1/' \
    's/le="+Inf"} [0-9]*/le="+Inf"} 0/' 's/^stele_log_failed/stele_log_other/'; do
    sed "$broken" "$W/whole" >"$W/metrics"
    refuses "with $broken they are not" "line" well_formed
done
cp "$W/whole" "$W/metrics"

echo "# how fast"
same "submissions" 2 "$(value stele_log_submissions_total)"
same "refused" 1 "$(value 'stele_log_submissions_refused_total{status="400"}')"
same "entries" 21 "$(value stele_log_entries_total)"
same "commits" 2 "$(value stele_log_batches_total)"
same "published" 21 "$(value stele_log_published_size)"
above "heads" stele_log_heads_total
echo "# how long"
for what in read queued answer; do same "submissions that were timed: $what" "$([ $what = read ] && echo 3 || echo 2)" "$(value stele_log_${what}_seconds_count)"; done
same "commits that were timed" 2 "$(value stele_log_commit_seconds_count)"
for what in commit sign quorum answer; do above "which took time: $what" stele_log_${what}_seconds_sum; done
same "nothing waits" "0 0 0" "$(value stele_log_queue_age_seconds) $(value stele_log_waiting_age_seconds) $(value stele_log_behind_seconds)"
echo "# how full"
for what in data_bytes disk_free_bytes disk_floor_bytes queue_bytes_max http_connections http_connections_max; do above "$what" stele_log_$what; done
same "the queue" 0 "$(value stele_log_queue_submissions)"
same "no failure" 0 "$(value stele_log_failed)"
echo "# which witness is missing"
same "one cosigned all" 21 "$(value 'stele_log_witness_size{witness="w1"}')"
if [ -n "$(value 'stele_log_witness_last_success_age_seconds{witness="w1"}')" ]; then ok "lately"; else not_ok "lately"; fi
same "the other never" "" "$(value 'stele_log_witness_last_success_age_seconds{witness="w2"}')"
above "because it cannot be reached" 'stele_log_witness_failures_total{witness="w2",kind="unreachable"}'
same "and for no other reason" "0 0" \
    "$(value 'stele_log_witness_failures_total{witness="w2",kind="refused"}') $(value 'stele_log_witness_failures_total{witness="w2",kind="wrong"}')"
stop w1
make_attestation "$W/builder" 21 1 >"$W/late"
post "$W/late" >"$W/got" &
late=$!
until_above stele_log_waiting_submissions stele_log_waiting_age_seconds stele_log_behind_seconds
above "a submission waits for them" stele_log_waiting_submissions
above "since then" stele_log_waiting_age_seconds
above "a head is due" stele_log_behind_seconds
kill $late

echo "# a witness's"
start w1 stele-witness serve "$W/w1" --listen 127.0.0.1:0 || exit 1
scrape w1
accepts "a witness's metrics are well-formed" well_formed

echo "# what the log says of itself"
stop log
form='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z (info|warn|error) stele-log [a-z0-9-]+( [a-z][a-z0-9_-]*=("([^"\\]|\\.)*"|[^" ]*))* ?$'
same "every line is time, level, program, event and pairs" "" "$(grep -Ev "$form" "$W/run/log.err")"
for event in started witness-failed stopping stopped; do says "$event is said" " stele-log $event " "$W/run/log.err"; done
done_testing
