/*
 * The publisher's start: the data is held against the signer's last head, the published checkpoint, and the heads that the
 * witnesses show (spec/invariants.md, 5). A log whose data was lost, or changed, or whose whole folder was put back from an old
 * copy, must not sign: it would fork.
 *
 * The signer's head is asked first. Where the folder as a whole is an old copy only the witnesses know: no new head is signed,
 * and nothing is committed, before as many of them have said what they have as a head needs to be published. That makes nothing
 * wait that would not wait anyway: short of them nothing could be published. Whoever does not answer is asked again, and whatever
 * it shows then is held against the data all the same.
 */
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/report.h"
#include "log/limits.h"
#include "log/publisher_internal.h"

/* Holds the store what was signed? */
static enum err hold(struct publisher *publisher, const struct head *head, const char *whose, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    const char *dir = pipeline->config->dir;
    struct hash root;
    pthread_mutex_lock(&pipeline->lock);
    uint64_t committed = pipeline->committed;
    pthread_mutex_unlock(&pipeline->lock);
    if (committed < head->size)
        return fail(why, ERR_REFUSED,
                    "%s/data holds %llu entries, but %s has %llu: data was lost or an old copy was put back. Take what is missing "
                    "from a mirror or another copy of this log with `stele-log recover %s --from URL`; never remove heads",
                    dir, (unsigned long long)committed, whose, (unsigned long long)head->size, dir);
    enum err err = tree_root(&publisher->tree, head->size, &root, why);
    if (err == OK && !hash_eq(&head->root, &root))
        err =
            fail(why, ERR_REFUSED,
                 "%s/data has another root at size %llu than %s: the data was changed, or this log's key signed two trees. Take "
                 "the entries from a mirror or another copy of this log with `stele-log recover %s --from URL`; never remove heads",
                 dir, (unsigned long long)head->size, whose, dir);
    return err;
}

/* ERR_MALFORMED where it is no head of this log's: then it is the witness's fault. */
static enum err open_shown(const struct publisher *publisher, struct span text, struct head *head, struct why *why)
{
    const struct vkey *key = publisher->pipeline->key;
    struct note note;
    struct checkpoint checkpoint;
    struct why reason;
    if (note_parse(&note, text, &reason) != OK || checkpoint_open(&checkpoint, &note, key->name, key, 1, &reason) != OK)
        return fail(why, ERR_MALFORMED, "the checkpoint that it shows is not signed by this log: %s", reason.text);
    *head = (struct head){ checkpoint.size, checkpoint.root };
    return OK;
}

enum err publisher_shown(void *ctx, const char *witness, struct span text, uint64_t *size, struct why *why)
{
    struct publisher *publisher = ctx;
    struct head head;
    struct buf whose = BUF_EMPTY;
    enum err err = open_shown(publisher, text, &head, why);
    if (err == OK && publisher->pipeline->frozen != NULL && head.size > publisher->last.size)
        err = fail(why, ERR_MALFORMED, "it shows a head beyond the one at which this log was frozen");
    if (err != OK)
        return err;
    buf_fmt(&whose, "a head under this log's own signature, shown by the witness %s,", witness);
    buf_byte(&whose, '\0');
    if ((err = buf_done(&whose, why)) == OK)
        err = hold(publisher, &head, (const char *)whose.data, why);
    buf_free(&whose);
    if (err != OK)
        return err;
    /* Its next head extends the data's, so this one as well. */
    if (head.size > publisher->last.size)
        report(REPORT_WARN, "signer-was-behind", "witness=%s shown=%llu signed=%llu", report_quote(witness),
               (unsigned long long)head.size, (unsigned long long)publisher->last.size);
    *size = head.size;
    return OK;
}

enum err publisher_compare(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    bool heard = true;
    if (pipeline->compared)
        return OK;
    enum err err = witnesses_heard(pipeline->witnesses, &heard, why);
    if (err != OK || !heard)
        return err;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->compared = true;
    pthread_mutex_unlock(&pipeline->lock);
    return OK;
}

