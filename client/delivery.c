#include "client/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/answer.h"
#include "client/memory.h"
#include "lib/dsse.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"

enum {
    PROOF_AROUND_BYTES = 16 << 10, /* of a bundle beyond its envelope: hashes, and a checkpoint with its cosignatures */
    LOOK_UPS_MAX = 16,             /* letters of a batch for which a later proof is looked up at once */
    SYNC_EACH_MAX = 16,            /* letters of a batch whose proofs are synced one by one; those of more by one sync of all */
    SHOWN_MAX = 32,                /* letters of a batch that are told of one by one */
};

volatile sig_atomic_t delivery_stopped;

enum err delivery_set_aside(struct delivery *delivery, const char *name, const char *reason, struct why *why)
{
    fprintf(stderr, "refused, and set aside in %s/refused: %s: %s\n", delivery->config.outbox, name, reason);
    enum err err = outbox_set_aside(&delivery->config, name, reason, why);
    pthread_mutex_lock(&delivery->lock);
    delivery->refused++;
    pthread_mutex_unlock(&delivery->lock);
    return err;
}

/* The client's memory sees each checkpoint once. A fork is why its proofs do not count; a disk that is full is not. */
static enum err see_head(void *ctx, const struct checkpoint *checkpoint, struct span note, struct why *why)
{
    struct delivery *delivery = ((struct worker *)ctx)->delivery;
    pthread_mutex_lock(&delivery->head_lock);
    enum err err = OK;
    if (!span_eq(span_buf(&delivery->head), note)) {
        err = memory_see(&delivery->config, checkpoint, note, why);
        if (err == ERR_ENV) {
            fprintf(stderr, "this head is not remembered: %s\n", why->text);
            err = OK;
        }
        buf_clear(&delivery->head);
        if (err == OK)
            buf_span(&delivery->head, note);
    }
    pthread_mutex_unlock(&delivery->head_lock);
    return err;
}

static void tell(const struct letter *letter, const struct proof *proof, const struct policy *policy,
                 const struct policy_view *view)
{
    const char *join = ", cosigned by ";
    flockfile(stdout);
    printf("%s: index %llu in %.*s", letter->subject, (unsigned long long)proof->index, SPAN_FMT(view->checkpoint.origin));
    for (size_t i = 0; i < policy->witnesses_n; i++)
        if (view->cosigned[i]) {
            printf("%s%.*s", join, SPAN_FMT(policy->witnesses[i].name));
            join = ", ";
        }
    putchar('\n');
    funlockfile(stdout);
}

/* A proof is put beside every path that the letter is about. */
static enum err keep(void *ctx, struct letter *letter, const struct proof *proof, const struct policy_view *view, struct why *why)
{
    struct worker *worker = ctx;
    struct delivery *delivery = worker->delivery;
    enum err err = OK;
    for (size_t i = 0; i < letter->parts_n && err == OK; i++) {
        pthread_mutex_t *lock = &delivery->part_locks[letter->parts[i][HASH_PART_LEN - 1] % PART_LOCKS];
        pthread_mutex_lock(lock);
        struct span part = span_of(letter->parts[i], sizeof letter->parts[i]);
        err = worker->batch.n <= SYNC_EACH_MAX ? proofs_keep(&delivery->config, part, proof, true, why)
                                               : proofs_put(&delivery->config, part, proof, why);
        pthread_mutex_unlock(lock);
    }
    if (err == OK && worker->batch.n <= SHOWN_MAX)
        tell(letter, proof, &delivery->policy, view);
    return err;
}

