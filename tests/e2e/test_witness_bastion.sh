#!/bin/sh
# A witness behind NAT: reached through a bastion, by the same routes as over HTTP/1.1. tests/e2e/witness_bastion.c. TAP.
. "$(dirname "$0")/lib.sh"
world
"$STELE_BUILD/tests/e2e/witness_bastion" "$W"
