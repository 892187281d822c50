/*
 * What net.c shares with http_server.c and http_client.c, which stand for those of lib/sys.
 */
#ifndef STELE_TESTS_SIM_NET_H
#define STELE_TESTS_SIM_NET_H

#include "tests/sim/sim.h"

/* One request as it arrives; the server's until it is answered. */
struct http_request {
    struct machine *machine;
    unsigned life; /* of the machine's process that has it */
    struct buf path, query, body;
    const char *method;
    bool answered, dropped;
    unsigned status;
    uint64_t retry_after_s;
    struct buf reply;
    char query_value[8192];
};

/* What somebody asked for, and what came of it. */
struct exchange {
    struct machine *to;
    struct buf path, body;
    const char *method;
    bool done;
    void *wakes;
    struct sim_reply reply;
};

/* `memory`, which must not be NULL. */
void *net_need(void *memory);
/* Sends a request to `url`, "http://MACHINE:PORT/path"; when it is done, whoever waits for `wakes` (NULL: the exchange) runs. */
struct exchange *net_begin(const char *url, const char *method, const struct span *body, void *wakes);

#endif
