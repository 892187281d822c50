#include "lib/sys/signer.h"

#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/cosignature.h"
#include "lib/sys/child.h"
#include "lib/sys/clock.h"
#include "lib/sys/signing.h"
#include "lib/wire.h"

enum {
    CLOCK_BEHIND_MAX_S = 300, /* so far behind the last signature the last time is repeated; beyond, nothing is signed */
    OP_SIGN = 1,
    OP_LAST = 2,
};

/* The child's side, in its own copy of the memory. */
struct signer_state {
    struct signer_config config;
    struct secret_key *key;
    struct heads *heads;
    struct signing *signing;
};

struct signer {
    struct child *child;
    char *vkey_text;
    struct vkey key;
    struct signer_state state;
};

/* One request as the child sees it. */
struct job {
    struct checkpoint checkpoint;
    struct span text;
    struct hash origin_hash;
    struct head next, last;
    uint64_t old, time_s;
    const struct hash *proof;
    size_t proof_n;
    enum head_verdict verdict;
    bool clock_behind, record;
    struct why why;
};

static enum err start(void *ctx, struct buf *hello, struct why *why)
{
    struct signer_state *state = ctx;
    enum err err = secret_key_load(&state->key, state->config.key_path, state->config.type, why);
    if (err == OK)
        err = heads_open(&state->heads, state->config.heads_path, why);
    if (err == OK)
        err = signing_start(&state->signing, state->key, state->config.type, why);
    if (err != OK)
        return err;
    struct vkey key = secret_key_vkey(state->key);
    vkey_render(hello, &key);
    return buf_done(hello, why);
}

static void end(void *ctx)
{
    struct signer_state *state = ctx;
    signing_stop(state->signing);
    heads_close(state->heads);
    secret_key_free(state->key);
    state->signing = NULL;
    state->heads = NULL;
    state->key = NULL;
}

/* The newest head of the job's origin: of an earlier job of this batch, or of the file. */
static void find_last(const struct signer_state *state, const struct job *jobs, size_t i, struct head *last, uint64_t *time_s)
{
    const struct head_record *record = heads_find(state->heads, &jobs[i].origin_hash);
    *last = (struct head){ 0, merkle_empty_root() };
    *time_s = 0;
    if (record != NULL) {
        *last = record->head;
        *time_s = record->time_s;
    }
    for (size_t k = i; k-- > 0;)
        if (jobs[k].record && hash_eq(&jobs[k].origin_hash, &jobs[i].origin_hash)) {
            *last = jobs[k].next;
            *time_s = jobs[k].time_s;
            return;
        }
}

/* What no signature's time may be below: the newest one of the origin; a witness's time is one for all logs. */
static uint64_t newest_time(const struct signer_state *state, const struct job *jobs, size_t i, uint64_t last_s)
{
    if (state->config.type != SIG_COSIGNATURE)
        return last_s;
    uint64_t newest_s = heads_newest_s(state->heads);
    for (size_t k = 0; k < i; k++)
        if (jobs[k].record && jobs[k].time_s > newest_s)
            newest_s = jobs[k].time_s;
    return newest_s;
}

/* Gives the job its verdict, its time, and whether a record must be durable first. */
static void judge(const struct signer_state *state, struct job *jobs, size_t i)
{
    struct job *job = &jobs[i];
    uint64_t last_s, now_s = clock_posix_s();
    find_last(state, jobs, i, &job->last, &last_s);
    if (heads_suspended(state->heads, &job->origin_hash)) {
        job->verdict = HEAD_SUSPENDED;
        fail(&job->why, ERR_ENV, "suspended: restored from a backup, and not resumed yet");
        return;
    }
    /* The head that was signed last may always be signed again, whatever `old` says for a log's own signer: that is how a
     * restart finishes. A witness keeps to the letter of the rule. */
    bool again = state->config.type == SIG_ED25519 && last_s != 0 && job->next.size == job->last.size &&
                 hash_eq(&job->next.root, &job->last.root);
    job->verdict =
        again ? HEAD_OK
              : head_follows(&job->last, job->old, &job->next, job->proof, job->proof_n, state->config.growth_max, &job->why);
    if (job->verdict != HEAD_OK)
        return;
    uint64_t newest_s = newest_time(state, jobs, i, last_s);
    job->time_s = now_s > newest_s ? now_s : newest_s;
    if (newest_s > now_s + CLOCK_BEHIND_MAX_S) {
        job->clock_behind = true;
        fail(&job->why, ERR_ENV,
             "the clock is %llu s behind the last signature: set it right; where it was ahead then, "
             "say so with `set-clock`",
             (unsigned long long)(newest_s - now_s));
        return;
    }
    /* A time is part of what was said: a cosignature never goes back behind it, also across a restart. */
    bool same = last_s != 0 && job->next.size == job->last.size && hash_eq(&job->next.root, &job->last.root);
    job->record = !same || (state->config.type == SIG_COSIGNATURE && job->time_s != last_s);
}

