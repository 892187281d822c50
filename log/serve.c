/*
 * `stele-log serve`: what is started in which order, and ended. The lock comes first, because two signers over one heads
 * file would each forget what the other signed; then the signer, forked before there is a thread, a socket or a database.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"
#include "lib/sys/report.h"
#include "lib/sys/service.h"
#include "log/commands.h"
#include "log/entry.h"
#include "log/folder.h"
#include "log/limits.h"
#include "log/routes.h"

enum { STOP_EXTRA_MS = 2000 };

struct serving {
    struct log_config config;
    struct pipeline pipeline;
    struct routes routes;
    struct http_server *server;
    int socket; /* that was handed over; 0 for none */
    bool pipeline_started;
    struct buf key_text, frozen;
    struct vkey key;
    sigset_t signals;
};

/* A copy that `stele-log backup` made, or a log that lost what its signer remembers: how to go on. */
static enum err check_signer_files(const struct serving *serving, struct why *why)
{
    const char *dir = serving->config.dir;
    bool key, heads = false;
    enum err err = folder_has(&serving->config, "key", &key, why);
    if (err == OK)
        err = folder_has(&serving->config, "heads", &heads, why);
    if (err != OK || heads)
        return err;
    if (!key)
        return fail(
            why, ERR_REFUSED,
            "%s has neither the log's key nor its heads: it is a copy. To go on from it, put in both from the log's folder; "
            "where heads was lost, put in key and run `stele-log recover %s --from URL`",
            dir, dir);
    return fail(why, ERR_REFUSED,
                "%s/heads is missing: put back the file that belongs to this key, never an old one. Where it was lost, `stele-log "
                "recover %s --from URL` takes the newest head from a copy of the log or from a witness",
                dir, dir);
}

static enum err start_signer(struct serving *serving, struct why *why)
{
    char *key = path_join(serving->config.dir, "key"), *heads = path_join(serving->config.dir, "heads");
    struct signer_config config = { .key_path = key, .heads_path = heads, .type = SIG_ED25519, .growth_max = GROWTH_MAX };
    enum err err =
        key == NULL || heads == NULL ? fail(why, ERR_ENV, "out of memory") : signer_start(&serving->pipeline.signer, &config, why);
    if (err == OK && !span_is(signer_key(serving->pipeline.signer)->name, serving->config.origin))
        err = fail(why, ERR_REFUSED, "%s is the key of %.*s, not of the configured origin %s", key,
                   SPAN_FMT(signer_key(serving->pipeline.signer)->name), serving->config.origin);
    if (err == OK)
        serving->pipeline.key = signer_key(serving->pipeline.signer);
    free(key);
    free(heads);
    return err;
}

/* A frozen log needs no key: its signer is not started. */
static enum err load_frozen(struct serving *serving, struct why *why)
{
    bool frozen;
    enum err err = folder_frozen(&serving->config, &serving->frozen, &frozen, why);
    if (err != OK || !frozen)
        return err;
    buf_byte(&serving->frozen, '\0');
    err = buf_done(&serving->frozen, why);
    if (err == OK)
        err = folder_key(&serving->config, &serving->key_text, &serving->key, why);
    if (err != OK)
        return err;
    serving->pipeline.frozen = (const char *)serving->frozen.data;
    serving->pipeline.key = &serving->key;
    report(REPORT_INFO, "frozen", "why=%s", report_quote(serving->pipeline.frozen));
    return OK;
}

static enum err load_policy(const struct serving *serving, struct policy **out, struct why *why)
{
    struct policy *policy = calloc(1, sizeof *policy);
    enum err err = policy == NULL ? fail(why, ERR_ENV, "out of memory") : log_policy_load(&serving->config, policy, why);
    if (err != OK)
        free(policy);
    else
        *out = policy;
    return err;
}

static enum err load_builders(const struct serving *serving, struct builders **out, struct why *why)
{
    struct builders *builders = calloc(1, sizeof *builders);
    enum err err = builders == NULL ? fail(why, ERR_ENV, "out of memory") : builders_load(&serving->config, builders, why);
    if (err != OK)
        free(builders);
    else
        *out = builders;
    return err;
}

static enum err start_admission(struct serving *serving, struct why *why)
{
    struct builders *builders = NULL;
    enum err err = load_builders(serving, &builders, why);
    if (err == OK && (err = admission_start(&serving->routes.admission, &serving->config, builders, why)) != OK) {
        builders_free(builders);
        free(builders);
    }
    return err;
}

static enum err start_http(struct serving *serving, struct why *why)
{
    /* Half of the cores: the verifiers have them all, and what an HTTP thread does itself is quick. */
    long threads = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    struct http_server_config config = {
        .listen = serving->config.listen,
        .listen_fd = serving->socket,
        .threads = threads < 1                  ? 1
                   : threads > HTTP_THREADS_MAX ? HTTP_THREADS_MAX
                                                : (unsigned)threads,
        .body_bytes_max = SUBMISSION_BYTES_MAX,
        .connections_max = (unsigned)serving->config.connections_max,
        .connections_per_ip_max = (unsigned)serving->config.connections_per_ip_max,
        .idle_timeout_s = HTTP_IDLE_TIMEOUT_S,
        .request_timeout_s = HTTP_REQUEST_TIMEOUT_S,
        .handle = routes_handle,
        .ctx = &serving->routes,
    };
    enum err err = http_server_start(&serving->server, &config, why);
    serving->routes.server = serving->server;
    return err;
}

