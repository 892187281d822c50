#!/bin/sh
# One TAP test: a fuzz target over its committed corpus. An empty corpus is a failure.
program=$1
name=$(basename "$program")
corpus=$(dirname "$0")/corpus/${name#fuzz_}
set -- "$corpus"/*
if [ ! -e "$1" ]; then
    echo "not ok 1 - $name has no corpus in $corpus"
elif "$program" "$@"; then
    echo "ok 1 - $name over $# inputs"
else
    echo "not ok 1 - $name over $# inputs"
fi
