#include "log/witnesses.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/report.h"
#include "log/witnesses_internal.h"

enum err witnesses_new(struct witnesses **out, struct span origin, const struct witnesses_hooks *hooks, struct why *why)
{
    *out = NULL;
    struct witnesses *witnesses = calloc(1, sizeof *witnesses);
    if (witnesses == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct hash hash = sha256_of(origin);
    struct buf hex = BUF_EMPTY;
    hex_encode(&hex, span_of(hash.b, sizeof hash.b));
    enum err err = buf_done(&hex, why);
    if (err != OK) {
        free(witnesses);
        return err;
    }
    memcpy(witnesses->origin_hex, hex.data, hex.len);
    buf_free(&hex);
    witnesses->hooks = *hooks;
    pthread_mutex_init(&witnesses->lock, NULL);
    *out = witnesses;
    return OK;
}

static void free_list(struct witness *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].name);
        free(list[i].add_url);
        free(list[i].shown_url);
        signed_head_release(list[i].asked);
    }
    free(list);
}

void witnesses_free(struct witnesses *witnesses)
{
    if (witnesses == NULL)
        return;
    if (witnesses->calls != NULL)
        http_calls_free(witnesses->calls);
    free_list(witnesses->list, witnesses->n);
    signed_head_release(witnesses->newest);
    signed_head_release(witnesses->full);
    buf_free(&witnesses->body);
    pthread_mutex_destroy(&witnesses->lock);
    free(witnesses);
}

/* URL and the paths after it, the later ones may be empty. */
static char *url_of(const struct policy_witness *policy, const char *path, const char *more, const char *last)
{
    struct buf url = BUF_EMPTY;
    buf_span(&url, policy->url);
    buf_str(&url, path);
    buf_str(&url, more);
    buf_str(&url, last);
    char *out = url.failed ? NULL : span_dup_str(span_buf(&url));
    buf_free(&url);
    return out;
}

static bool describe(struct witness *out, const struct witnesses *witnesses, const struct policy_witness *policy)
{
    *out = (struct witness){ .policy = policy, .name = span_dup_str(policy->name), .ask_shown = true };
    if (out->name == NULL)
        return false;
    if (policy->url.len == 0) {
        report(REPORT_WARN, "witness-without-url", "witness=%s", report_quote(out->name));
        return true;
    }
    out->add_url = url_of(policy, "/add-checkpoint", "", "");
    out->shown_url = url_of(policy, "/", witnesses->origin_hex, "/checkpoint");
    return out->add_url != NULL && out->shown_url != NULL;
}

enum err witnesses_use(struct witnesses *witnesses, const struct policy *policy, struct why *why)
{
    struct http_calls *calls = NULL;
    struct witness *list = calloc(policy->witnesses_n + 1, sizeof *list);
    size_t n = 0;
    enum err err = list == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    for (; err == OK && n < policy->witnesses_n; n++)
        if (!describe(&list[n], witnesses, &policy->witnesses[n]))
            err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = http_calls_new(&calls, policy->witnesses_n + 1, why);
    if (err != OK) {
        free_list(list, n);
        return err;
    }
    pthread_mutex_lock(&witnesses->lock);
    if (witnesses->calls != NULL)
        http_calls_free(witnesses->calls);
    free_list(witnesses->list, witnesses->n);
    witnesses->calls = calls;
    witnesses->list = list;
    witnesses->n = n;
    pthread_mutex_unlock(&witnesses->lock);
    witnesses->policy = policy;
    return OK;
}

enum err witnesses_heard(const struct witnesses *witnesses, bool *heard, struct why *why)
{
    const struct policy *policy = witnesses->policy;
    bool said[POLICY_WITNESSES_MAX] = { false };
    *heard = policy->root < 0; /* quorum none */
    if (*heard)
        return OK;
    for (size_t i = 0; i < witnesses->n; i++)
        said[i] = witnesses->list[i].heard;
    return quorum_satisfied(&policy->quorum, (uint32_t)policy->root, said, heard, NULL, why);
}

bool witnesses_asking(const struct witnesses *witnesses)
{
    for (size_t i = 0; i < witnesses->n; i++)
        if (witnesses->list[i].asking)
            return true;
    return false;
}

void witnesses_ask(struct witnesses *witnesses, struct signed_head *newest)
{
    signed_head_keep(newest);
    signed_head_release(witnesses->newest);
    witnesses->newest = newest;
    uint64_t now_ms = clock_monotonic_ms();
    if (witnesses->full != NULL && now_ms - witnesses->full_ms < FULL_HEAD_INTERVAL_MS)
        return;
    signed_head_keep(newest);
    signed_head_release(witnesses->full);
    witnesses->full = newest;
    witnesses->full_ms = now_ms;
}

