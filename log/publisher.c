/*
 * The publisher: for what is committed it reads the new entries back, recomputes the tree from them, has the head signed and
 * cosigned, publishes it, and lets the answers go (spec/invariants.md, 3).
 *
 * The recomputation is code of its own: the sequencer wrote tiles from the leaf hashes that the HTTP threads computed; here
 * the entries' bytes as stored are hashed again into a frontier, and its root must be the tiles' root. A bit that flipped
 * on the way, in memory or on disk, stops the log before it is signed.
 *
 * DIR/checkpoint is the published note, put there without a sync, and not for every head of a busy log. That loses nothing: the
 * signer made the head durable before any witness saw it. At start the file is served only where it shows the signer's newest head
 * under the policy; otherwise nothing is served as published until that head, or a later one, is under quorum again.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/publisher_internal.h"

enum { STEP_MS_MAX = 1000, CLOCK_BEHIND_MS = 1000, KEEP_FILE_MS = 1000 };

void publisher_drop_policy(struct policy *policy)
{
    if (policy == NULL)
        return;
    policy_free(policy);
    free(policy);
}

enum err publisher_prove(void *ctx, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why)
{
    struct publisher *publisher = ctx;
    return tree_prove(&publisher->tree, old, size, proof, n, why);
}

enum err publisher_show(struct publisher *publisher, struct why *why)
{
    struct signed_head *full = witnesses_full_head(publisher->pipeline->witnesses);
    bool satisfied = false;
    enum err err = full == NULL ? OK : signed_head_satisfies(full, publisher->policy, &satisfied, why);
    if (err == OK)
        err = published_show(publisher->pipeline->published, publisher->current, satisfied ? full : NULL, why);
    return err;
}

/* Writes the file, which serves a restart alone: at once where no head is out, now and then where heads follow each other. */
static enum err keep_file(struct publisher *publisher, unsigned *wait_ms, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (!publisher->file_due || publisher->current == NULL)
        return OK;
    if (publisher->out != NULL && now_ms - publisher->file_ms < KEEP_FILE_MS) {
        uint64_t until_ms = publisher->file_ms + KEEP_FILE_MS - now_ms;
        *wait_ms = until_ms < *wait_ms ? (unsigned)until_ms : *wait_ms;
        return OK;
    }
    publisher->file_due = false;
    publisher->file_ms = now_ms;
    struct buf note = BUF_EMPTY;
    signed_head_render(&note, publisher->current);
    enum err err = buf_done(&note, why);
    if (err == OK)
        err = file_replace_soft(publisher->checkpoint_file, 0644, span_buf(&note), why);
    buf_free(&note);
    return err;
}

/* Those that the published head covers go to the answerer, the others go on waiting. */
static void release_waiting(struct pipeline *pipeline, uint64_t size)
{
    struct submission_list still = { 0 };
    struct submission *submission;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->published_size = size;
    pipeline->behind_since_ms = pipeline->committed > size ? clock_monotonic_ms() : 0;
    while ((submission = submission_list_take(&pipeline->waiting)) != NULL)
        submission_list_add(submission->covers <= size ? &pipeline->answers : &still, submission);
    pipeline->waiting = still;
    pthread_cond_signal(&pipeline->answerable);
    pthread_mutex_unlock(&pipeline->lock);
}

/* Publishes the head that is out where it is under quorum. */
static enum err try_publish(struct publisher *publisher, struct why *why)
{
    bool satisfied;
    enum err err = signed_head_satisfies(publisher->out, publisher->policy, &satisfied, why);
    if (err != OK || !satisfied)
        return err;
    signed_head_release(publisher->current);
    publisher->current = publisher->out;
    publisher->out = NULL;
    if ((err = publisher_show(publisher, why)) != OK)
        return err;
    publisher->file_due = true;
    atomic_fetch_add(&publisher->pipeline->counts.heads, 1);
    if (publisher->out_us != 0)
        histogram_add(&publisher->pipeline->counts.quorum, clock_monotonic_us() - publisher->out_us);
    publisher->out_us = 0;
    release_waiting(publisher->pipeline, publisher->current->head.size);
    return OK;
}