static bool take_job(struct span *request, struct job *job)
{
    struct span proof;
    *job = (struct job){ 0 };
    if (!wire_take(request, &job->text) || !wire_take_u64(request, &job->old) || !wire_take(request, &proof) ||
        proof.len % sizeof(struct hash) != 0 || proof.len / sizeof(struct hash) > PROOF_HASHES_MAX)
        return false;
    job->proof = (const struct hash *)(const void *)proof.data;
    job->proof_n = proof.len / sizeof(struct hash);
    return true;
}

/* The text must be what its parsed form renders to: what is signed has one form. */
static enum err parse_text(struct job *job, struct why *why)
{
    struct buf again = BUF_EMPTY;
    enum err err = checkpoint_parse(&job->checkpoint, job->text, why);
    if (err == OK) {
        checkpoint_render(&again, &job->checkpoint);
        err = buf_done(&again, why);
    }
    if (err == OK && !span_eq(span_buf(&again), job->text))
        err = fail(why, ERR_MALFORMED, "the checkpoint is not in its one form");
    buf_free(&again);
    if (err == OK) {
        job->origin_hash = sha256_of(job->checkpoint.origin);
        job->next = (struct head){ job->checkpoint.size, job->checkpoint.root };
    }
    return err;
}

static enum err make_durable(struct signer_state *state, const struct job *jobs, size_t n, struct why *why)
{
    struct head_record records[SIGNER_BATCH_MAX];
    size_t records_n = 0;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].record)
            records[records_n++] = (struct head_record){ jobs[i].origin_hash, jobs[i].next, jobs[i].time_s, false };
    return records_n == 0 ? OK : heads_add(state->heads, records, records_n, why);
}

static void put_head(struct buf *out, const struct head *head)
{
    wire_put_u64(out, head->size);
    wire_put(out, span_of(head->root.b, sizeof head->root.b));
}

static bool take_head(struct span *rest, struct head *out)
{
    struct span root;
    if (!wire_take_u64(rest, &out->size) || !wire_take(rest, &root) || root.len != sizeof out->root.b)
        return false;
    memcpy(out->root.b, root.data, root.len);
    return true;
}

/* The signatures are made while the heads are made durable: one takes about as long as the other. None leaves before both are. */
static enum err make_durable_and_sign(struct signer_state *state, const struct job *jobs, struct signature *signatures, size_t n,
                                      struct why *why)
{
    struct why why_not_signed;
    for (size_t i = 0; i < n; i++)
        signatures[i] = (struct signature){ .wanted = jobs[i].verdict == HEAD_OK && !jobs[i].clock_behind,
                                            .text = jobs[i].text,
                                            .time_s = jobs[i].time_s };
    signing_begin(state->signing, signatures, n);
    enum err err = make_durable(state, jobs, n, why), err_signing = signing_end(state->signing, &why_not_signed);
    return err != OK || err_signing == OK ? err : fail(why, err_signing, "%s", why_not_signed.text);
}

static void put_answer(struct buf *reply, const struct job *job, const struct signature *signature)
{
    wire_put_u64(reply, job->verdict);
    wire_put_u64(reply, job->clock_behind);
    put_head(reply, &job->last);
    wire_put_u64(reply, job->time_s);
    wire_put(reply, span_of(signature->sig, sizeof signature->sig));
    wire_put(reply, span_str(job->why.text));
}

static enum err serve_sign(struct signer_state *state, struct span request, struct buf *reply, struct why *why)
{
    uint64_t n;
    if (!wire_take_u64(&request, &n) || n == 0 || n > SIGNER_BATCH_MAX)
        return fail(why, ERR_MALFORMED, "a request to the signer is cut");
    struct job *jobs = calloc(n, sizeof *jobs);
    struct signature *signatures = calloc(n, sizeof *signatures);
    enum err err = jobs == NULL || signatures == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    for (size_t i = 0; i < n && err == OK; i++) {
        err = take_job(&request, &jobs[i]) ? parse_text(&jobs[i], why) : fail(why, ERR_MALFORMED, "a request to the signer is cut");
        if (err == OK)
            judge(state, jobs, i);
    }
    if (err == OK)
        err = make_durable_and_sign(state, jobs, signatures, n, why);
    for (size_t i = 0; i < n && err == OK; i++)
        put_answer(reply, &jobs[i], &signatures[i]);
    free(signatures);
    free(jobs);
    return err == OK ? buf_done(reply, why) : err;
}

static enum err serve_last(const struct signer_state *state, struct span origin, struct buf *reply, struct why *why)
{
    struct hash origin_hash = sha256_of(origin);
    const struct head_record *record = heads_find(state->heads, &origin_hash);
    wire_put_u64(reply, record != NULL);
    wire_put_u64(reply, heads_suspended(state->heads, &origin_hash));
    if (record != NULL) {
        put_head(reply, &record->head);
        wire_put_u64(reply, record->time_s);
    }
    return buf_done(reply, why);
}

