/*
 * The table: what was found of each clause, and the exchange on the first failure of each. The requests of a run go through here,
 * one after the other, so that it has the newest.
 */
#ifndef CONFORMANCE_TABLE_H
#define CONFORMANCE_TABLE_H

#include "lib/sys/http_client.h"

#include "tests/conformance/clauses.h"

enum subject { WITNESS = 1, LOG = 2, BOTH = 3 };

extern struct http_response last; /* the newest answer; its status is 0, and its body says why, where none came */

/* Base URLs, without the slash at their end. Any header of a GET may be NULL. */
void table_start(struct http_client *client);
unsigned ask_get(const char *base, const char *path, const char *header);
unsigned ask_post(const char *base, const char *path, struct span body);

/* Do these bytes stand somewhere in the text? */
bool text_has(struct span text, const char *needle);

/* The clause holds in this case, or does not: the newest exchange is shown then. One case that fails fails the clause. */
void check(enum clause clause, bool held, const char *which_case);
/* It could not be tested, for this reason; what was tested before stands. */
void untested(enum clause clause, const char *reason);

/* Prints the table for a run against such a server. True where no MUST failed. */
bool table_print(enum subject subject);
void table_end(void);

#endif
