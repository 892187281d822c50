/* `stele deliver`: the outbox to the logs, the proofs back. Once, as a daemon, or started by a systemd path unit. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "client/delivery.h"
#include "client/delivery_report.h"
#include "client/ticket.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum {
    ONCE_FOR_S = 30, /* --once gives up after so long, unless --for says otherwise */
    FOR_S_MAX = 10 * 365 * 86400,
    ANSWER_WITHIN_MS = 120000, /* a log's answer, the upload included */
    ANSWER_LEAST_MS = 5000,    /* likewise, however little --for leaves */
    LOOK_EVERY_MS = 2000,      /* the daemon's look at an empty outbox */
    TICKETS_FOR_MS = 1000,     /* so long tickets are redeemed, then it is the letters' turn again */
    LOCK_WAIT_MS = 500,
};

static volatile sig_atomic_t reload;

static void on_signal(int signal)
{
    if (signal == SIGHUP)
        reload = 1;
    else
        delivery_stopped = 1;
}

/* Until then, or a signal. */
static void pause_until(uint64_t ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (delivery_stopped || reload || ms <= now_ms)
        return;
    struct timespec time = { (time_t)((ms - now_ms) / 1000), (long)((ms - now_ms) % 1000) * 1000000 };
    nanosleep(&time, NULL);
}

/* The next name of the round: first the one that the last batch had no room for. NULL where there is none. */
static enum err next_name(struct worker *worker, char **name, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    enum err err = OK;
    *name = worker->left_over;
    worker->left_over = NULL;
    if (*name != NULL)
        return OK;
    pthread_mutex_lock(&delivery->round_lock);
    if (round_wants_more(&delivery->round)) {
        pthread_mutex_lock(&delivery->lock);
        delivery->deferred_seen = delivery->deferred;
        pthread_mutex_unlock(&delivery->lock);
        err = round_more(&delivery->round, delivery->config.outbox, &delivery->deferred_seen, why);
    }
    if (err == OK)
        *name = round_take(&delivery->round);
    pthread_mutex_unlock(&delivery->round_lock);
    return err;
}

/* A letter that cannot be read waits, and holds up no other. */
static void wait_unread(struct delivery *delivery, const char *name, const struct why *reason)
{
    fprintf(stderr, "%s waits: %s\n", name, reason->text);
    pthread_mutex_lock(&delivery->lock);
    delivery->why_waiting = *reason;
    deferred_add(&delivery->deferred, name, LETTER_AGAIN_FIRST_MS, LETTER_AGAIN_MAX_MS);
    pthread_mutex_unlock(&delivery->lock);
}

/* The next letters of the round as a batch. What is no attestation is set aside. */
static enum err fill_batch(struct worker *worker, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    enum err err = OK;
    char *name = NULL;
    bool full = false;
    batch_clear(&worker->batch);
    pthread_mutex_lock(&delivery->lock);
    worker->batch.bytes_max = delivery->batch_bytes;
    size_t letters_max = delivery->batch_letters;
    pthread_mutex_unlock(&delivery->lock);
    while (err == OK && !full && worker->batch.n < letters_max && (err = next_name(worker, &name, why)) == OK && name != NULL) {
        struct why reason;
        enum err taken = batch_take(&worker->batch, delivery->config.outbox, name, &full, &reason);
        if (taken == ERR_MALFORMED)
            err = delivery_set_aside(delivery, name, reason.text, why);
        else if (taken != OK)
            wait_unread(delivery, name, &reason);
        if (full)
            worker->left_over = name;
        else
            free(name);
    }
    batch_seal(&worker->batch);
    return err;
}

/* Batch after batch, until the round has none left or no log is there to take one. */
static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct delivery *delivery = worker->delivery;
    worker->err = OK;
    do {
        worker->err = fill_batch(worker, &worker->why);
        if (worker->err == OK && worker->batch.n > 0)
            worker->err = delivery_send(worker, &worker->why);
    } while (worker->err == OK && worker->batch.n > 0 && !delivery_stopped && delivery_logs_due_ms(delivery) == 0);
    free(worker->left_over);
    worker->left_over = NULL;
    return NULL;
}

