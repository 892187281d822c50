/*
 * lib/sys/http_client.h without a network, for a fuzz target: what caches and logs answer is the input's.
 */
#ifndef STELE_TESTS_FUZZ_UPSTREAM_H
#define STELE_TESTS_FUZZ_UPSTREAM_H

#include "lib/bytes.h"

/* What a GET of a URL that ends in `suffix` brings; the last one is for every other GET and for what is posted. An answer starts
 * with a line of its status, else that is 200; one whose text is NULL is a 404. An error that starts with a brace is a problem's
 * details. */
struct upstream_answer {
    const char *suffix;
    struct span text;
};
void upstream_answers(const struct upstream_answer *answers, size_t n);

#endif