static void announce(const struct serving *serving)
{
    const char *address = http_server_address(serving->server);
    printf("listening on http://%s\n", address);
    fflush(stdout);
    report(REPORT_INFO, "started", "size=%llu listen=%s", (unsigned long long)store_size(serving->pipeline.store), address);
}

static enum err start(struct serving *serving, struct why *why)
{
    struct pipeline *pipeline = &serving->pipeline;
    struct policy *policy = NULL;
    struct store_config store_config = {
        .dir = serving->config.dir, .origin = span_str(serving->config.origin), .describe = entry_read, .undescribe = entry_free
    };
    enum err err = dir_lock(serving->config.dir, LOCK_PATIENCE_MS, why);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = load_frozen(serving, why);
    if (err == OK && pipeline->frozen == NULL)
        err = check_signer_files(serving, why);
    if (err == OK && pipeline->frozen == NULL)
        err = start_signer(serving, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = start_admission(serving, why);
    if (err == OK)
        err = store_open(&pipeline->store, &store_config, why);
    if (err == OK && ((pipeline->published = published_new()) == NULL || (serving->routes.hot = hot_new()) == NULL))
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = load_policy(serving, &policy, why);
    if (err == OK)
        err = pipeline_start(pipeline, policy, why);
    if (err != OK)
        return err;
    serving->pipeline_started = true;
    err = workers_start(&serving->routes.lookups, LOOKUP_THREADS, HTTP_CONNECTIONS_LIMIT, NULL, NULL, why);
    if (err == OK && (err = start_http(serving, why)) == OK)
        announce(serving);
    return err;
}

/* SIGHUP. What cannot be read leaves what was in use. */
static void reread(struct serving *serving)
{
    struct why why;
    struct policy *policy;
    struct builders *builders;
    if (load_builders(serving, &builders, &why) == OK) {
        report(REPORT_INFO, "builders", "listed=%zu open=%s", builders->n, builders->open ? "yes" : "no");
        admission_use_builders(&serving->routes.admission, builders);
    } else {
        report_why(REPORT_ERROR, "builders-not-reread", &why);
    }
    if (load_policy(serving, &policy, &why) == OK)
        pipeline_use_policy(&serving->pipeline, policy);
    else
        report_why(REPORT_ERROR, "policy-not-reread", &why);
}

/* SIGTERM: nothing new is taken, what was taken is answered: each has its deadline. */
static void stop(void *ctx)
{
    struct serving *serving = ctx;
    if (serving->pipeline_started)
        pipeline_drain(&serving->pipeline);
    if (serving->server != NULL)
        http_server_stop(serving->server, (unsigned)pipeline_patience_ms(&serving->pipeline) + STOP_EXTRA_MS);
    admission_stop(&serving->routes.admission);
    workers_stop(serving->routes.lookups);
    if (serving->pipeline_started)
        pipeline_stop(&serving->pipeline);
    published_free(serving->pipeline.published);
    hot_free(serving->routes.hot);
    routes_free_caches(&serving->routes);
    store_close(serving->pipeline.store);
    signer_stop(serving->pipeline.signer);
    buf_free(&serving->key_text);
    buf_free(&serving->frozen);
    log_config_free(&serving->config);
}

/* SIGCHLD. Without its signer the log can answer little, and a start is all that it wants: so it ends, as at SIGTERM, but with an
 * error, for the service manager to start it again. A signer that said why it ends, as when its disk fails, is the operator's. */
static enum err check_signer(const struct serving *serving, struct why *why)
{
    enum err err = serving->pipeline.signer == NULL ? OK : signer_lives(serving->pipeline.signer, why);
    if (err != OK)
        report_why(REPORT_ERROR, "stopping", why);
    return err;
}

enum err cmd_serve(int argc, char **argv, struct why *why)
{
    const char *listen = NULL;
    const struct cli_option options[] = {
        { "--listen", "A:P", "address and port, instead of the configuration's; port 0 takes a free one", &listen, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    struct serving serving = { 0 };
    err = log_config_load(&serving.config, args.items[0], why);
    free(args.items);
    if (err == OK)
        err = service_listen(listen, &serving.config.listen, &serving.socket, why);
    if (err != OK) {
        log_config_free(&serving.config);
        return err;
    }
    serving.pipeline.config = &serving.config;
    serving.routes.pipeline = &serving.pipeline;
    report_start("stele-log", REPORT_INFO);
    service_block_signals(&serving.signals);
    files_open_many(); /* every connection is a descriptor */
    err = start(&serving, why);
    int which = 0;
    while (err == OK && sigwait(&serving.signals, &which) == 0 && (which == SIGHUP || which == SIGCHLD)) {
        if (which == SIGCHLD) {
            err = check_signer(&serving, why);
            continue;
        }
        if (atomic_load(&serving.pipeline.heads_due))
            return service_start_anew("stele-log", serving.config.dir, http_server_socket(serving.server), stop, &serving, why);
        reread(&serving);
    }
    if (err == OK)
        report(REPORT_INFO, "stopping", "signal=%d size=%llu", which, (unsigned long long)store_size(serving.pipeline.store));
    stop(&serving);
    if (err == OK)
        report(REPORT_INFO, "stopped", "signal=%d", which);
    return err;
}
