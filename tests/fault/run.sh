#!/bin/sh
# `make fault`: the fault tests (all, or those named) in their long form. `make check` runs them with FAULT=short: a test tells
# by $FAULT how much it is to try. The last line is "N passed, N failed[, N skipped]".
set -eu
cd "$(dirname "$0")/../.."
export STELE_BUILD="${STELE_BUILD:-$PWD/build/plain}" FAULT="${FAULT:-long}" PATIENCE_S="${PATIENCE_S:-7200}"
[ $# -gt 0 ] || set -- tests/fault/test_*.sh
exec tests/run.sh only "$@"
