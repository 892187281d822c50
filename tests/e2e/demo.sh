#!/bin/sh
# Tells the story of test_story.sh to a person, and sums it up. Takes the folder of the programs.
bin=$(cd "$1" && pwd)
started=$(date +%s)
STELE_BUILD=$(dirname "$bin") "$(dirname "$0")/test_story.sh" 2>&1 | awk -v started="$started" '
    BEGIN { print "Stele: substitute only what a builder you named has built, in public.\n" }
    /^# [0-9]+\. / { print "\n" substr($0, 3); next }
    /^# /          { print substr($0, 3); next }
    /^ok /         { sub(/^ok [0-9]+ - /, ""); print "   + " $0; ok++; next }
    /^not ok /     { sub(/^not ok [0-9]+ - /, ""); print "   - FAILED: " $0; bad++; next }
    /^1\.\./       { next }
                   { print "     " $0 }
    END {
        "date +%s" | getline now
        print "\nSummary"
        if (bad > 0 || ok == 0)
            print "  THE STORY DID NOT HOLD: see the steps marked FAILED. It should have been:"
        print "  accepted: what the builder built, attested, logged under two witnesses, and the cache served unchanged"
        print "  refused:  a path added by hand and signed by the cache; swapped bytes, signed again; a log that one witness saw"
        print "  found:    a path registered by hand in the store"
        printf "  %d steps held, %d failed, in %d s\n", ok, bad, now - started
        exit bad > 0 || ok == 0
    }'
