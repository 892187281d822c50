/*
 * The lexical rules that tlog-policy files, trust files and configuration files share (c2sp.org/tlog-policy, "Structure"
 * and "Character set"): lines of words separated by spaces and tabs; empty lines and lines whose first word starts with
 * '#' are skipped; the only control characters allowed are tab and newline.
 */
#ifndef STELE_LINES_H
#define STELE_LINES_H

#include "lib/bytes.h"

struct lines {
    struct span rest;
    const char *file; /* for errors: "FILE line N" */
    unsigned number;  /* of the line last returned, from 1 */
};

/* Checks the character set of the whole text. ERR_MALFORMED with file and line. */
enum err lines_start(struct lines *lines, struct span text, const char *file, struct why *why);
/* The next line with a word in it, its leading and trailing white space taken off; false at the end. */
bool lines_next(struct lines *lines, struct span *line);
/* Of a text that a program of ours wrote: all its lines, at most `max`, as strings where they lie; each ends with a newline, and there
 * is no NUL. ERR_MALFORMED, a sentence that wants what the text is in front. */
enum err lines_strings(struct buf *text, const char **lines, size_t max, size_t *n, struct why *why);
/* ERR_MALFORMED, with "FILE line N: " in front. */
enum err lines_fail(const struct lines *lines, struct why *why, const char *fmt, ...) STELE_PRINTF(3, 4);

#endif
