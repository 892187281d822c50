/*
 * A connection to an HTTP server in this process, which has neither a socket nor threads of its own: what is sent over it is parsed
 * and answered as it is over a network, some thousand times a second.
 */
#ifndef STELE_TESTS_FUZZ_WIRE_H
#define STELE_TESTS_FUZZ_WIRE_H

#include "lib/sys/http_server.h"

/* Sends the bytes, and nothing after them, and appends all that comes back until the server closes. The first call starts the
 * server, with this configuration's limits and handler; `handle` answers each request before it returns. */
void wire_talk(const struct http_server_config *config, struct span bytes, struct buf *replies);
/* The server; NULL before the first call. */
struct http_server *wire_server(void);

#endif
