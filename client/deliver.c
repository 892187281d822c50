/* `stele deliver`: the outbox to the log, the proofs back. Nothing is removed before its proof verified under the policy. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sodium.h>

#include "client/memory.h"
#include "client/post.h"
#include "client/ticket.h"
#include "client/verbs.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum {
    BATCH_FILES_MAX = 256,
    BATCH_BYTES_MAX = 7 << 20,
    FILE_BYTES_MAX = 4 << 20,
    ONCE_FOR_MS = 30000, /* --once gives up after so long */
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 60000,
    LOOK_EVERY_MS = 2000, /* the daemon's look at an empty outbox */
};

struct letter {
    char *name;
    struct span lines, envelope; /* in the batch's buffer, once it is whole */
    size_t lines_at, lines_len;
};

struct delivery {
    struct client_config config;
    struct policy policy;
    struct http_client *client;
    struct letter *letters; /* of this batch */
    size_t n;
    struct buf lines;
    size_t delivered, refused, waiting, tickets_left;
    uint64_t wait_ms; /* before the next try, as the log asked */
    struct why why_waiting, why_left;
};

static void clear_batch(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->n; i++)
        free(delivery->letters[i].name);
    delivery->n = 0;
    buf_clear(&delivery->lines);
}

/* The envelope is the last line of a letter; before it there may be its input list. */
static bool split_letter(struct letter *letter)
{
    struct span rest = letter->lines, line;
    size_t n = 0;
    while (span_line(&rest, &line)) {
        letter->envelope = line;
        n++;
    }
    return rest.len == 0 && n >= 1 && n <= 2;
}

static enum err take_file(void *ctx, const char *name, struct why *why)
{
    struct delivery *delivery = ctx;
    if (!span_ends(span_str(name), ".jsonl") || delivery->n == BATCH_FILES_MAX ||
        delivery->lines.len > BATCH_BYTES_MAX - FILE_BYTES_MAX)
        return OK;
    size_t from = delivery->lines.len;
    char *path = path_join(delivery->config.outbox, name);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, FILE_BYTES_MAX, &delivery->lines, why);
    free(path);
    struct letter *letter = &delivery->letters[delivery->n];
    *letter = (struct letter){ .name = span_dup_str(span_str(name)), .lines_at = from, .lines_len = delivery->lines.len - from };
    if (err == OK && letter->name == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    delivery->n += letter->name != NULL;
    return err;
}

/* A whole batch from the outbox; the spans are set when the buffer no longer moves. */
static enum err load_batch(struct delivery *delivery, struct why *why)
{
    clear_batch(delivery);
    enum err err = dir_make(delivery->config.outbox, 0700, why);
    if (err == OK)
        err = dir_each(delivery->config.outbox, take_file, delivery, why);
    for (size_t i = 0; i < delivery->n && err == OK; i++) {
        struct letter *letter = &delivery->letters[i];
        letter->lines = span_cut(span_buf(&delivery->lines), letter->lines_at, letter->lines_len);
        if (!split_letter(letter)) {
            err = outbox_set_aside(&delivery->config, letter->name, "not an attestation as stele writes it\n", why);
            delivery->refused++;
            if (err == OK)
                return load_batch(delivery, why);
        }
    }
    return err;
}

/* The proof is kept beside every subject, the head remembered; only then may the letter go. */
static enum err keep_proof(struct delivery *delivery, const struct letter *letter, const struct evidence_item *item,
                           struct why *why)
{
    struct proof proof;
    struct note note;
    struct checkpoint checkpoint;
    enum err err = proof_parse(&proof, span_of(item->proof_text, item->proof_len), why);
    if (err == OK)
        err = note_parse(&note, proof.checkpoint, why);
    if (err == OK)
        err = checkpoint_parse(&checkpoint, note.text, why);
    if (err == OK)
        err = memory_see(&delivery->config, &checkpoint, proof.checkpoint, why);
    for (size_t i = 0; i < item->statement.subjects_n && err == OK; i++) {
        struct storepath path;
        err = storepath_parse(&path, item->statement.subjects[i].path, why);
        if (err == OK)
            err = proofs_keep(&delivery->config, path.hash_part, &proof, true, why);
    }
    if (err == OK) {
        char *path = path_join(delivery->config.outbox, letter->name);
        err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_remove(path, why);
        free(path);
    }
    if (err == OK) {
        printf("%.*s: index %llu in %s, cosigned by %s\n", SPAN_FMT(item->statement.subjects[0].path),
               (unsigned long long)item->index, item->origin, item->witnesses);
        delivery->delivered++;
    }
    return err;
}

