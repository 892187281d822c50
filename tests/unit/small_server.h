/*
 * A server with limits that a test reaches soon, but for its patience, which the test gives: where that is not what is tested it is
 * long, for a machine that is busy. Include tests/unit/support.h first.
 */
#ifndef STELE_TESTS_SMALL_SERVER_H
#define STELE_TESTS_SMALL_SERVER_H

#include "lib/sys/http_server.h"

enum { LONG_S = 60 };

static inline struct http_server *small_server(void (*handle)(void *ctx, struct http_request *request), bool threads,
                                               unsigned request_timeout_s)
{
    struct http_server_config config = {
        .listen = "127.0.0.1:0",
        .thread_per_connection = threads,
        .threads = 2,
        .body_bytes_max = 1000,
        .connections_max = 100,
        .connections_per_ip_max = 50,
        .idle_timeout_s = 2 * request_timeout_s,
        .request_timeout_s = request_timeout_s,
        .handle = handle,
    };
    struct http_server *server = NULL;
    struct why why = { "" };
    assert_int_equal(http_server_start(&server, &config, &why), OK);
    return server;
}

#endif
