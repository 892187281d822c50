#include "log/witnesses.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/http_client.h"
#include "lib/sys/report.h"

/* 409 answers in a row that each named another size: such a witness does not know its own head. */
enum { CONFLICTS_MAX = 8 };

struct witness {
    const struct policy_witness *policy;
    char *url, *name;          /* "…/add-checkpoint"; NULL where the policy gives no URL */
    struct signed_head *asked; /* in flight */
    uint64_t sent_old;
    uint64_t not_before_ms;
    unsigned failed_in_a_row, conflicts_in_a_row;
    /* Read by witnesses_metrics as well: */
    _Atomic uint64_t size; /* that it cosigned last, as far as we know */
    _Atomic uint64_t failures, last_success_ms;
};

struct witnesses {
    struct witnesses_hooks hooks;
    struct signed_head *newest, *full;
    uint64_t full_ms;
    enum err hook_err; /* of a hook that was called while taking answers */
    struct why hook_why;
    struct buf body;
    /* These change only in witnesses_use, under the lock: witnesses_wake and witnesses_metrics take it to read them. */
    pthread_mutex_t lock;
    struct http_posts *posts;
    struct witness *list;
    size_t n;
};

enum err witnesses_new(struct witnesses **out, const struct witnesses_hooks *hooks, struct why *why)
{
    *out = NULL;
    struct witnesses *witnesses = calloc(1, sizeof *witnesses);
    if (witnesses == NULL)
        return fail(why, ERR_ENV, "out of memory");
    witnesses->hooks = *hooks;
    pthread_mutex_init(&witnesses->lock, NULL);
    *out = witnesses;
    return OK;
}

static void free_list(struct witness *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].url);
        free(list[i].name);
        signed_head_release(list[i].asked);
    }
    free(list);
}

void witnesses_free(struct witnesses *witnesses)
{
    if (witnesses == NULL)
        return;
    if (witnesses->posts != NULL)
        http_posts_free(witnesses->posts);
    free_list(witnesses->list, witnesses->n);
    signed_head_release(witnesses->newest);
    signed_head_release(witnesses->full);
    buf_free(&witnesses->body);
    pthread_mutex_destroy(&witnesses->lock);
    free(witnesses);
}

static bool describe(struct witness *out, const struct policy_witness *policy)
{
    *out = (struct witness){ .policy = policy, .name = span_dup_str(policy->name) };
    if (out->name == NULL)
        return false;
    if (policy->url.len == 0) {
        report(REPORT_WARN, "witness-without-url", "witness=%s", report_quote(out->name));
        return true;
    }
    struct buf url = BUF_EMPTY;
    buf_span(&url, policy->url);
    buf_str(&url, "/add-checkpoint");
    out->url = url.failed ? NULL : span_dup_str(span_buf(&url));
    buf_free(&url);
    return out->url != NULL;
}

enum err witnesses_use(struct witnesses *witnesses, const struct policy *policy, struct why *why)
{
    struct http_posts *posts = NULL;
    struct witness *list = calloc(policy->witnesses_n + 1, sizeof *list);
    size_t n = 0;
    enum err err = list == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    for (; err == OK && n < policy->witnesses_n; n++)
        if (!describe(&list[n], &policy->witnesses[n]))
            err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = http_posts_new(&posts, policy->witnesses_n + 1, why);
    if (err != OK) {
        free_list(list, n);
        return err;
    }
    pthread_mutex_lock(&witnesses->lock);
    if (witnesses->posts != NULL)
        http_posts_free(witnesses->posts);
    free_list(witnesses->list, witnesses->n);
    witnesses->posts = posts;
    witnesses->list = list;
    witnesses->n = n;
    pthread_mutex_unlock(&witnesses->lock);
    return OK;
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

static void failed(struct witness *witness, uint64_t retry_after_s, const struct why *why)
{
    unsigned shift = witness->failed_in_a_row < 10 ? witness->failed_in_a_row : 10;
    uint64_t wait_ms = (uint64_t)WITNESS_BACKOFF_MS << shift;
    if (wait_ms > WITNESS_BACKOFF_MS_MAX)
        wait_ms = WITNESS_BACKOFF_MS_MAX;
    if (retry_after_s > 0)
        wait_ms = 1000 * (retry_after_s < WITNESS_RETRY_AFTER_S_MAX ? retry_after_s : WITNESS_RETRY_AFTER_S_MAX);
    witness->not_before_ms = clock_monotonic_ms() + wait_ms;
    witness->failures++;
    /* The first of a row, then ever fewer. */
    if ((witness->failed_in_a_row & (witness->failed_in_a_row + 1)) == 0)
        report(REPORT_WARN, "witness-failed", "witness=%s failures=%llu why=%s", report_quote(witness->name),
               (unsigned long long)witness->failures, report_quote(why->text));
    witness->failed_in_a_row++;
}

/* Starts what is due. *wait_ms comes down to when the next witness may be asked. */
static enum err start_requests(struct witnesses *witnesses, unsigned *wait_ms, struct why *why)
{
    uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < witnesses->n; i++) {
        struct witness *witness = &witnesses->list[i];
        struct signed_head *head = wanted(witnesses, witness);
        if (witness->url == NULL || witness->asked != NULL || head == NULL)
            continue;
        if (now_ms < witness->not_before_ms) {
            uint64_t until_ms = witness->not_before_ms - now_ms;
            *wait_ms = until_ms < *wait_ms ? (unsigned)until_ms : *wait_ms;
            continue;
        }
        enum err err = render_request(witnesses, witness, head, why);
        if (err != OK)
            return err;
        struct why reason;
        witness->sent_old = witness->size;
        if (http_posts_start(witnesses->posts, i, witness->url, span_buf(&witnesses->body), WITNESS_TIMEOUT_MS,
                             WITNESS_REPLY_BYTES_MAX, &reason) == OK)
            witness->asked = signed_head_keep(head);
        else
            failed(witness, 0, &reason);
    }
    return OK;
}