/* A witness's cosignature came in. That of a head which is shown already, a straggler's, is shown too. */
enum err publisher_cosigned(void *ctx, struct signed_head *head, struct why *why)
{
    struct publisher *publisher = ctx;
    if (head == publisher->out)
        return try_publish(publisher, why);
    if (publisher->current == NULL)
        return OK;
    enum err err = OK;
    if (head == publisher->current || head == witnesses_full_head(publisher->pipeline->witnesses))
        err = publisher_show(publisher, why);
    publisher->file_due |= head == publisher->current;
    return err;
}

static enum err put_out(struct publisher *publisher, const struct head *head, struct span text, const struct signer_answer *answer,
                        struct why *why)
{
    struct buf line = BUF_EMPTY;
    signer_line(&line, publisher->pipeline->signer, answer);
    enum err err = buf_done(&line, why);
    if (err == OK && (publisher->out = signed_head_new(head, text, span_buf(&line), clock_monotonic_ms())) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    buf_free(&line);
    if (err != OK)
        return err;
    publisher->last = *head;
    publisher->out_us = clock_monotonic_us();
    pthread_mutex_lock(&publisher->pipeline->lock);
    publisher->pipeline->signed_size = head->size;
    if (publisher->pipeline->behind_since_ms == 0)
        publisher->pipeline->behind_since_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&publisher->pipeline->lock);
    witnesses_ask(publisher->pipeline->witnesses, publisher->out);
    return try_publish(publisher, why);
}

static void count_signed(struct publisher *publisher)
{
    struct pipeline *pipeline = publisher->pipeline;
    if (++publisher->heads_signed != pipeline->config->heads_max)
        return;
    atomic_store(&pipeline->heads_due, true);
    kill(getpid(), SIGHUP); /* serve.c waits for it */
}

enum err publisher_sign(struct publisher *publisher, uint64_t size, struct why *why)
{
    struct hash proof[PROOF_HASHES_MAX];
    struct head head;
    size_t n;
    uint64_t began_us = clock_monotonic_us();
    enum err err = tree_recompute(&publisher->tree, size, &head, why);
    if (err == OK)
        err = tree_prove(&publisher->tree, publisher->last.size, size, proof, &n, why);
    if (err != OK)
        return err;
    struct buf text = BUF_EMPTY;
    struct checkpoint checkpoint = { .origin = span_str(publisher->pipeline->config->origin), .size = size, .root = head.root };
    checkpoint_render(&text, &checkpoint);
    struct signer_request request = { .text = span_buf(&text), .old = publisher->last.size, .proof = proof, .proof_n = n };
    struct signer_answer answer = { 0 };
    err = buf_done(&text, why);
    if (err == OK)
        err = signer_sign(publisher->pipeline->signer, &request, 1, &answer, why);
    uint64_t now_ms = clock_monotonic_ms();
    publisher->next_sign_ms = now_ms + publisher->pipeline->config->head_interval_ms;
    if (err == OK && answer.verdict != HEAD_OK) {
        err = fail(why, ERR_REFUSED, "the signer refuses the head of size %llu: %s", (unsigned long long)size, answer.why.text);
    } else if (err == OK && answer.clock_behind) {
        publisher->next_sign_ms = now_ms + CLOCK_BEHIND_MS;
        report_why(REPORT_ERROR, "clock-behind", &answer.why);
    } else if (err == OK) {
        histogram_add(&publisher->pipeline->counts.sign, clock_monotonic_us() - began_us);
        count_signed(publisher);
        err = put_out(publisher, &head, span_buf(&text), &answer, why);
    }
    buf_free(&text);
    return err;
}

/* Signs where something is to be signed and may be now. *wait_ms comes down to when it may. */
static enum err sign_what_is_due(struct publisher *publisher, unsigned *wait_ms, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    enum err err = publisher_compare(publisher, why);
    if (err != OK || publisher->out != NULL)
        return err;
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&pipeline->lock);
    uint64_t size = pipeline->committed;
    pthread_mutex_unlock(&pipeline->lock);
    if (publisher->current != NULL && size == publisher->current->head.size) {
        if (now_ms - publisher->current->since_ms < COSIGN_AGAIN_MS)
            return OK;
        signed_head_ask_again(publisher->current, now_ms);
        witnesses_ask(pipeline->witnesses, publisher->current);
        return OK;
    }
    if (!pipeline->compared && size != publisher->last.size)
        return OK; /* until a quorum of witnesses was asked whether there is a later head */
    if (now_ms < publisher->next_sign_ms) {
        uint64_t until_ms = publisher->next_sign_ms - now_ms;
        *wait_ms = until_ms < *wait_ms ? (unsigned)until_ms : *wait_ms;
        return OK;
    }
    return publisher_sign(publisher, size, why);
}

