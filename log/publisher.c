/*
 * The publisher: for what is committed it reads the new entries back, recomputes the tree from them, has the head signed and
 * cosigned, publishes it, and lets the answers go (design invariant 3).
 *
 * The recomputation is code of its own: the sequencer wrote tiles from the leaf hashes that the HTTP threads computed; here
 * the entries' bytes as stored are hashed again into a frontier, and its root must be the tiles' root. A bit that flipped
 * on the way, in memory or on disk, stops the log before it is signed.
 *
 * DIR/checkpoint is the published note, put there without a sync. That loses nothing: the signer made the head durable
 * before any witness saw it. At start the file is served only where it shows the signer's newest head under the policy;
 * otherwise nothing is served as published until that head, or a later one, is under quorum again.
 */
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/pipeline.h"

enum { STEP_MS_MAX = 1000, CLOCK_BEHIND_MS = 1000 };

struct publisher {
    struct pipeline *pipeline;
    struct policy *policy;       /* owned */
    struct frontier frontier;    /* recomputed from the entries */
    struct head last;            /* signed */
    struct signed_head *out;     /* signed, waits for its quorum */
    struct signed_head *current; /* published */
    uint64_t next_sign_ms;
    char *checkpoint_file;
    struct tile_cache cache;
};

static void drop(struct policy *policy)
{
    if (policy == NULL)
        return;
    policy_free(policy);
    free(policy);
}

/* Reads the entries from the frontier's size to `size`, in short transactions. */
static enum err read_back(struct publisher *publisher, uint64_t size, struct why *why)
{
    enum err err = OK;
    while (err == OK && publisher->frontier.size < size) {
        struct store_view view;
        if ((err = store_view_begin(publisher->pipeline->store, &view, why)) != OK)
            return err;
        struct store_walk walk;
        store_walk_start(&walk, &view, publisher->frontier.size);
        for (unsigned i = 0; i < READ_BACK_ENTRIES_MAX && publisher->frontier.size < size; i++) {
            struct span entry;
            if ((err = store_walk_next(&walk, &entry, why)) != OK)
                break;
            struct hash leaf = merkle_leaf_hash(entry);
            frontier_append(&publisher->frontier, &leaf);
        }
        store_view_end(&view);
    }
    return err;
}

/* The root that the tiles give. */
static enum err tiles_root(struct publisher *publisher, uint64_t size, struct hash *root, struct why *why)
{
    struct store_view view;
    enum err err = store_view_begin(publisher->pipeline->store, &view, why);
    if (err != OK)
        return err;
    view.tiles.cache = &publisher->cache;
    struct hash_reader reader = store_view_tiles(&view, size);
    err = merkle_root(size, &reader, root, why);
    store_view_end(&view);
    return err;
}

static enum err prove(void *ctx, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why)
{
    struct publisher *publisher = ctx;
    struct store_view view;
    enum err err = store_view_begin(publisher->pipeline->store, &view, why);
    if (err != OK)
        return err;
    view.tiles.cache = &publisher->cache;
    struct hash_reader reader = store_view_tiles(&view, size);
    err = merkle_consistency_prove(old, size, &reader, proof, n, why);
    store_view_end(&view);
    return err;
}

/* Keeps DIR/checkpoint and what the routes show. */
static enum err show(struct publisher *publisher, struct why *why)
{
    struct signed_head *full = witnesses_full_head(publisher->pipeline->witnesses);
    bool satisfied = false;
    enum err err = full == NULL ? OK : signed_head_satisfies(full, publisher->policy, &satisfied, why);
    if (err == OK)
        err = published_show(publisher->pipeline->published, publisher->current, satisfied ? full : NULL, why);
    return err;
}

static enum err keep_file(struct publisher *publisher, struct why *why)
{
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
    if ((err = show(publisher, why)) != OK)
        return err;
    release_waiting(publisher->pipeline, publisher->current->head.size);
    return keep_file(publisher, why);
}

