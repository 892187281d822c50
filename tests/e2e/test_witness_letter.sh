#!/bin/sh
# tlog-witness, sentence by sentence: tests/e2e/witness_letter.c. TAP.
. "$(dirname "$0")/lib.sh"
world
"$STELE_BUILD/tests/e2e/witness_letter" "$W"
