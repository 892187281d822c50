/* `stele gate`: start, routes, end. */
#include "client/gate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/nixenv.h"
#include "lib/sys/report.h"
#include "lib/sys/service.h"

/* A web page that a browser on this machine shows must not talk to the gate: no cross-site marks, and only the Host that a
 * local Nix sends. */
static bool from_a_browser(const struct gate *gate, const struct http_request *request)
{
    if (http_request_header(request, "Origin") != NULL || http_request_header(request, "Referer") != NULL ||
        http_request_header(request, "Cookie") != NULL || http_request_has_any(request, "Sec-Fetch-"))
        return true;
    const char *host = http_request_header(request, "Host");
    char local[64];
    snprintf(local, sizeof local, "localhost:%u", http_server_port(gate->server));
    return host == NULL || (strcmp(host, local) != 0 && strcmp(host, http_server_address(gate->server)) != 0);
}

void gate_refuse(const struct gate *gate, struct http_request *request, bool known, const struct why *why)
{
    /* 404 lets Nix ask the next substituter or build; 451 stops it and shows the reason. 429 and 5xx would make Nix try
     * five times and give up altogether: never answered. */
    if (!known || gate->config->refuse_with == 404) {
        http_reply_problem(request, 404, 0, "%s", why->text);
        return;
    }
    char text[sizeof why->text + 64];
    snprintf(text, sizeof text, "refused by stele gate: %s\n", why->text);
    static const struct http_header headers[] = { { "Content-Type", "text/plain; charset=utf-8" }, { NULL, NULL } };
    http_reply(request, 451, headers, span_str(text));
}

static void send_cache_info(const struct gate *gate, struct http_request *request)
{
    char text[STORE_PATH_BYTES_MAX + 64];
    snprintf(text, sizeof text, "StoreDir: %s\nWantMassQuery: 1\nPriority: 30\n", gate->dir);
    static const struct http_header headers[] = { { "Content-Type", "text/x-nix-cache-info" }, { NULL, NULL } };
    http_reply(request, 200, headers, span_str(text));
}

static void send_narinfo(struct gate *gate, struct http_request *request, struct span hash_part)
{
    struct gate_path path = { 0 };
    struct why refusal;
    bool known;
    if (gate_resolve(gate, hash_part, NULL, &path, &known, &refusal) != OK) {
        gate_refuse(gate, request, known, &refusal);
        return;
    }
    static const struct http_header headers[] = { { "Content-Type", "text/x-nix-narinfo" }, { NULL, NULL } };
    gate_ahead_offer(gate->ahead, &path);
    http_reply_take(request, 200, headers, &path.narinfo);
    gate_path_free(&path);
}

/* "HASHPART-NARHASH": Nix remembers a narinfo for 30 days and then asks for the NAR alone, so it is judged here again, and
 * must still have the bytes that the URL names. */
static void send_nar(struct gate *gate, struct http_request *request, struct span name)
{
    struct hash nar_hash;
    struct why refusal = { "no such NAR" };
    if (name.len != HASH_PART_LEN + 1 + nix32_len(32) || name.data[HASH_PART_LEN] != '-' ||
        !storepath_hash_part_ok(span_cut(name, 0, HASH_PART_LEN)) ||
        !nix32_decode(span_cut(name, HASH_PART_LEN + 1, nix32_len(32)), nar_hash.b, sizeof nar_hash.b)) {
        gate_refuse(gate, request, false, &refusal);
        return;
    }
    gate_send_nar(gate, request, span_cut(name, 0, HASH_PART_LEN), &nar_hash);
}

void gate_handle(void *ctx, struct http_request *request)
{
    struct gate *gate = ctx;
    struct span path = http_path(request), rest = path;
    if (from_a_browser(gate, request)) {
        http_reply_problem(request, 403, 0, "this gate answers Nix on its own machine only");
    } else if (!span_is(http_method(request), "GET") && !span_is(http_method(request), "HEAD")) {
        http_reply_method(request, "GET, HEAD");
    } else if (span_is(path, "/nix-cache-info")) {
        send_cache_info(gate, request);
    } else if (path.len == 1 + HASH_PART_LEN + 8 && span_ends(path, ".narinfo") &&
               storepath_hash_part_ok(span_cut(path, 1, HASH_PART_LEN))) {
        send_narinfo(gate, request, span_cut(path, 1, HASH_PART_LEN));
    } else if (span_skip(&rest, "/nar/") && span_ends(rest, ".nar")) {
        send_nar(gate, request, span_cut(rest, 0, rest.len - 4));
    } else {
        /* Listings, logs and realisations are not attested: nothing passes unseen. */
        http_reply_problem(request, 404, 0, "the gate has nothing under this path");
    }
}