/* What was proven may go when its proofs are durable. That it goes is not synced: should it come back, it is proven again. */
static enum err let_go(struct worker *worker, struct letter *const *letters, size_t n, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    size_t gone = 0;
    enum err err = worker->batch.n <= SYNC_EACH_MAX ? OK : proofs_sync(&delivery->sync, why);
    for (size_t i = 0; i < n && err == OK; i++) {
        if (letters[i]->state != LETTER_PROVEN)
            continue;
        char *path = path_join(delivery->config.outbox, letters[i]->name);
        if (path == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (unlink(path) == 0)
            gone++;
        else if (errno != ENOENT) /* it would be posted again at once, and for ever */
            err = fail(why, ERR_ENV, "cannot remove %s, which is delivered: %s", path, strerror(errno));
        free(path);
    }
    pthread_mutex_lock(&delivery->lock);
    delivery->delivered += gone;
    delivery->delivered_s = clock_posix_s();
    pthread_mutex_unlock(&delivery->lock);
    if (worker->batch.n > SHOWN_MAX)
        printf("%zu more delivered\n", gone);
    fflush(stdout);
    return err;
}

/* A log goes on collecting cosignatures: what was short of our quorum is looked up again, from its index on. */
static enum err look_up(struct worker *worker, struct span url, struct letter *letter, struct answer_reader *reader,
                        struct why *why)
{
    struct envelope envelope;
    struct buf text = BUF_EMPTY, payload = BUF_EMPTY, vkey = BUF_EMPTY;
    struct http_response response = { 0 };
    enum err err = envelope_parse(&envelope, letter->envelope, &payload, why);
    if (err == OK) {
        vkey_render(&vkey, &envelope.key);
        struct hash hash = sha256_of(span_buf(&vkey));
        buf_fmt(&text, "%.*s/output/%.*s?builder=", SPAN_FMT(url), HASH_PART_LEN, (const char *)letter->parts[0]);
        hex_encode(&text, span_of(hash.b, sizeof hash.b));
        if (letter->indexed && letter->index > 0)
            buf_fmt(&text, "&after=%llu", (unsigned long long)letter->index - 1);
        buf_byte(&text, '\0');
        err = buf_done(&text, why);
    }
    if (err == OK &&
        http_get(worker->client, (const char *)text.data, NULL, BUNDLES_BYTES_MAX, &response, &reader->why_not) == OK &&
        response.status == 200)
        err = answer_read(reader, span_buf(&response.body), &letter, 1, why);
    http_response_free(&response);
    buf_free(&text);
    buf_free(&payload);
    buf_free(&vkey);
    return err;
}

/* What was not proven waits: each letter for a time of its own where it is in the log, but short of our quorum. */
static void keep_waiting(struct delivery *delivery, struct letter **letters, size_t n, bool quorum_short, const struct why *reason)
{
    pthread_mutex_lock(&delivery->lock);
    for (size_t i = 0; i < n; i++) {
        if (letters[i]->state == LETTER_PROVEN)
            continue;
        letters[i]->later = true;
        delivery->why_waiting = *reason;
        if (quorum_short)
            deferred_add(&delivery->deferred, letters[i]->name, LETTER_AGAIN_FIRST_MS, LETTER_AGAIN_MAX_MS);
    }
    pthread_mutex_unlock(&delivery->lock);
}

/* Takes a log's answer. A log that proves too little, and not for want of cosignatures, is not believed for a while. */
static enum err take_answer(struct worker *worker, size_t log, struct letter **letters, size_t n, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    struct answer_reader reader = { .policy = &delivery->policy, .ctx = worker, .head = see_head, .proven = keep };
    enum err err = answer_read(&reader, span_buf(&worker->answer.bundles), letters, n, why);
    size_t proven = reader.proven_n, looked_up = 0;
    bool quorum_short = reader.quorum_short;
    struct why reason = reader.why_not;
    for (size_t i = 0; i < n && err == OK && quorum_short && looked_up < LOOK_UPS_MAX; i++) {
        if (letters[i]->state == LETTER_PROVEN || !letters[i]->indexed)
            continue;
        looked_up++;
        err = look_up(worker, delivery->logs[log].url, letters[i], &reader, why);
        proven += letters[i]->state == LETTER_PROVEN;
    }
    if (err == OK && proven > 0)
        err = let_go(worker, letters, n, why);
    if (err == OK && proven < n && !quorum_short) {
        fail_in(&reason, ERR_REFUSED, "%.*s", SPAN_FMT(delivery->logs[log].url));
        delivery_log_failed(delivery, log, 0, &reason);
    } else {
        delivery_log_worked(delivery, log);
    }
    if (err == OK)
        keep_waiting(delivery, letters, n, quorum_short, &reason);
    return err;
}

/* Letters that are looked up together, and how many were proven. */
struct collecting {
    struct answer_reader reader;
    struct letter **letters;
    size_t n, proven;
};

static enum err take_looked_up(void *ctx, struct span hash_parts, struct span bundles, struct why *why)
{
    struct collecting *collecting = ctx;
    (void)hash_parts;
    enum err err = answer_read(&collecting->reader, bundles, collecting->letters, collecting->n, why);
    collecting->proven += collecting->reader.proven_n;
    return err;
}

/* A log that has ended still proves what it has: what it took just before, and we did not see. Trouble means only that the
 * letters wait. */
static enum err collect(struct worker *worker, size_t log, struct letter **letters, size_t n, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    struct collecting collecting = {
        .reader = { .policy = &delivery->policy, .ctx = worker, .head = see_head, .proven = keep },
        .letters = letters,
        .n = n,
    };
    const struct proofs_taker taker = { take_looked_up, NULL, &collecting };
    buf_clear(&worker->body);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&worker->body, "%.*s\n", HASH_PART_LEN, (const char *)letters[i]->parts[0]);
    enum err err = buf_done(&worker->body, why);
    const struct proofs_asked asked = { .hash_parts = span_buf(&worker->body) };
    if (err == OK)
        proofs_log_many(worker->client, &delivery->config, &delivery->policy, delivery->logs[log].number, &asked, &taker, NULL);
    return err == OK && collecting.proven > 0 ? let_go(worker, letters, n, why) : err;
}