/* Those that answer at once are heard before anything is served; nobody else is waited for if a quorum answers. */
static enum err ask_witnesses(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    uint64_t now_ms = clock_monotonic_ms(), until_ms = now_ms + WITNESS_START_MS;
    enum err err = witnesses_use(pipeline->witnesses, publisher->policy, why);
    while (err == OK && (err = publisher_compare(publisher, why)) == OK && !pipeline->compared && now_ms < until_ms) {
        err = witnesses_step(pipeline->witnesses, (unsigned)(until_ms - now_ms), why);
        now_ms = clock_monotonic_ms();
        if (!witnesses_asking(pipeline->witnesses))
            now_ms = until_ms;
    }
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
    if (signed_head_parse(&head, span_buf(&text), pipeline->key, publisher->policy, clock_monotonic_ms(), &reason) != OK) {
        report_why(REPORT_WARN, "checkpoint-passed-over", &reason);
        goto out;
    }
    if ((err = hold(publisher, &head->head, "the published checkpoint", why)) != OK)
        goto out;
    if (head->head.size > publisher->last.size)
        report(REPORT_WARN, "signer-was-behind", "published=%llu signed=%llu", (unsigned long long)head->head.size,
               (unsigned long long)publisher->last.size);
    err = signed_head_satisfies(head, publisher->policy, &satisfied, why);
    if (err != OK || !satisfied || head->head.size != publisher->last.size || !hash_eq(&head->head.root, &publisher->last.root))
        goto out;
    publisher->current = signed_head_keep(head);
    witnesses_ask(pipeline->witnesses, head);
    pipeline->published_size = head->head.size;
    err = publisher_show(publisher, why);
out:
    signed_head_release(head);
    buf_free(&text);
    return err;
}

/* A frozen log shows DIR/checkpoint for ever, and has witnesses cosign it again: neither needs its key. */
static enum err start_frozen(struct publisher *publisher, struct why *why)
{
    struct pipeline *pipeline = publisher->pipeline;
    struct buf text = BUF_EMPTY;
    struct signed_head *head = NULL;
    bool satisfied = false;
    enum err err = file_read(publisher->checkpoint_file, NOTE_BYTES_MAX, &text, why);
    if (err == OK &&
        (err = signed_head_parse(&head, span_buf(&text), pipeline->key, publisher->policy, clock_monotonic_ms(), why)) != OK)
        fail_in(why, err, "%s, which a frozen log shows", publisher->checkpoint_file);
    if (err == OK) {
        pipeline->committed = store_size(pipeline->store);
        err = hold(publisher, &head->head, "the published checkpoint", why);
    }
    if (err == OK)
        err = witnesses_use(pipeline->witnesses, publisher->policy, why);
    if (err == OK)
        err = signed_head_satisfies(head, publisher->policy, &satisfied, why);
    if (err != OK)
        goto out;
    publisher->last = head->head;
    pipeline->committed = pipeline->signed_size = head->head.size; /* whatever lies beyond is not the log's any more */
    pipeline->compared = true;
    witnesses_ask(pipeline->witnesses, head);
    if (satisfied) {
        publisher->current = signed_head_keep(head);
        pipeline->published_size = head->head.size;
        err = publisher_show(publisher, why);
    } else {
        publisher->out = signed_head_keep(head);
        pipeline->behind_since_ms = clock_monotonic_ms();
    }
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
    if ((err = hold(publisher, &publisher->last, "the signer's last head", why)) == OK)
        err = tree_load(&publisher->tree, publisher->last.size, why);
    if (err == OK)
        err = ask_witnesses(publisher, why);
    if (err == OK)
        err = load_checkpoint(publisher, why);
    if (err != OK)
        return err;
    if (pipeline->committed > pipeline->published_size || publisher->current == NULL)
        pipeline->behind_since_ms = clock_monotonic_ms();
    /* The empty head is signed before anything can be committed: data without a signed head is always a lost head. */
    return found ? OK : publisher_sign(publisher, 0, why);
}

enum err publisher_new(struct publisher **out, struct pipeline *pipeline, struct policy *policy, struct why *why)
{
    *out = NULL;
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        publisher_drop_policy(policy);
        return fail(why, ERR_ENV, "out of memory");
    }
    *publisher = (struct publisher){ .pipeline = pipeline, .policy = policy, .tree.store = pipeline->store };
    publisher->checkpoint_file = path_join(pipeline->config->dir, "checkpoint");
    struct witnesses_hooks hooks = {
        .prove = publisher_prove, .cosigned = publisher_cosigned, .shown = publisher_shown, .ctx = publisher
    };
    enum err err = publisher->checkpoint_file == NULL
                       ? fail(why, ERR_ENV, "out of memory")
                       : witnesses_new(&pipeline->witnesses, span_str(pipeline->config->origin), &hooks, why);
    if (err == OK)
        err = pipeline->frozen != NULL ? start_frozen(publisher, why) : start(publisher, why);
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
    publisher_drop_policy(publisher->policy);
    free(publisher->checkpoint_file);
    free(publisher);
}
