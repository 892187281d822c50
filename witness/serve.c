/*
 * `stele-witness serve`: what is started in which order, and ended. The lock comes first, because two signers over one heads
 * file would each forget what the other signed; then the signer, forked before there is a thread or a socket.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/report.h"
#include "lib/sys/service.h"
#include "witness/commands.h"
#include "witness/config.h"
#include "witness/limits.h"
#include "witness/notes.h"
#include "witness/routes.h"

struct serving {
    char *dir;
    struct witness_config config;
    struct signer *signer;
    struct witness witness;
    bool logs_ready;
    struct notes_flusher *flusher;
    struct lists *lists;
    struct http_server *server;
    int socket; /* that was handed over; 0 for none */
    sigset_t signals;
};

static enum err start_signer(struct serving *serving, struct why *why)
{
    char *key = path_join(serving->dir, "key"), *heads = path_join(serving->dir, "heads");
    struct signer_config config = { .key_path = key, .heads_path = heads, .type = SIG_COSIGNATURE };
    enum err err =
        key == NULL || heads == NULL ? fail(why, ERR_ENV, "out of memory") : signer_start(&serving->signer, &config, why);
    free(key);
    free(heads);
    return err;
}

static enum err start_http(struct serving *serving, struct why *why)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct http_server_config config = {
        .listen = serving->config.listen,
        .listen_fd = serving->socket,
        .threads = cores < 2                  ? 2
                   : cores > HTTP_THREADS_MAX ? HTTP_THREADS_MAX
                                              : (unsigned)cores,
        .body_bytes_max = REQUEST_BYTES_MAX,
        .connections_max = HTTP_CONNECTIONS_MAX,
        .connections_per_ip_max = HTTP_CONNECTIONS_PER_IP_MAX,
        .idle_timeout_s = HTTP_IDLE_TIMEOUT_S,
        .request_timeout_s = HTTP_REQUEST_TIMEOUT_S,
        .handle = routes_handle,
        .ctx = &serving->witness,
    };
    enum err err = http_server_start(&serving->server, &config, why);
    if (err != OK)
        return err;
    printf("listening on http://%s\n", http_server_address(serving->server));
    fflush(stdout);
    return OK;
}

static enum err start_bastions(struct serving *serving, struct why *why)
{
    const struct witness_config *config = &serving->config;
    const struct bastions_config bastions = {
        .dir = serving->dir,
        .ca_file = config->bastion_ca,
        .own = &config->bastions,
        .of_lists = config->bastions_of_lists,
        .handle = routes_handle,
        .ctx = &serving->witness,
    };
    return bastions_start(&serving->witness.bastions, &bastions, why);
}

static enum err start(struct serving *serving, struct why *why)
{
    struct logs *logs = &serving->witness.logs;
    enum err err = dir_lock(serving->dir, LOCK_PATIENCE_MS, why);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = start_signer(serving, why);
    if (err != OK)
        return err;
    logs_init(logs, serving->dir, serving->signer, serving->config.qpd);
    serving->logs_ready = true;
    serving->witness.proxy = serving->config.proxy;
    uint64_t rate = serving->config.address_rate;
    err = rate == 0 ? OK : rate_new(&serving->witness.addresses, rate, rate * ADDRESS_BURST_SECONDS, why);
    if (err == OK)
        err = logs_load(logs, why);
    if (err == OK)
        err = notes_flusher_start(&serving->flusher, logs, why);
    if (err == OK)
        err = committer_start(&serving->witness.committer, logs, serving->config.heads_max, why);
    if (err == OK)
        err = start_bastions(serving, why); /* before HTTP: the page shows them */
    if (err == OK)
        err = start_http(serving, why);
    if (err == OK)
        report(REPORT_INFO, "started", "logs=%zu", logs->n);
    if (err == OK)
        err = lists_start(&serving->lists, logs, &serving->config.lists, serving->witness.bastions, why);
    return err;
}

/* A list's thread may be adding some. */
static size_t count_logs(struct logs *logs)
{
    pthread_rwlock_rdlock(&logs->lock);
    size_t n = logs->n;
    pthread_rwlock_unlock(&logs->lock);
    return n;
}

/* SIGHUP. What cannot be read leaves what was in use. */
static void reread(struct serving *serving)
{
    struct why why;
    if (logs_load(&serving->witness.logs, &why) == OK)
        report(REPORT_INFO, "logs-reread", "logs=%zu", count_logs(&serving->witness.logs));
    else
        report_why(REPORT_ERROR, "logs-not-reread", &why);
    lists_wake(serving->lists);
}

/* Nothing new is taken, what was taken is answered, what was said is written down. */
static void stop(void *ctx)
{
    struct serving *serving = ctx;
    lists_stop(serving->lists); /* which may take a while, in which others are served */
    if (serving->server != NULL)
        http_server_stop(serving->server, STOP_GRACE_MS);
    bastions_stop(serving->witness.bastions, STOP_GRACE_MS);
    committer_stop(serving->witness.committer);
    notes_flusher_stop(serving->flusher);
    if (serving->logs_ready)
        logs_free(&serving->witness.logs);
    rate_free(serving->witness.addresses);
    signer_stop(serving->signer);
    witness_config_free(&serving->config);
    free(serving->dir);
}

/* SIGCHLD. Without its signer the witness cosigns nothing, and a start is all that it wants: so it ends, as at SIGTERM, but with an
 * error, for the service manager to start it again. A signer that said why it ends, as when its disk fails, is the operator's. */
static enum err check_signer(const struct serving *serving, struct why *why)
{
    enum err err = signer_lives(serving->signer, why);
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
    struct serving serving = { .dir = span_dup_str(span_str(args.items[0])) };
    free(args.items);
    if (serving.dir == NULL)
        return fail(why, ERR_ENV, "out of memory");
    err = witness_config_load(&serving.config, serving.dir, why);
    if (err == OK)
        err = service_listen(listen, &serving.config.listen, &serving.socket, why);
    report_start("stele-witness", REPORT_INFO);
    service_block_signals(&serving.signals);
    files_open_many(); /* every connection is a descriptor */
    if (err == OK)
        err = start(&serving, why);
    int which = 0;
    while (err == OK && sigwait(&serving.signals, &which) == 0 && (which == SIGHUP || which == SIGCHLD)) {
        if (which == SIGCHLD) {
            err = check_signer(&serving, why);
            continue;
        }
        if (committer_is_due(serving.witness.committer))
            return service_start_anew("stele-witness", serving.dir, http_server_socket(serving.server), stop, &serving, why);
        reread(&serving);
    }
    if (err == OK)
        report(REPORT_INFO, "stopping", "signal=%d", which);
    stop(&serving);
    return err;
}
