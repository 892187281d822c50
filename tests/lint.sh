#!/bin/sh
# Three readers of the source that look for bugs: gcc's -fanalyzer, clang-tidy (its checks: .clang-tidy) and cppcheck. Fails where
# one finds what tests/lint_exceptions.txt does not explain, and where an exception explains nothing any more.
#   lint.sh [SOURCE...]       these sources, or those of all programs
set -u
cd "$(dirname "$0")/.." || exit 1
out=build/lint
jobs=$(nproc 2>/dev/null || echo 2)
all=
[ $# -gt 0 ] || {
    all=yes
    set -- lib/*.c lib/sys/*.c log/*.c witness/*.c client/*.c
}

tests/packages/install.sh lint || exit 1

# What a failing function returns, the readers of one file cannot see: tests/lint.h tells them.
flags='-std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSTELE_VERSION="" -I. -include tests/lint.h'
# gcc 12 counts memory as lost that is put into a struct of the caller's; LeakSanitizer and clang-analyzer-unix look for leaks.
gcc_flags='-O1 -fanalyzer -Wno-analyzer-malloc-leak -c -o /dev/null'
# each COMMAND...: COMMAND SOURCE for every source, some at once
each() {
    printf '%s\n' $sources | xargs -P "$jobs" -I '{}' "$@" 2>&1
}
sources=$*
mkdir -p "$out"
# shellcheck disable=SC2086 # lists of words
{
    each gcc $flags $gcc_flags '{}' >"$out/gcc.txt"
    each clang-tidy --quiet '{}' -- $flags >"$out/clang-tidy.txt"
    cppcheck -q -j "$jobs" --std=c11 --enable=warning,performance,portability -I. '-DSTELE_VERSION=""' -D_POSIX_C_SOURCE=200809L \
        --template='{file}:{line}:{column}: warning: {message} [{id}]' $sources >"$out/cppcheck.txt" 2>&1
}

# A finding is "FILE:LINE:COLUMN: warning: TEXT [CHECK]"; an exception "FILE CHECK REASON...".
cat "$out/gcc.txt" "$out/clang-tidy.txt" "$out/cppcheck.txt" | sed "s|^$PWD/||" | sort -u |
    awk -v exceptions=tests/lint_exceptions.txt -v all="$all" -v read=$# '
        BEGIN {
            while ((getline line <exceptions) > 0)
                if (line !~ /^#/ && split(line, word, " ") > 2)
                    explained[word[1] " " word[2]] = 0
        }
        /^[^ :]+:[0-9]+:[0-9]+: (warning|error|fatal error): / || /^Error/ {
            file = check = $0
            sub(/:.*/, "", file)
            sub(/^.*\[/, "", check)
            sub(/\]$/, "", check)
            if ((file " " check) in explained) {
                explained[file " " check]++
            } else {
                print
                found++
            }
        }
        END {
            for (key in explained) {
                excepted += explained[key]
                if (all != "" && explained[key] == 0) {
                    print exceptions ": nothing is found any more of: " key
                    found++
                }
            }
            printf "%d sources read by gcc -fanalyzer, clang-tidy and cppcheck: %d findings, %d excepted\n", read, found, excepted
            exit found > 0
        }'
