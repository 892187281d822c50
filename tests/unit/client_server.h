/*
 * A server on a free port of loopback that redirects, is silent, and answers all else by the `handle` of the test which includes
 * this; and the proxies of this machine put aside: for the tests of http_client.h. Include tests/unit/support.h first.
 */
#ifndef STELE_TESTS_CLIENT_SERVER_H
#define STELE_TESTS_CLIENT_SERVER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/http_client.h"
#include "lib/sys/http_server.h"

static struct http_server *server;
static _Atomic bool leaving;        /* set at the end: whoever says nothing until then returns */
static _Atomic unsigned redirected; /* requests that followed a redirect */

static void handle(void *ctx, struct http_request *request);

/* The URL of a path there. Good until this thread has made four more. */
static const char *at(const char *path)
{
    static _Thread_local char text[4][256];
    static _Thread_local unsigned next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "http://127.0.0.1:%u%s", http_server_port(server), path);
    return out;
}

static void handle_first(void *ctx, struct http_request *request)
{
    struct span path = http_path(request);
    if (span_is(path, "/redirect")) {
        http_reply(request, 302, (struct http_header[]){ { "Location", at("/target") }, { NULL, NULL } }, span_str("elsewhere"));
    } else if (span_is(path, "/target")) {
        redirected++;
        http_reply(request, 200, NULL, span_str("target"));
    } else if (span_is(path, "/silent")) {
        while (!leaving)
            usleep(1000);
        http_reply(request, 200, NULL, span_str("slow"));
    } else {
        handle(ctx, request);
    }
}

/* For cmocka_run_group_tests. */
static int server_setup(void **state)
{
    struct why why = { "" };
    struct http_server_config config = {
        .listen = "127.0.0.1:0",
        .thread_per_connection = true,
        .body_bytes_max = 1 << 20,
        .connections_max = 100,
        .connections_per_ip_max = 100,
        .idle_timeout_s = 60,
        .request_timeout_s = 60,
        .handle = handle_first,
    };
    (void)state;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (http_client_system_start(&why) != OK || http_server_start(&server, &config, &why) != OK) {
        print_error("%s\n", why.text);
        return 1;
    }
    return 0;
}

static int server_teardown(void **state)
{
    (void)state;
    leaving = true;
    http_server_stop(server, 1000);
    return 0;
}

#endif