/* An answer that does not satisfy our own policy may be followed by one that does: the log goes on collecting cosignatures. */
static enum err look_up_again(struct delivery *delivery, const struct letter *letter, struct evidence *evidence, struct why *why)
{
    struct envelope envelope;
    struct statement statement = { 0 };
    struct storepath path;
    struct buf storage = BUF_EMPTY, bundles = BUF_EMPTY;
    enum err err = envelope_parse(&envelope, letter->envelope, &storage, why);
    if (err == OK)
        err = statement_parse(&statement, envelope.payload, why);
    if (err == OK)
        err = storepath_parse(&path, statement.subjects[0].path, why);
    for (size_t i = 0; i < delivery->policy.logs_n && err == OK; i++)
        err = proofs_log(delivery->client, &delivery->config, &delivery->policy, i, path.hash_part, &bundles, why);
    if (err == OK)
        err = evidence_add(evidence, span_buf(&bundles), "log", &delivery->policy, NULL, why);
    statement_free(&statement);
    buf_free(&storage);
    buf_free(&bundles);
    return err;
}

static enum err take_answer(struct delivery *delivery, size_t first, size_t n, struct span bundles, struct why *why)
{
    struct evidence evidence = { 0 };
    enum err err = evidence_add(&evidence, bundles, "the log's answer", &delivery->policy, NULL, why);
    for (size_t i = first; i < first + n && err == OK; i++) {
        const struct letter *letter = &delivery->letters[i];
        int64_t found = post_find_proof(&evidence, letter->envelope, &delivery->why_waiting);
        if (found < 0) {
            struct why trouble;
            if (look_up_again(delivery, letter, &evidence, &trouble) == OK)
                found = post_find_proof(&evidence, letter->envelope, &delivery->why_waiting);
        }
        if (found < 0)
            delivery->waiting++;
        else
            err = keep_proof(delivery, letter, evidence.items[found], why);
    }
    evidence_free(&evidence);
    return err;
}

static enum err send_range(struct delivery *delivery, size_t first, size_t n, struct why *why);

/* A refused batch is halved until the letter that is to blame stands alone. */
static enum err set_aside(struct delivery *delivery, size_t first, size_t n, const struct why *reason, struct why *why)
{
    if (n > 1) {
        enum err err = send_range(delivery, first, n / 2, why);
        return err == OK ? send_range(delivery, first + n / 2, n - n / 2, why) : err;
    }
    fprintf(stderr, "refused, and set aside in %s/refused: %s: %s\n", delivery->config.outbox, delivery->letters[first].name,
            reason->text);
    delivery->refused++;
    return outbox_set_aside(&delivery->config, delivery->letters[first].name, reason->text, why);
}

static enum err send_range(struct delivery *delivery, size_t first, size_t n, struct why *why)
{
    struct post_answer answer;
    const struct letter *from = &delivery->letters[first], *last = &delivery->letters[first + n - 1];
    struct span lines = span_of(from->lines.data, (size_t)(last->lines.data + last->lines.len - from->lines.data));
    enum err err = post_attestations(delivery->client, &delivery->config, &delivery->policy, lines, &answer, why);
    if (err == OK && answer.outcome == POST_PROVEN)
        err = take_answer(delivery, first, n, span_buf(&answer.bundles), why);
    else if (err == OK && answer.outcome == POST_REFUSED)
        err = set_aside(delivery, first, n, &answer.why, why);
    else if (err == OK) {
        delivery->waiting += n;
        delivery->wait_ms = answer.retry_after_s * 1000;
        delivery->why_waiting = answer.why;
    }
    post_answer_free(&answer);
    return err;
}

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static void pause_ms(uint64_t ms)
{
    struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
    nanosleep(&time, NULL);
}