static void take_cosignature(struct witnesses *witnesses, struct witness *witness, struct signed_head *head, struct span body)
{
    struct buf line = BUF_EMPTY;
    struct why why;
    uint64_t time_s;
    enum err err = cosignature_from_reply(body, span_buf(&head->text), &witness->policy->key, &line, &time_s, &why);
    if (err != OK) {
        failed(witness, 0, &why);
    } else {
        if (witness->failed_in_a_row > 0)
            report(REPORT_INFO, "witness-answers-again", "witness=%s", report_quote(witness->name));
        witness->size = head->head.size;
        witness->last_success_ms = clock_monotonic_ms();
        witness->failed_in_a_row = witness->conflicts_in_a_row = 0;
        witness->not_before_ms = 0;
        err = signed_head_cosign(head, witness->policy->key.key, span_buf(&line), &why);
        if (err == OK)
            err = witnesses->hooks.cosigned(witnesses->hooks.ctx, head, &why);
        if (err != OK && witnesses->hook_err == OK) {
            witnesses->hook_err = err;
            witnesses->hook_why = why;
        }
    }
    buf_free(&line);
}

/* 409: its own size stands in the body. */
static void take_conflict(struct witnesses *witnesses, struct witness *witness, const struct signed_head *head, struct span body)
{
    struct why why;
    struct span number, rest = body;
    uint64_t size;
    if (!span_line(&rest, &number) || rest.len != 0 || !span_decimal(number, TREE_SIZE_MAX, &size)) {
        fail(&why, ERR_MALFORMED, "409 without a size (tlog-witness, \"add-checkpoint\")");
    } else if (size > witnesses->newest->head.size) {
        fail(&why, ERR_REFUSED, "it claims size %llu, beyond our head of %llu: not counted", (unsigned long long)size,
             (unsigned long long)witnesses->newest->head.size);
    } else if (size == witness->sent_old) {
        fail(&why, ERR_REFUSED, "409 with the old size that it was given, %llu", (unsigned long long)size);
    } else {
        if (size < witness->sent_old)
            report(REPORT_WARN, "witness-went-back", "witness=%s from=%llu to=%llu", report_quote(witness->name),
                   (unsigned long long)witness->sent_old, (unsigned long long)size);
        witness->size = size;
        if (++witness->conflicts_in_a_row <= CONFLICTS_MAX)
            return;
        fail(&why, ERR_REFUSED, "%u answers 409 in a row, with other sizes (asked for %llu)", witness->conflicts_in_a_row,
             (unsigned long long)head->head.size);
    }
    failed(witness, 0, &why);
}

static void take_answer(void *ctx, size_t slot, const struct http_response *response, const struct why *reason)
{
    struct witnesses *witnesses = ctx;
    struct witness *witness = &witnesses->list[slot];
    struct signed_head *head = witness->asked;
    witness->asked = NULL;
    if (head == NULL)
        return;
    if (response == NULL) {
        failed(witness, 0, reason);
    } else if (response->status == 200) {
        take_cosignature(witnesses, witness, head, span_buf(&response->body));
    } else if (response->status == 409) {
        take_conflict(witnesses, witness, head, span_buf(&response->body));
    } else {
        struct why why;
        struct span body = span_buf(&response->body);
        body.len = body.len > 200 ? 200 : body.len;
        fail(&why, ERR_REFUSED, "HTTP status %u: %.*s", response->status, SPAN_FMT(body));
        failed(witness, response->retry_after_s, &why);
    }
    signed_head_release(head);
}

enum err witnesses_step(struct witnesses *witnesses, unsigned timeout_ms, struct why *why)
{
    enum err err = start_requests(witnesses, &timeout_ms, why);
    if (err != OK)
        return err;
    witnesses->hook_err = OK;
    err = http_posts_wait(witnesses->posts, timeout_ms, take_answer, witnesses, why);
    if (err == OK && witnesses->hook_err != OK) {
        *why = witnesses->hook_why;
        err = witnesses->hook_err;
    }
    return err;
}

void witnesses_wake(struct witnesses *witnesses)
{
    pthread_mutex_lock(&witnesses->lock);
    if (witnesses->posts != NULL)
        http_posts_wake(witnesses->posts);
    pthread_mutex_unlock(&witnesses->lock);
}

/* NAME{witness="…"} with the label's escapes. */
static void metric(struct buf *out, const char *name, const struct witness *witness)
{
    buf_fmt(out, "stele_log_witness_%s{witness=\"", name);
    for (const char *c = witness->name; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            buf_byte(out, '\\');
        buf_byte(out, (uint8_t)*c);
    }
    buf_str(out, "\"} ");
}

void witnesses_metrics(struct witnesses *witnesses, struct buf *out)
{
    uint64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&witnesses->lock);
    for (size_t i = 0; i < witnesses->n; i++) {
        const struct witness *w = &witnesses->list[i];
        uint64_t success_ms = w->last_success_ms;
        metric(out, "size", w);
        buf_fmt(out, "%llu\n", (unsigned long long)w->size);
        metric(out, "failures_total", w);
        buf_fmt(out, "%llu\n", (unsigned long long)w->failures);
        if (success_ms == 0)
            continue;
        metric(out, "last_success_age_seconds", w);
        buf_fmt(out, "%.3f\n", success_ms < now_ms ? (double)(now_ms - success_ms) / 1000 : 0);
    }
    pthread_mutex_unlock(&witnesses->lock);
}
