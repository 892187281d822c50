#!/bin/sh
# `stele trust`: a trust file and its policy in words, and their mistakes, each beside a file without it. Revocations are looked up
# in a real log. TAP.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/log_lib.sh"

new_log
new_witness w || exit 1
under w
serve || exit 1
status "three attestations are logged" 200 "$(post "$W/many")"

witness() { stele keygen "$1.example" --out "$W/$1.key" --type witness >/dev/null 2>&1 && echo "witness $1 $(cat "$W/$1.key.pub")"; }
w1=$(witness w1) w2=$(witness w2) w3=$(witness w3) w4=$(witness w4)
# policy LINE...: the log with its address, and what LINEs say.
policy() { { echo "log $(stele-log key "$W/log") $(url log)" && printf '%s\n' "$@"; } >"$W/policy"; }
# trust LINE...: two builders, one of which has logged, and a cache.
trust() {
    printf 'builder ci %s\nbuilder friend %s\ncache c cache.example-1:Sv8uMP4JOsvPCDEfUAGRYdwMBhDVHZbVTEIUjn7QFEA=\n' \
        "$(cat "$W/builder.pub")" "$(cat "$W/other.pub")" >"$W/trust"
    printf '%s\n' "$@" >>"$W/trust"
}
printf 'policy policy\ntrust trust\nstate state\n' >"$W/stele.conf"
export STELE_CONFIG="$W/stele.conf"
: >"$W/empty"
w="witness w $(stele-witness key "$W/w")"

policy "$w" "quorum w"
trust "group both all ci friend" "group any-of-them any ci friend c" "quorum any-of-them" "quorum both acme-*" "exempt linux-firmware-*" \
    "backfill accept before 9 $origin"
accepts "a file without a mistake" stele trust
says "who may build" "^ci is a builder with the key ci.example/builder\+" "$W/out"
says "what a cache says" "^c is a cache with the key cache.example-1: what it signs it served" "$W/out"
says "who must agree" "^A path named like acme-\* needs all of ci, friend" "$W/out"
says "by default" "^Every other path needs any of ci, friend, c" "$W/out"
says "what is exempt" "^A path named like linux-firmware-\* passes without any attestation" "$W/out"
says "the rest of the rule" "^Backfills count that were logged in $origin below index 9" "$W/out"
says "and which logs and witnesses" "^Attestations count in the log $origin, which is asked at http" "$W/out"
accepts "the same as JSON" sh -c "stele trust --json | grep -q '\"words\": \['"
accepts "a file that is named, without any configuration" stele trust --config "$W/empty" "$W/trust"
says "says that there is no policy" "^No policy is configured" "$W/out"

# mistake WHAT REGEX LINE...
mistake() {
    what=$1 regex=$2
    shift 2
    trust "$@"
    refuses "$what" "MISTAKE: $regex" stele trust
}
mistake "a quorum that cannot be met" "line 5: the quorum .both. cannot be met" "group both all ci friend" "quorum both" "revoke ci"
mistake "a glob that is never reached" "line 6: the glob acme-web is never reached: line 7" "group any-of-them any ci friend" \
    "quorum any-of-them" "quorum ci acme-web" "quorum friend acme-*"
mistake "a builder that no quorum asks" "the builder friend is named, but no quorum asks it" "quorum ci"
mistake "a demand that an exemption undoes" "line 6 demands attestations of acme-\*, and .exempt \*-\*. lets" "group g any ci friend" \
    "quorum g" "quorum ci acme-*" "exempt *-*"
mistake "an origin that the policy does not name" "revoke ci: the policy names no log other.example" "group g any ci friend" "quorum g" \
    "revoke ci from 5 other.example"
mistake "a revocation of what nobody logged" "revoke friend: it has logged nothing in $origin" "group g any ci friend" "quorum g" \
    "revoke friend from 0 $origin" "group h any ci"
trust "group g any ci friend" "quorum g" "revoke ci from 150 $origin"
accepts "the control: a revocation in the middle of what was logged" stele trust
mistake "a revocation above all that was logged" "revoke ci from 5000: it has logged nothing there at this index" "group g any ci friend" \
    "quorum g" "revoke ci from 5000 $origin"
accepts "offline the log is not asked" stele trust --offline
trust "group g any ci friend" "quorum g" "divergence refuse"
accepts "divergence refuse, with the log's address" stele trust

echo "# policies"
trust "group g any ci friend" "quorum g"
policy "quorum none"
refuses "no witness is asked" "MISTAKE: the policy says .quorum none" stele trust
policy "$w1" "$w2" "$w3" "group g 2 w1 w2 w3" "quorum g"
accepts "a majority has no two disjoint sets" stele trust
policy "$w1" "$w2" "$w3" "$w4" "group g 2 w1 w2 w3 w4" "quorum g"
refuses "half of them has" "MISTAKE: two sets of witnesses without a common one satisfy the policy \(w1, w2; and w3, w4\)" stele trust
policy "$w1" "$w2" "$w3" "$w4" "group a all w1 w2" "group b all w3 w4" "group g any a b" "quorum g"
refuses "so has one of two groups" "MISTAKE: two sets of witnesses without a common one satisfy the policy \(w1, w2; and w3, w4\)" stele trust
policy "$w1" "$w2" "quorum w1"
accepts "a witness that is not asked is a note" stele trust
says "and no mistake" "^note: the witness w2 is named, but the quorum does not ask it" "$W/out"
{ echo "log $(stele-log key "$W/log")" && printf '%s\nquorum w1\n' "$w1"; } >"$W/policy"
accepts "a log without an address" stele trust
trust "group g any ci friend" "quorum g" "divergence refuse"
refuses "with divergence refuse: nothing could ever pass" "MISTAKE: .divergence refuse. refuses every path" stele trust

echo "# files that are none"
echo nonsense >"$W/trust"
"$STELE_BUILD/bin/stele" trust >"$W/out" 2>&1
same "a file that breaks its form is malformed" 3 $?
says "and says where" "trust line 1: .nonsense. is none of" "$W/out"
stele trust "$W/nothing" >"$W/out" 2>&1
same "a file that is not there" 4 $?
stele trust --config "$W/empty" >"$W/out" 2>&1
same "no file at all" 2 $?
done_testing