/* A witness's cosignature came in. That of a head which is shown already, a straggler's, is shown too. */
static enum err cosigned(void *ctx, struct signed_head *head, struct why *why)
{
    struct publisher *publisher = ctx;
    if (head == publisher->out)
        return try_publish(publisher, why);
    if (publisher->current == NULL)
        return OK;
    enum err err = OK;
    if (head == publisher->current || head == witnesses_full_head(publisher->pipeline->witnesses))
        err = show(publisher, why);
    if (err == OK && head == publisher->current)
        err = keep_file(publisher, why);
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
    pthread_mutex_lock(&publisher->pipeline->lock);
    publisher->pipeline->signed_size = head->size;
    if (publisher->pipeline->behind_since_ms == 0)
        publisher->pipeline->behind_since_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&publisher->pipeline->lock);
    witnesses_ask(publisher->pipeline->witnesses, publisher->out);
    return try_publish(publisher, why);
}

/* Recomputes the tree of `size` leaves and has its head signed. */
static enum err sign(struct publisher *publisher, uint64_t size, struct why *why)
{
    struct hash root, proof[PROOF_HASHES_MAX];
    size_t n;
    enum err err = read_back(publisher, size, why);
    if (err == OK)
        err = tiles_root(publisher, size, &root, why);
    if (err != OK)
        return err;
    struct head head = { size, frontier_root(&publisher->frontier) };
    if (!hash_eq(&head.root, &root))
        return fail(why, ERR_ENV, "the entries up to %llu do not hash to the root that the tiles give: nothing is signed",
                    (unsigned long long)size);
    if ((err = prove(publisher, publisher->last.size, size, proof, &n, why)) != OK)
        return err;
    struct buf text = BUF_EMPTY;
    struct checkpoint checkpoint = { .origin = span_str(publisher->pipeline->config->origin), .size = size, .root = head.root };
    checkpoint_render(&text, &checkpoint);
    struct signer_request request = { .text = span_buf(&text), .old = publisher->last.size, .proof = proof, .proof_n = n };
    struct signer_answer answer;
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
        err = put_out(publisher, &head, span_buf(&text), &answer, why);
    }
    buf_free(&text);
    return err;
}

/* Signs where something is to be signed and may be now. *wait_ms comes down to when it may. */
static enum err sign_what_is_due(struct publisher *publisher, unsigned *wait_ms, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    if (publisher->out != NULL)
        return OK;
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
    if (now_ms < publisher->next_sign_ms) {
        uint64_t until_ms = publisher->next_sign_ms - now_ms;
        *wait_ms = until_ms < *wait_ms ? (unsigned)until_ms : *wait_ms;
        return OK;
    }
    return sign(publisher, size, why);
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
    drop(publisher->policy);
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
    return publisher->current != NULL ? show(publisher, why) : OK;
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
    if (err != OK)
        return err;
    expire(pipeline, &wait_ms);
    return witnesses_step(pipeline->witnesses, wait_ms, why);
}

void *publisher_run(void *ctx)
{
    struct pipeline *pipeline = ctx;
    struct why why;
    for (;;) {
        pthread_mutex_lock(&pipeline->lock);
        bool ends = pipeline->stopping || pipeline->failed;
        pthread_mutex_unlock(&pipeline->lock);
        if (ends)
            return NULL;
        if (one_round(pipeline->publisher, &why) != OK)
            pipeline_fail(pipeline, "publish", &why);
    }
}

/* Holds the store what was signed? A log whose data was lost, or changed, must not go on. */
static enum err check_head(struct publisher *publisher, const struct head *head, const char *whose, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    struct hash root;
    if (pipeline->committed < head->size)
        return fail(why, ERR_REFUSED,
                    "%s/data holds %llu entries, but %s has %llu: data was lost or an old copy was put back. To recover, put "
                    "back a copy of data that holds at least as many; never remove heads",
                    pipeline->config->dir, (unsigned long long)pipeline->committed, whose, (unsigned long long)head->size);
    enum err err = tiles_root(publisher, head->size, &root, why);
    if (err == OK && !hash_eq(&root, &head->root))
        err = fail(why, ERR_REFUSED,
                   "%s/data has another root at size %llu than %s: the data was changed. To recover, put back a copy of data "
                   "that was not; never remove heads",
                   pipeline->config->dir, (unsigned long long)head->size, whose);
    return err;
}