/* As many workers as there are batches; a lone one works in this thread. */
static enum err work_round(struct worker *workers, struct why *why)
{
    struct delivery *delivery = workers[0].delivery;
    size_t wanted = delivery->round.n / delivery->batch_letters + 1, n = wanted < WORKERS_MAX ? wanted : WORKERS_MAX, started = 1;
    enum err err = OK;
    for (; started < n; started++)
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    work(&workers[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < started && err == OK; i++)
        if ((err = workers[i].err) != OK)
            *why = workers[i].why;
    return err;
}

static enum err load_config(struct delivery *delivery, const char *config_file, struct why *why)
{
    struct client_config config = { 0 };
    struct policy policy = { 0 };
    enum err err = client_config_load(&config, config_file, why);
    if (err == OK)
        err = client_policy_load(&config, &policy, why);
    if (err == OK && delivery->config.outbox != NULL && strcmp(config.outbox, delivery->config.outbox) != 0)
        err = fail(why, ERR_USAGE, "another outbox is taken up by a restart alone");
    if (err != OK) {
        policy_free(&policy);
        client_config_free(&config);
        return err;
    }
    policy_free(&delivery->policy);
    client_config_free(&delivery->config);
    delivery->config = config;
    delivery->policy = policy;
    return delivery_logs_open(delivery, why);
}

/* SIGHUP: a new policy, where it is one. */
static void load_again(struct delivery *delivery, const char *config_file)
{
    struct why why;
    reload = 0;
    if (load_config(delivery, config_file, &why) != OK)
        fprintf(stderr, "the configuration stays as it was: %s\n", why.text);
    else
        fprintf(stderr, "the configuration was read again\n");
}

/* What waits, where something does. False, and `why` set, where --once gives up. */
static enum err wait_for_next(struct delivery *delivery, const struct tickets *tickets, bool once, size_t *told, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms(), next_ms = delivery_logs_due_ms(delivery);
    if (next_ms == 0)
        next_ms = delivery->round.due_ms > 0 ? delivery->round.due_ms : now_ms + LOOK_EVERY_MS;
    if (delivery->round.waiting > 0 && (*told != delivery->round.waiting || next_ms > now_ms + LOOK_EVERY_MS))
        fprintf(stderr, "%zu wait: %s\n", delivery->round.waiting, delivery->why_waiting.text);
    *told = delivery->round.waiting;
    bool hopeless = delivery->round.waiting == 0 && tickets->left > 0;
    if (once && hopeless)
        return fail(why, ERR_ENV, "%zu tickets still wait in %s/tickets: %s", tickets->left, delivery->config.outbox,
                    tickets->why_left.text);
    if (once && next_ms >= delivery->deadline_ms)
        return fail(why, ERR_ENV, "%zu attestations still wait in %s: %s", delivery->round.waiting, delivery->config.outbox,
                    delivery->why_waiting.text);
    if (next_ms > now_ms + LOOK_EVERY_MS && delivery->round.waiting == 0)
        next_ms = now_ms + LOOK_EVERY_MS;
    pause_until(next_ms);
    return OK;
}

/* When the deliverer before this one delivered last. */
static void delivered_before(struct delivery *delivery)
{
    struct buf text = BUF_EMPTY;
    struct delivery_line line;
    struct span rest, one;
    struct why why;
    char *path = path_join(delivery->config.state, "delivery");
    if (path != NULL && file_read(path, DELIVERY_REPORT_BYTES_MAX, &text, &why) == OK)
        for (rest = span_buf(&text); span_line(&rest, &one);)
            if (delivery_line_parse(&line, one) && line.word == DELIVERED_AT)
                delivery->delivered_s = line.time_s;
    buf_free(&text);
    free(path);
}

/* For `stele status`, where it is other than last time. */
static void keep_report(struct delivery *delivery)
{
    struct buf text = BUF_EMPTY;
    struct why why;
    delivery_line_render(&text, &(struct delivery_line){ .word = DELIVERED_AT, .time_s = delivery->delivered_s });
    for (size_t i = 0; i < delivery->logs_n; i++) {
        const struct delivery_log *log = &delivery->logs[i];
        struct span reason = span_str(log->failing ? log->why.text : "");
        delivery_line_render(&text, &(struct delivery_line){ .word = DELIVERY_LOG, .url = log->url, .why = reason });
    }
    struct span waiting = span_str(delivery->why_waiting.text);
    if (waiting.len > 0)
        delivery_line_render(&text, &(struct delivery_line){ .word = DELIVERY_WAITS, .why = waiting });
    if (!text.failed && !span_eq(span_buf(&text), span_buf(&delivery->report))) {
        char *path = path_join(delivery->config.state, "delivery");
        if (path == NULL || file_replace_soft(path, 0644, span_buf(&text), &why) != OK)
            fprintf(stderr, "what `stele status` shows is old: %s\n", path == NULL ? "out of memory" : why.text);
        free(path);
        buf_free(&delivery->report);
        delivery->report = text;
        return;
    }
    buf_free(&text);
}

static enum err deliver(struct delivery *delivery, struct worker *workers, const char *config_file, bool once, struct why *why)
{
    size_t told = 0, tickets_told = 0;
    struct tickets tickets = { 0 };
    enum err err = OK;
    while (err == OK && !delivery_stopped) {
        if (reload)
            load_again(delivery, config_file);
        err = tickets_redeem(&delivery->config, clock_monotonic_ms() + TICKETS_FOR_MS, &tickets, why);
        delivery->refused += tickets.refused;
        if (err == OK && tickets.left > tickets_told)
            fprintf(stderr, "%zu tickets in %s/tickets wait: %s\n", tickets.left, delivery->config.outbox, tickets.why_left.text);
        tickets_told = tickets.left;
        if (err == OK)
            err = round_begin(&delivery->round, delivery->config.outbox, &delivery->deferred, why);
        if (err == OK && delivery->round.n > 0 && delivery_logs_due_ms(delivery) == 0) {
            delivery->why_waiting.text[0] = '\0';
            err = work_round(workers, why);
            keep_report(delivery);
            continue;
        }
        if (err == OK && once && delivery->round.waiting == 0 && tickets.left + tickets.untried == 0)
            return OK;
        if (err == OK && tickets.untried == 0)
            err = wait_for_next(delivery, &tickets, once, &told, why);
    }
    if (err == OK && once)
        err = fail(why, ERR_ENV, "stopped; %zu attestations still wait in %s", delivery->round.waiting, delivery->config.outbox);
    return err;
}

static enum err start(struct delivery *delivery, struct worker *workers, const char *config_file, struct why *why)
{
    struct http_client_config client = { .total_timeout_ms = ANSWER_WITHIN_MS };
    uint64_t left_ms = delivery->deadline_ms - clock_monotonic_ms();
    enum err err = key_system_start(why);
    if (err == OK)
        err = load_config(delivery, config_file, why);
    if (err == OK)
        err = dir_make(delivery->config.outbox, 0700, why);
    if (err == OK)
        err = dir_lock(delivery->config.outbox, LOCK_WAIT_MS, why);
    if (err == OK)
        err = proofs_make(&delivery->config, why);
    if (err == OK)
        delivered_before(delivery);
    if (err == OK)
        err = proofs_sync_start(&delivery->sync, &delivery->config, why);
    if (err == OK)
        err = http_client_system_start(why);
    client.netrc_file = delivery->config.netrc_file;
    if (left_ms < client.total_timeout_ms)
        client.total_timeout_ms = left_ms > ANSWER_LEAST_MS ? (unsigned)left_ms : ANSWER_LEAST_MS;
    for (size_t i = 0; i < WORKERS_MAX && err == OK; i++) {
        workers[i] = (struct worker){ .delivery = delivery };
        workers[i].batch.letters = calloc(BATCH_LETTERS_MAX, sizeof *workers[i].batch.letters);
        workers[i].letters = calloc(BATCH_LETTERS_MAX, sizeof *workers[i].letters);
        if (workers[i].batch.letters == NULL || workers[i].letters == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else
            err = http_client_new(&workers[i].client, &client, why);
    }
    return err;
}

static void end(struct delivery *delivery, struct worker *workers)
{
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        http_client_free(workers[i].client);
        batch_free(&workers[i].batch);
        free(workers[i].letters);
        buf_free(&workers[i].body);
        post_answer_free(&workers[i].answer);
    }
    round_free(&delivery->round);
    buf_free(&delivery->head);
    buf_free(&delivery->report);
    free(delivery->logs);
    policy_free(&delivery->policy);
    client_config_free(&delivery->config);
    pthread_mutex_destroy(&delivery->lock);
    pthread_mutex_destroy(&delivery->round_lock);
    pthread_mutex_destroy(&delivery->head_lock);
    proofs_sync_end(&delivery->sync);
    for (size_t i = 0; i < PART_LOCKS; i++)
        pthread_mutex_destroy(&delivery->part_locks[i]);
    free(delivery);
}

static struct delivery *new_delivery(uint64_t for_s)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL)
        return NULL;
    delivery->deadline_ms = for_s == 0 ? UINT64_MAX : clock_monotonic_ms() + 1000 * for_s;
    delivery->batch_letters = BATCH_LETTERS_MAX / 2;
    delivery->batch_bytes = delivery->bytes_most = BATCH_BYTES_MAX;
    pthread_mutex_init(&delivery->lock, NULL);
    pthread_mutex_init(&delivery->round_lock, NULL);
    pthread_mutex_init(&delivery->head_lock, NULL);
    for (size_t i = 0; i < PART_LOCKS; i++)
        pthread_mutex_init(&delivery->part_locks[i], NULL);
    return delivery;
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    umask(022); /* proofs are for all to read; what is not is created with a mode of its own */
}