/* Half to one and a half of the back-off, and never less than the log asked for. */
static void wait_for_next_try(const struct delivery *delivery, uint64_t *backoff_ms, uint64_t most_ms)
{
    uint64_t ms = *backoff_ms / 2 + randombytes_uniform((uint32_t)*backoff_ms);
    if (ms < delivery->wait_ms)
        ms = delivery->wait_ms;
    pause_ms(ms < most_ms ? ms : most_ms);
    *backoff_ms = *backoff_ms * 2 < BACKOFF_MAX_MS ? *backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* What the hook left to be hashed becomes letters. Those that cannot yet are told of once. */
static enum err redeem_tickets(struct delivery *delivery, struct why *why)
{
    size_t left;
    enum err err = tickets_redeem(&delivery->config, &delivery->refused, &left, &delivery->why_left, why);
    if (err == OK && left > delivery->tickets_left)
        fprintf(stderr, "%zu tickets in %s/tickets wait: %s\n", left, delivery->config.outbox, delivery->why_left.text);
    delivery->tickets_left = left;
    return err;
}

static enum err deliver(struct delivery *delivery, bool once, struct why *why)
{
    uint64_t started_ms = clock_monotonic_ms(), backoff_ms = BACKOFF_FIRST_MS;
    enum err err = OK;
    while (err == OK && !stopped) {
        delivery->waiting = 0;
        delivery->wait_ms = 0;
        err = redeem_tickets(delivery, why);
        if (err == OK)
            err = load_batch(delivery, why);
        if (err == OK && delivery->n == 0) {
            if (once)
                break;
            pause_ms(LOOK_EVERY_MS);
            continue;
        }
        if (err == OK)
            err = send_range(delivery, 0, delivery->n, why);
        fflush(stdout);
        if (err != OK || delivery->waiting == 0) {
            backoff_ms = BACKOFF_FIRST_MS;
            continue;
        }
        uint64_t spent_ms = clock_monotonic_ms() - started_ms;
        if (once && spent_ms >= ONCE_FOR_MS)
            return fail(why, ERR_ENV, "%zu attestations still wait in %s: %s", delivery->waiting, delivery->config.outbox,
                        delivery->why_waiting.text);
        fprintf(stderr, "%zu wait: %s\n", delivery->waiting, delivery->why_waiting.text);
        wait_for_next_try(delivery, &backoff_ms, once ? ONCE_FOR_MS - spent_ms : BACKOFF_MAX_MS);
    }
    if (err == OK && once && delivery->waiting > 0)
        err = fail(why, ERR_ENV, "stopped; %zu attestations still wait in %s", delivery->waiting, delivery->config.outbox);
    if (err == OK && once && delivery->tickets_left > 0)
        err = fail(why, ERR_ENV, "%zu tickets still wait in %s/tickets: %s", delivery->tickets_left, delivery->config.outbox,
                   delivery->why_left.text);
    return err;
}

enum err run_deliver(int argc, char **argv, struct why *why)
{
    const char *config_file = NULL;
    bool once = false;
    const struct cli_option options[] = {
        { "--config", "FILE", "the configuration (default: the usual places)", &config_file, NULL },
        { "--once", NULL, "end when the outbox is empty, or after half a minute of trying", NULL, &once },
        { 0 },
    };
    struct delivery delivery = { 0 };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 0, 0, argc, argv, &args, why);
    if (err != OK)
        return err;
    struct sigaction action = { .sa_handler = stop };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    delivery.letters = calloc(BATCH_FILES_MAX, sizeof *delivery.letters);
    err = delivery.letters == NULL ? fail(why, ERR_ENV, "out of memory") : key_system_start(why);
    if (err == OK)
        err = client_config_load(&delivery.config, config_file, why);
    if (err == OK)
        err = client_policy_load(&delivery.config, &delivery.policy, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&delivery.client, &(struct http_client_config){ 0 }, why);
    if (err == OK)
        err = deliver(&delivery, once, why);
    if (err == OK && delivery.refused > 0)
        err = fail(why, ERR_REFUSED, "%zu delivered, %zu refused by the log (see %s/refused)", delivery.delivered, delivery.refused,
                   delivery.config.outbox);
    if (err == OK && once)
        printf("%zu delivered\n", delivery.delivered);
    clear_batch(&delivery);
    buf_free(&delivery.lines);
    free(delivery.letters);
    http_client_free(delivery.client);
    policy_free(&delivery.policy);
    client_config_free(&delivery.config);
    free(args.items);
    return err;
}
