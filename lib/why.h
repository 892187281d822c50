/*
 * How every function of Stele fails: an `enum err`, and a `struct why` that a person can act on.
 *
 * The values of `enum err` are the exit codes of the programs (CONTRIBUTING.md), so a command's main
 * function returns what the function that failed returned.
 */
#ifndef STELE_WHY_H
#define STELE_WHY_H

#include <stdarg.h>

enum err {
    OK = 0,
    ERR_REFUSED = 1,   /* the input is well formed and the answer is no */
    ERR_USAGE = 2,     /* the caller asked for something that does not exist */
    ERR_MALFORMED = 3, /* the input breaks its specification */
    ERR_ENV = 4,       /* disk, network, memory, a missing file */
};

/* What is wrong, where, and which rule says so, in one line without a final newline. */
struct why {
    char text[640];
};

#if defined(__GNUC__)
#define STELE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define STELE_PRINTF(fmt, args)
#endif

/* Sets `why` (which may be NULL) to the formatted text, cut where it is too long, and returns `err`, so that a
 * refusal is one statement. Control characters in the result, and what is no UTF-8, are replaced by '?': quoted input cannot forge
 * lines, nor keep a report from being JSON. */
enum err fail(struct why *why, enum err err, const char *fmt, ...) STELE_PRINTF(3, 4);

/* Puts the formatted text and ": " in front of what `why` says already, and returns `err`. */
enum err fail_in(struct why *why, enum err err, const char *fmt, ...) STELE_PRINTF(3, 4);

#endif