enum err run_deliver(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL, *for_text = NULL;
    bool once = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--once", NULL, "end when the outbox is empty, or after half a minute of trying", NULL, &once },
        { "--for", "SECONDS", "how long --once goes on trying; 0: until the outbox is empty", &for_text, NULL },
        { 0 },
    };
    struct worker workers[WORKERS_MAX] = { 0 };
    struct cli_args args = { 0 };
    uint64_t for_s = ONCE_FOR_S;
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    free(args.items);
    if (err == OK && for_text != NULL && (!once || !span_decimal(span_str(for_text), FOR_S_MAX, &for_s)))
        err = fail(why, ERR_USAGE, "--for takes a number of seconds, and goes with --once");
    if (err != OK)
        return err;
    struct delivery *delivery = new_delivery(once ? for_s : 0);
    if (delivery == NULL)
        return fail(why, ERR_ENV, "out of memory");
    catch_signals();
    err = start(delivery, workers, config_file, why);
    if (err == OK)
        err = deliver(delivery, workers, config_file, once, why);
    if (err == OK && delivery->refused > 0)
        err = fail(why, ERR_REFUSED, "%zu delivered, %zu refused (see %s/refused)", delivery->delivered, delivery->refused,
                   delivery->config.outbox);
    if (err == OK && once)
        printf("%zu delivered\n", delivery->delivered);
    end(delivery, workers);
    return err;
}