static enum err serve(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    struct span origin;
    uint64_t op;
    if (!wire_take_u64(&request, &op))
        return fail(why, ERR_MALFORMED, "a request to the signer is cut");
    if (op == OP_SIGN)
        return serve_sign(ctx, request, reply, why);
    if (op == OP_LAST && wire_take(&request, &origin))
        return serve_last(ctx, origin, reply, why);
    return fail(why, ERR_MALFORMED, "an unknown request to the signer");
}

enum err signer_start(struct signer **out, const struct signer_config *config, struct why *why)
{
    struct buf hello = BUF_EMPTY;
    *out = NULL;
    struct signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return fail(why, ERR_ENV, "out of memory");
    signer->state.config = *config;
    struct child_role role = { .name = "the signer", .start = start, .serve = serve, .end = end, .ctx = &signer->state };
    enum err err = child_start(&signer->child, &role, &hello, why);
    if (err == OK && (signer->vkey_text = span_dup_str(span_buf(&hello))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = vkey_parse(&signer->key, span_str(signer->vkey_text), config->type, why);
    buf_free(&hello);
    if (err != OK) {
        signer_stop(signer);
        return err;
    }
    *out = signer;
    return OK;
}

void signer_stop(struct signer *signer)
{
    if (signer == NULL)
        return;
    child_stop(signer->child);
    free(signer->vkey_text);
    free(signer);
}

enum err signer_lives(const struct signer *signer, struct why *why)
{
    return child_lives(signer->child, why);
}

const struct vkey *signer_key(const struct signer *signer)
{
    return &signer->key;
}

static bool take_answer(struct span *rest, struct signer_answer *out)
{
    uint64_t verdict, behind;
    struct span sig, why;
    *out = (struct signer_answer){ 0 };
    if (!wire_take_u64(rest, &verdict) || !wire_take_u64(rest, &behind) || !take_head(rest, &out->last) ||
        !wire_take_u64(rest, &out->time_s) || !wire_take(rest, &sig) || sig.len != sizeof out->sig || !wire_take(rest, &why))
        return false;
    out->verdict = (enum head_verdict)verdict;
    out->clock_behind = behind != 0;
    memcpy(out->sig, sig.data, sig.len);
    fail(&out->why, ERR_REFUSED, "%.*s", SPAN_FMT(why));
    return true;
}

enum err signer_sign(struct signer *signer, const struct signer_request *requests, size_t n, struct signer_answer *answers,
                     struct why *why)
{
    struct buf request = BUF_EMPTY, reply = BUF_EMPTY;
    wire_put_u64(&request, OP_SIGN);
    wire_put_u64(&request, n);
    for (size_t i = 0; i < n; i++) {
        wire_put(&request, requests[i].text);
        wire_put_u64(&request, requests[i].old);
        wire_put(&request, span_of(requests[i].proof, requests[i].proof_n * sizeof *requests[i].proof));
    }
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(signer->child, span_buf(&request), &reply, why);
    struct span rest = span_buf(&reply);
    for (size_t i = 0; i < n && err == OK; i++)
        if (!take_answer(&rest, &answers[i]))
            err = fail(why, ERR_ENV, "the signer's answer is cut");
    buf_free(&request);
    buf_free(&reply);
    return err;
}

enum err signer_last(struct signer *signer, struct span origin, bool *found, struct head_record *out, struct why *why)
{
    struct buf request = BUF_EMPTY, reply = BUF_EMPTY;
    uint64_t known = 0, suspended = 0;
    wire_put_u64(&request, OP_LAST);
    wire_put(&request, origin);
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(signer->child, span_buf(&request), &reply, why);
    struct span rest = span_buf(&reply);
    if (err == OK && (!wire_take_u64(&rest, &known) || !wire_take_u64(&rest, &suspended) ||
                      (known != 0 && (!take_head(&rest, &out->head) || !wire_take_u64(&rest, &out->time_s)))))
        err = fail(why, ERR_ENV, "the signer's answer is cut");
    out->origin_hash = sha256_of(origin);
    out->suspended = suspended != 0;
    *found = known != 0;
    buf_free(&request);
    buf_free(&reply);
    return err;
}

void signer_line(struct buf *out, const struct signer *signer, const struct signer_answer *answer)
{
    if (signer->key.type == SIG_ED25519) {
        note_sig_render(out, &signer->key, span_of(answer->sig, sizeof answer->sig));
        return;
    }
    uint8_t cosignature[COSIGNATURE_BYTES];
    put_be64(cosignature, answer->time_s);
    memcpy(cosignature + 8, answer->sig, sizeof answer->sig);
    note_sig_render(out, &signer->key, span_of(cosignature, sizeof cosignature));
}