static void wait_all(struct letter **letters, size_t n)
{
    for (size_t i = 0; i < n; i++)
        letters[i]->later = true;
}

/* What is posted at once: less where nothing came back, or a proxy found it too large; slowly more where it works. */
static void adapt(struct delivery *delivery, const struct post_answer *answer, size_t n, size_t bytes)
{
    pthread_mutex_lock(&delivery->lock);
    if (answer->outcome == POST_PROVEN && delivery->batch_letters < BATCH_LETTERS_MAX)
        delivery->batch_letters += delivery->batch_letters / 4 + 1;
    if (answer->outcome == POST_PROVEN && delivery->batch_bytes < delivery->bytes_most)
        delivery->batch_bytes += delivery->batch_bytes / 4 + 1;
    if (answer->outcome == POST_TOO_LARGE && n > 1 && delivery->bytes_most > bytes / 2)
        delivery->bytes_most = bytes / 2;
    if (answer->silent || answer->outcome == POST_TOO_LARGE) {
        delivery->batch_letters = n / 2 + 1;
        delivery->batch_bytes = bytes / 2 + 1;
    }
    if (delivery->batch_letters > BATCH_LETTERS_MAX)
        delivery->batch_letters = BATCH_LETTERS_MAX;
    if (delivery->batch_bytes > delivery->bytes_most)
        delivery->batch_bytes = delivery->bytes_most;
    pthread_mutex_unlock(&delivery->lock);
}

/* The lines of these letters: where they stand already when all of the batch is meant. */
static enum err gather(struct worker *worker, struct letter **letters, size_t n, struct span *body, struct why *why)
{
    *body = span_buf(&worker->batch.lines);
    if (n == worker->batch.n)
        return OK;
    buf_clear(&worker->body);
    for (size_t i = 0; i < n; i++)
        buf_span(&worker->body, letters[i]->lines);
    *body = span_buf(&worker->body);
    return buf_done(&worker->body, why);
}

/* Which letter has this line of what was posted; n where none has. */
static size_t letter_of_line(struct letter **letters, size_t n, size_t line)
{
    for (size_t i = 0; i < n && line > 0; i++) {
        size_t lines = letters[i]->lines.len > letters[i]->envelope.len + 1 ? 2 : 1;
        if (line <= lines)
            return i;
        line -= lines;
    }
    return n;
}

