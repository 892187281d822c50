#!/bin/sh
# Every parser has a fuzz target that calls it, and every target a corpus. TAP.
cd "$(dirname "$0")/../.." || exit 1
# What an operator types; and parts that are read through another parser alone, which has a target.
others='cli_parse headsfile_record_parse memory_head_parse'
n=0 failed=0
# result TEXT: one test; what is not so stands in $missing.
result() {
    n=$((n + 1))
    if [ -z "$missing" ]; then echo "ok $n - $1"; else
        echo "not ok $n - $1:$missing"
        failed=1
    fi
}
parsers=$(grep -hoE '\b[a-z0-9_]+_parse(_[a-z]+)?\(' lib/*.h lib/sys/*.h log/*.h witness/*.h client/*.h | tr -d '(' | sort -u)
missing=
[ "$(echo "$parsers" | wc -l)" -ge 30 ] || missing=" $parsers"
result "parsers were looked for"
missing=
for parser in $parsers; do
    case " $others " in *" $parser "*) continue ;; esac
    grep -qw "$parser" tests/fuzz/fuzz_*.c || missing="$missing $parser"
done
result "each is called by a fuzz target"
missing=
for target in tests/fuzz/fuzz_*.c; do
    corpus=tests/fuzz/corpus/$(basename "$target" .c | sed 's/^fuzz_//')
    [ -n "$(ls "$corpus" 2>/dev/null)" ] || missing="$missing $corpus"
done
result "each target has a corpus"
missing=
for corpus in tests/fuzz/corpus/*; do
    [ -e "tests/fuzz/fuzz_$(basename "$corpus").c" ] || missing="$missing $corpus"
done
result "each corpus has a target"
echo "1..$n"
exit $failed