/* Would a start with the files as they are now succeed? */
static bool rereadable(const struct gate *gate)
{
    struct client_config config = { 0 };
    struct policy policy = { 0 };
    struct trust trust = { 0 };
    struct why why;
    enum err err = client_config_load(&config, gate->config->file, &why);
    if (err == OK)
        err = client_policy_load(&config, &policy, &why);
    if (err == OK)
        err = client_trust_load(&config, &trust, &why);
    if (err != OK)
        report_why(REPORT_ERROR, "not-reread", &why);
    trust_free(&trust);
    policy_free(&policy);
    client_config_free(&config);
    return err == OK;
}

static enum err serve(struct gate *gate, const sigset_t *signals, int *signal_seen, struct why *why)
{
    struct http_server_config config = {
        .listen = gate->config->listen,
        .listen_fd = gate->listen_fd,
        .thread_per_connection = true,
        .body_bytes_max = 0,
        .closes_for_5xx = true, /* Nix would try five times, and then give up altogether */
        .connections_max = GATE_CONNECTIONS_MAX,
        .connections_per_ip_max = GATE_CONNECTIONS_MAX,
        .idle_timeout_s = 60,
        .request_timeout_s = 30,
        .given_up = &gate->stopping,
        .handle = gate_handle,
        .ctx = gate,
    };
    enum err err = http_server_start(&gate->server, &config, why);
    if (err != OK)
        return err;
    printf("listening on http://%s\nthe gate's key: %s\n", http_server_address(gate->server), gate_signer_public_key(gate->signer));
    fflush(stdout);
    do
        sigwait(signals, signal_seen);
    while ((*signal_seen == SIGHUP && !rereadable(gate)) ||
           (*signal_seen == SIGCHLD && (err = gate_signer_lives(gate->signer, why)) == OK));
    if (err != OK) /* a start is all that is missing: the service manager's */
        report_why(REPORT_ERROR, "stopping", why);
    http_server_stop(gate->server, 5000);
    return err;
}

static enum err take_upstreams(struct gate *gate, struct why *why)
{
    gate->upstreams = calloc(gate->config->upstreams.n, sizeof *gate->upstreams);
    for (size_t i = 0; gate->upstreams != NULL && i < gate->config->upstreams.n; i++)
        gate->upstreams[i].url = gate->config->upstreams.items[i];
    return gate->upstreams == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

static enum err run(struct gate *gate, int *signal_seen, struct why *why)
{
    sigset_t signals;
    service_block_signals(&signals);
    files_open_many(); /* every connection is a few descriptors */
    char *proofs = path_join(gate->config->state, "proofs");
    enum err err = proofs == NULL ? fail(why, ERR_ENV, "out of memory") : dir_make(proofs, 0755, why);
    free(proofs);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = gate_signer_start(&gate->signer, gate->config, gate->dir, why);
    if (err == OK)
        err = client_policy_load(gate->config, &gate->policy, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = gate_keeper_start(&gate->keeper, gate->config, why);
    if (err == OK)
        err = gate_lookups_new(&gate->lookups, gate->config, &gate->policy, &gate->stopping, why);
    if (err == OK)
        err = take_upstreams(gate, why);
    if (err == OK)
        err = gate_ahead_start(&gate->ahead, gate, why);
    if (err == OK)
        err = serve(gate, &signals, signal_seen, why);
    gate->stopping = true;
    gate_ahead_stop(gate->ahead);
    gate_forget(gate);
    gate_close_idle(gate);
    gate_lookups_free(gate->lookups);
    gate_keeper_stop(gate->keeper);
    free(gate->upstreams);
    policy_free(&gate->policy);
    gate_signer_stop(gate->signer);
    gate->signer = NULL;
    return err;
}

enum err run_gate(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL, *listen = NULL;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--listen", "A:P", "the address to serve (default: the socket from systemd, or `listen`)", &listen, NULL },
        { 0 },
    };
    struct cli_args args = { 0 };
    struct client_config config = { 0 };
    char *instead = NULL; /* of the configuration's address */
    int signal_seen = 0, listen_fd;
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    if (err != OK)
        return err;
    report_start("stele-gate", REPORT_INFO);
    err = service_listen(listen, &instead, &listen_fd, why);
    while (err == OK) {
        struct nix_env nix = { 0 };
        struct gate gate = { .config = &config, .listen_fd = listen_fd, .lock = PTHREAD_MUTEX_INITIALIZER };
        client_config_free(&config);
        err = client_config_load(&config, config_file, why);
        if (err == OK && instead != NULL) {
            free(config.listen);
            config.listen = span_dup_str(span_str(instead));
            err = config.listen == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
        }
        if (err == OK && config.upstreams.n == 0)
            err = fail(why, ERR_ENV, "no `upstream URL` in the configuration: name the caches that the gate stands in front of");
        if (err == OK)
            err = nix_env_load(&nix, NULL, why);
        gate.dir = config.store_dir != NULL ? config.store_dir : nix.store_dir;
        if (err == OK)
            err = run(&gate, &signal_seen, why);
        nix_env_free(&nix);
        if (err != OK || signal_seen != SIGHUP)
            break;
        report(REPORT_INFO, "reread", "policy, trust file and configuration");
    }
    free(instead);
    client_config_free(&config);
    free(args.items);
    return err;
}
