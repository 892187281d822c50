/*
 * What a program says to its operator: one line an event on stderr, "TIME LEVEL PROGRAM event key=value …", safe to call
 * from any thread. Values with spaces or quotes are quoted; control characters never pass.
 */
#ifndef STELE_SYS_REPORT_H
#define STELE_SYS_REPORT_H

#include "lib/why.h"

enum report_level { REPORT_INFO, REPORT_WARN, REPORT_ERROR };

/* `program` is shown in each line. Lines below `least` are left out. */
void report_start(const char *program, enum report_level least);
/* `fmt` gives "key=value …" pairs, already quoted where need be by report_quote. */
void report(enum report_level level, const char *event, const char *fmt, ...) STELE_PRINTF(3, 4);
/* `text` as a quoted value in a buffer of the calling thread, valid until its fourth call from then. */
const char *report_quote(const char *text);
/* report(level, event, "why=…"). */
void report_why(enum report_level level, const char *event, const struct why *why);

#endif