/* 503 for those whose time is over; what they sent may be in the log already, and then a retry gets its index. */
static void expire(struct pipeline *pipeline, unsigned *wait_ms)
{
    struct submission_list still = { 0 }, over = { 0 };
    struct submission *submission;
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&pipeline->lock);
    while ((submission = submission_list_take(&pipeline->waiting)) != NULL) {
        bool late = submission->deadline_ms <= now_ms;
        submission_list_add(late ? &over : &still, submission);
        if (!late && submission->deadline_ms - now_ms < *wait_ms)
            *wait_ms = (unsigned)(submission->deadline_ms - now_ms);
    }
    pipeline->waiting = still;
    pipeline->timed_out += over.n;
    pthread_mutex_unlock(&pipeline->lock);
    while ((submission = submission_list_take(&over)) != NULL)
        submission_refuse(submission, "no quorum of witnesses in time: the attestation is not published yet; ask again");
}

/* A head that does not satisfy the new policy is not shown any more until it does. */
static enum err change_policy(struct publisher *publisher, struct policy *policy, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    bool satisfied = true;
    enum err err = witnesses_use(pipeline->witnesses, policy, why);
    publisher_drop_policy(publisher->policy);
    publisher->policy = policy;
    if (err == OK && publisher->current != NULL)
        err = signed_head_satisfies(publisher->current, policy, &satisfied, why);
    if (err != OK)
        return err;
    report(REPORT_INFO, "policy", "witnesses=%zu shown=%s", policy->witnesses_n, satisfied ? "yes" : "no");
    if (!satisfied) {
        published_hide(pipeline->published);
        if (publisher->out == NULL)
            publisher->out = signed_head_keep(publisher->current);
        signed_head_release(publisher->current);
        publisher->current = NULL;
        pthread_mutex_lock(&pipeline->lock);
        pipeline->published_size = 0;
        if (pipeline->behind_since_ms == 0)
            pipeline->behind_since_ms = clock_monotonic_ms();
        pthread_mutex_unlock(&pipeline->lock);
    }
    if (publisher->out != NULL)
        return try_publish(publisher, why);
    return publisher->current != NULL ? publisher_show(publisher, why) : OK;
}

static enum err one_round(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    unsigned wait_ms = STEP_MS_MAX;
    pthread_mutex_lock(&pipeline->lock);
    struct policy *policy = pipeline->next_policy;
    pipeline->next_policy = NULL;
    pthread_mutex_unlock(&pipeline->lock);
    enum err err = policy == NULL ? OK : change_policy(publisher, policy, why);
    if (err == OK)
        err = sign_what_is_due(publisher, &wait_ms, why);
    if (err == OK)
        err = keep_file(publisher, &wait_ms, why);
    if (err != OK)
        return err;
    expire(pipeline, &wait_ms);
    return witnesses_step(pipeline->witnesses, wait_ms, why);
}

/* The file shows what is published when the log ends, for the next start. */
static void last_words(struct publisher *publisher)
{
    struct why why;
    unsigned wait_ms = 0;
    publisher->file_ms = 0;
    if (keep_file(publisher, &wait_ms, &why) != OK)
        report_why(REPORT_ERROR, "checkpoint-not-kept", &why);
}

void *publisher_run(void *ctx)
{
    struct pipeline *pipeline = ctx;
    struct why why;
    for (;;) {
        pthread_mutex_lock(&pipeline->lock);
        bool failed = pipeline->failed, stopping = pipeline->stopping;
        pthread_mutex_unlock(&pipeline->lock);
        if (stopping && !failed)
            last_words(pipeline->publisher);
        if (stopping || failed)
            return NULL;
        if (one_round(pipeline->publisher, &why) != OK)
            pipeline_fail(pipeline, "publish", &why);
    }
}
