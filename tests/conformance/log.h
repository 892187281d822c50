/*
 * A tiled log, read as its monitors would: the clauses of tlog-tiles and tlog-checkpoint. Nothing is written to it.
 */
#ifndef CONFORMANCE_LOG_H
#define CONFORMANCE_LOG_H

#include "lib/note.h"

struct log_under_test {
    const char *prefix; /* its URL prefix without the closing slash */
    struct vkey key;
    const char *old;  /* a file with an older checkpoint of it, or NULL */
    uint64_t bundles; /* so many entry bundles at each end are read; tiles above them all */
};

void log_run(const struct log_under_test *log);

#endif
