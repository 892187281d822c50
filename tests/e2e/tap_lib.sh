# Shared by the end-to-end tests: what is claimed, a line of TAP each. Read in by lib.sh.
# shellcheck shell=sh
tests_done=0
tests_failed=0

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

# at_least WHAT LEAST GOT
at_least() {
    if [ "${3:-0}" -ge "$2" ]; then ok "$1"; else not_ok "$1: ${3:-nothing}, less than $2"; fi
}

# at_most WHAT MOST GOT
at_most() {
    if [ "${3:-999999999}" -le "$2" ]; then ok "$1"; else not_ok "$1: ${3:-nothing}, more than $2"; fi
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

# soon_some COMMAND...: runs it until it prints something other than 0, for a minute; prints it.
soon_some() {
    tries=0
    until said=$("$@") && [ "${said:-0}" != 0 ] || [ $tries -gt 600 ]; do
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
    sed -n "/^## stele $1/,/^## /s/^| \(\`.*\`\) |.*/\1/p" "$here/../../spec/reports.md" | tr ', ' '\n\n' | grep . | tr -d '\`' |
        sort -u >"$W/explained"
    classes='attested|content-addressed|exempt|built-here|vouched|unexplained|contradicted|altered'
    jq -r '[.. | objects | keys[]] | unique[]' "$2" | grep -vxE "$classes" | grep -vxFf "$W/explained" >"$W/unexplained"
    same "every member of stele $1 --json stands in spec/reports.md" "" "$(cat "$W/unexplained")"
}

# done_testing: the plan, and the exit status.
done_testing() {
    echo "1..$tests_done"
    [ $tests_failed -eq 0 ]
}