struct signed_head *witnesses_full_head(const struct witnesses *witnesses)
{
    return witnesses->full;
}

/* A witness moves forward only: the full head first, while it can still be had. */
static struct signed_head *wanted(const struct witnesses *witnesses, const struct witness *witness)
{
    const uint8_t *key = witness->policy->key.key;
    struct signed_head *full = witnesses->full, *newest = witnesses->newest;
    if (newest == NULL)
        return NULL;
    if (full != NULL && full->head.size >= witness->size && !signed_head_has_fresh(full, key))
        return full;
    return signed_head_has_fresh(newest, key) ? NULL : newest;
}

static enum err render_request(struct witnesses *witnesses, const struct witness *witness, const struct signed_head *head,
                               struct why *why)
{
    struct hash proof[PROOF_HASHES_MAX];
    size_t n;
    enum err err = witnesses->hooks.prove(witnesses->hooks.ctx, witness->size, head->head.size, proof, &n, why);
    if (err != OK)
        return err;
    struct buf *body = &witnesses->body;
    buf_clear(body);
    buf_fmt(body, "old %llu\n", (unsigned long long)witness->size);
    for (size_t i = 0; i < n; i++) {
        base64_encode(body, span_of(proof[i].b, 32));
        buf_byte(body, '\n');
    }
    buf_byte(body, '\n');
    buf_span(body, span_buf(&head->text));
    buf_byte(body, '\n');
    buf_span(body, span_buf(&head->log_line));
    return buf_done(body, why);
}

/* Is there something to ask it? *head is what it is to cosign, NULL where it is asked what it shows. */
static bool due(const struct witnesses *witnesses, const struct witness *witness, struct signed_head **head)
{
    if (witness->add_url == NULL || witness->asking)
        return false;
    *head = witness->ask_shown ? NULL : wanted(witnesses, witness);
    return witness->ask_shown || *head != NULL;
}

static enum err start_request(struct witnesses *witnesses, size_t slot, struct signed_head *head, struct why *why)
{
    struct witness *witness = &witnesses->list[slot];
    struct why reason;
    enum err err, started;
    if (head == NULL) {
        started = http_calls_get(witnesses->calls, slot, witness->shown_url, WITNESS_TIMEOUT_MS, WITNESS_REPLY_BYTES_MAX, &reason);
    } else {
        if ((err = render_request(witnesses, witness, head, why)) != OK)
            return err;
        witness->sent_old = witness->size;
        started = http_calls_post(witnesses->calls, slot, witness->add_url, span_buf(&witnesses->body), WITNESS_TIMEOUT_MS,
                                  WITNESS_REPLY_BYTES_MAX, &reason);
    }
    if (started != OK) {
        witness_failed(witness, WITNESS_UNREACHABLE, 0, &reason);
        return OK;
    }
    witness->asking = true;
    witness->asked = head == NULL ? NULL : signed_head_keep(head);
    witness->requests++;
    return OK;
}

/* Starts what is due. *wait_ms comes down to when the next witness may be asked. */
static enum err start_requests(struct witnesses *witnesses, unsigned *wait_ms, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms();
    enum err err = OK;
    for (size_t i = 0; i < witnesses->n && err == OK; i++) {
        struct witness *witness = &witnesses->list[i];
        struct signed_head *head;
        if (!due(witnesses, witness, &head))
            continue;
        if (now_ms < witness->not_before_ms) {
            uint64_t until_ms = witness->not_before_ms - now_ms;
            *wait_ms = until_ms < *wait_ms ? (unsigned)until_ms : *wait_ms;
            continue;
        }
        err = start_request(witnesses, i, head, why);
    }
    return err;
}

enum err witnesses_step(struct witnesses *witnesses, unsigned timeout_ms, struct why *why)
{
    enum err err = start_requests(witnesses, &timeout_ms, why);
    if (err != OK)
        return err;
    witnesses->hook_err = OK;
    err = http_calls_wait(witnesses->calls, timeout_ms, witnesses_take_answer, witnesses, why);
    if (err == OK && witnesses->hook_err != OK) {
        *why = witnesses->hook_why;
        err = witnesses->hook_err;
    }
    return err;
}

void witnesses_wake(struct witnesses *witnesses)
{
    pthread_mutex_lock(&witnesses->lock);
    if (witnesses->calls != NULL)
        http_calls_wake(witnesses->calls);
    pthread_mutex_unlock(&witnesses->lock);
}