static enum err refuse(struct letter *letter, const struct why *reason, struct why *why)
{
    letter->state = LETTER_REFUSED;
    free(letter->reason);
    letter->reason = span_dup_str(span_str(reason->text));
    return letter->reason == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
}

/* After an answer that is none, or that says that the log takes nothing now, or nothing more. */
static enum err leave_alone(struct worker *worker, size_t log, struct letter **letters, size_t n, struct why *why)
{
    const struct post_answer *answer = &worker->answer;
    uint64_t wait_s = answer->retry_after_s < RETRY_AFTER_MAX_S ? answer->retry_after_s : RETRY_AFTER_MAX_S;
    bool frozen = answer->outcome == POST_FROZEN;
    enum err err = frozen ? collect(worker, log, letters, n, why) : OK;
    delivery_log_failed(worker->delivery, log, frozen ? FROZEN_AGAIN_MS : wait_s * 1000, &answer->why);
    wait_all(letters, n);
    return err;
}

/* Posts n letters to one log. A log takes all or none: what it refuses is divided, at the line that it names or in halves, until
 * the letter to blame stands alone. A log that blames the wrong one only costs more posts. */
static enum err send_to(struct worker *worker, size_t log, struct letter **letters, size_t n, struct why *why)
{
    struct delivery *delivery = worker->delivery;
    enum err err = OK;
    while (n > 0 && err == OK) {
        struct span body;
        if (delivery_stopped || !delivery_log_take(delivery, log)) {
            wait_all(letters, n);
            return OK;
        }
        err = gather(worker, letters, n, &body, why);
        if (err == OK)
            err = post_to(worker->client, delivery->logs[log].url, body, body.len / 3 * 4 + n * PROOF_AROUND_BYTES + NOTE_BYTES_MAX,
                          &worker->answer, why);
        if (err != OK) {
            delivery_log_worked(delivery, log);
            return err;
        }
        struct post_answer *answer = &worker->answer;
        adapt(delivery, answer, n, body.len);
        if (answer->outcome == POST_PROVEN)
            return take_answer(worker, log, letters, n, why);
        if (answer->outcome == POST_LATER || answer->outcome == POST_FROZEN)
            return leave_alone(worker, log, letters, n, why);
        delivery_log_worked(delivery, log);
        if (n == 1)
            return refuse(letters[0], &answer->why, why);
        size_t blamed = answer->outcome == POST_REFUSED ? letter_of_line(letters, n, answer->line) : n;
        size_t before = blamed < n ? blamed : n / 2, alone = blamed < n ? 1 : 0;
        err = send_to(worker, log, letters, before, why);
        if (err == OK && alone)
            err = send_to(worker, log, letters + before, alone, why);
        letters += before + alone;
        n -= before + alone;
    }
    return err;
}

/* One log has refused it, another may take it when it answers again. */
static void wait_for_others(struct delivery *delivery, const struct letter *letter)
{
    pthread_mutex_lock(&delivery->lock);
    deferred_add(&delivery->deferred, letter->name, LETTER_AGAIN_FIRST_MS, LETTER_AGAIN_MAX_MS);
    pthread_mutex_unlock(&delivery->lock);
}

enum err delivery_send(struct worker *worker, struct why *why)
{
    struct batch *batch = &worker->batch;
    enum err err = OK;
    for (size_t log = 0; log < worker->delivery->logs_n && err == OK; log++) {
        size_t n = 0;
        for (size_t i = 0; i < batch->n; i++)
            if (batch->letters[i].state != LETTER_PROVEN)
                worker->letters[n++] = &batch->letters[i];
        err = send_to(worker, log, worker->letters, n, why);
    }
    for (size_t i = 0; i < batch->n && err == OK; i++) {
        const struct letter *letter = &batch->letters[i];
        if (letter->state == LETTER_REFUSED && !letter->later)
            err = delivery_set_aside(worker->delivery, letter->name, letter->reason, why);
        else if (letter->state == LETTER_REFUSED)
            wait_for_others(worker->delivery, letter);
    }
    return err;
}