/* The published checkpoint as the last run left it: served at once where it is the signer's newest head. */
static enum err load_checkpoint(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    struct buf text = BUF_EMPTY;
    struct signed_head *head = NULL;
    struct why reason;
    bool found, satisfied = false;
    enum err err = file_read_if(publisher->checkpoint_file, NOTE_BYTES_MAX, &text, &found, why);
    if (err != OK || !found)
        goto out;
    const struct vkey *key = signer_key(pipeline->signer);
    if (signed_head_parse(&head, span_buf(&text), key, publisher->policy, clock_monotonic_ms(), &reason) != OK) {
        report_why(REPORT_WARN, "checkpoint-passed-over", &reason);
        goto out;
    }
    if ((err = check_head(publisher, &head->head, "the published checkpoint", why)) != OK)
        goto out;
    err = signed_head_satisfies(head, publisher->policy, &satisfied, why);
    if (err != OK || !satisfied || head->head.size != publisher->last.size || !hash_eq(&head->head.root, &publisher->last.root))
        goto out;
    publisher->current = signed_head_keep(head);
    witnesses_ask(pipeline->witnesses, head);
    pipeline->published_size = head->head.size;
    err = show(publisher, why);
out:
    signed_head_release(head);
    buf_free(&text);
    return err;
}

static enum err start(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    struct head_record record;
    bool found;
    enum err err = signer_last(pipeline->signer, span_str(pipeline->config->origin), &found, &record, why);
    if (err != OK)
        return err;
    publisher->last = found ? record.head : (struct head){ 0, merkle_empty_root() };
    pipeline->committed = store_size(pipeline->store);
    pipeline->signed_size = publisher->last.size;
    if (!found && pipeline->committed > 0)
        return fail(why, ERR_REFUSED,
                    "%s/data holds %llu entries, but %s/heads knows no head of this log: it was lost or made anew. To recover, "
                    "put back the heads file that belongs to this key",
                    pipeline->config->dir, (unsigned long long)pipeline->committed, pipeline->config->dir);
    if ((err = check_head(publisher, &publisher->last, "the signer's last head", why)) != OK)
        return err;
    struct store_view view;
    if ((err = store_view_begin(pipeline->store, &view, why)) != OK)
        return err;
    struct hash_reader reader = store_view_tiles(&view, publisher->last.size);
    err = frontier_load(&publisher->frontier, publisher->last.size, &reader, why);
    store_view_end(&view);
    if (err == OK)
        err = witnesses_use(pipeline->witnesses, publisher->policy, why);
    if (err == OK)
        err = load_checkpoint(publisher, why);
    if (err != OK)
        return err;
    if (pipeline->committed > pipeline->published_size || publisher->current == NULL)
        pipeline->behind_since_ms = clock_monotonic_ms();
    /* The empty head is signed before anything can be committed: data without a signed head is always a lost head. */
    return found ? OK : sign(publisher, 0, why);
}

enum err publisher_new(struct publisher **out, struct pipeline *pipeline, struct policy *policy, struct why *why)
{
    *out = NULL;
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        drop(policy);
        return fail(why, ERR_ENV, "out of memory");
    }
    *publisher = (struct publisher){ .pipeline = pipeline, .policy = policy };
    publisher->checkpoint_file = path_join(pipeline->config->dir, "checkpoint");
    struct witnesses_hooks hooks = { .prove = prove, .cosigned = cosigned, .ctx = publisher };
    enum err err =
        publisher->checkpoint_file == NULL ? fail(why, ERR_ENV, "out of memory") : witnesses_new(&pipeline->witnesses, &hooks, why);
    if (err == OK)
        err = start(publisher, why);
    *out = publisher;
    return err;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    signed_head_release(publisher->out);
    signed_head_release(publisher->current);
    witnesses_free(publisher->pipeline->witnesses);
    publisher->pipeline->witnesses = NULL;
    drop(publisher->policy);
    free(publisher->checkpoint_file);
    free(publisher);
}
