# Shared by the tests that run tests/conformance: its table as TAP. After lib.sh.
# shellcheck shell=sh
conformance() { "$STELE_BUILD/tests/conformance/conformance" "$@"; }
# table FILE: what it says of each MUST, a test each.
table() {
    awk '/^(pass|fail|not testable) +(MUST|SHALL)/ { print }' "$1" >"$W/musts"
    while read -r line; do
        case $line in
        pass*) ok "$(echo "$line" | tr -s ' ' | cut -d ' ' -f 2-)" ;;
        fail*) not_ok "$(echo "$line" | tr -s ' ' | cut -d ' ' -f 2-)" ;;
        esac
    done <"$W/musts"
    awk '/^[a-z0-9]/ { shown = /^fail/ } shown { print "# " $0 }' "$1"
}
# fails LEVEL FILE: what failed of a level.
fails() { sed -n "s/^fail  *$1  *//p" "$2" | sed 's/ ([0-9]* of [0-9]*)$//'; }
# open_musts FILE: the MUSTs that could not be tested, without those of clients, operators, ML-DSA-44 and sign-subtree.
open_musts() {
    sed -n 's/^not testable  *\(MUST\( NOT\)*\)  */\1: /p' "$1" |
        grep -Ev 'it binds (clients|operators)|ML-DSA-44'
}
