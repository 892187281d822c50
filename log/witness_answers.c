/* What a witness answers, and what of it counts. */
#include "lib/addcheckpoint.h"
#include "lib/sys/clock.h"
#include "lib/sys/report.h"
#include "log/witnesses_internal.h"

/* 409 answers in a row that each named another size: such a witness does not know its own head. */
enum { CONFLICTS_MAX = 8 };

void witness_failed(struct witness *witness, enum witness_failure kind, uint64_t retry_after_s, const struct why *why)
{
    unsigned shift = witness->failed_in_a_row < 10 ? witness->failed_in_a_row : 10;
    uint64_t wait_ms = (uint64_t)WITNESS_BACKOFF_MS << shift;
    if (wait_ms > WITNESS_BACKOFF_MS_MAX)
        wait_ms = WITNESS_BACKOFF_MS_MAX;
    if (retry_after_s > 0)
        wait_ms = 1000 * (retry_after_s < WITNESS_RETRY_AFTER_S_MAX ? retry_after_s : WITNESS_RETRY_AFTER_S_MAX);
    witness->not_before_ms = clock_monotonic_ms() + wait_ms;
    uint64_t failures = ++witness->failures[kind];
    /* The first of a row, then ever fewer. */
    if ((witness->failed_in_a_row & (witness->failed_in_a_row + 1)) == 0)
        report(REPORT_WARN, "witness-failed", "witness=%s failures=%llu why=%s", report_quote(witness->name),
               (unsigned long long)failures, report_quote(why->text));
    witness->failed_in_a_row++;
}

/* The first error of a hook is kept until the answers of this step are taken. */
static void keep_hook_err(struct witnesses *witnesses, enum err err, const struct why *why)
{
    if (err == OK || witnesses->hook_err != OK)
        return;
    witnesses->hook_err = err;
    witnesses->hook_why = *why;
}

/* An old cosignature tells nobody that the log is as it is now, one from the future would do so for too long. */
static enum err check_time(struct witness *witness, uint64_t time_s, struct why *why)
{
    int64_t ahead_s = (int64_t)(time_s - clock_posix_s());
    witness->clock_ahead_s = ahead_s;
    if (ahead_s >= -WITNESS_CLOCK_S_MAX && ahead_s <= WITNESS_CLOCK_S_MAX)
        return OK;
    return fail(why, ERR_REFUSED, "it cosigned with a time %lld s %s ours: not counted; its clock or ours is wrong",
                (long long)(ahead_s < 0 ? -ahead_s : ahead_s), ahead_s < 0 ? "behind" : "ahead of");
}

static void take_cosignature(struct witnesses *witnesses, struct witness *witness, struct signed_head *head, struct span body)
{
    struct buf line = BUF_EMPTY;
    struct why why;
    uint64_t time_s;
    enum err err = cosignature_from_reply(body, span_buf(&head->text), &witness->policy->key, &line, &time_s, &why);
    if (err == OK)
        err = check_time(witness, time_s, &why);
    if (err != OK) {
        witness_failed(witness, WITNESS_WRONG, 0, &why);
    } else {
        if (witness->failed_in_a_row > 0)
            report(REPORT_INFO, "witness-answers-again", "witness=%s", report_quote(witness->name));
        witness->size = head->head.size;
        witness->cosignatures++;
        witness->last_success_ms = clock_monotonic_ms();
        witness->failed_in_a_row = witness->conflicts_in_a_row = 0;
        witness->not_before_ms = 0;
        err = signed_head_cosign(head, witness->policy->key.key, span_buf(&line), &why);
        if (err == OK)
            err = witnesses->hooks.cosigned(witnesses->hooks.ctx, head, &why);
        keep_hook_err(witnesses, err, &why);
    }
    buf_free(&line);
}

/* 409: its own size stands in the body. */
static void take_conflict(struct witnesses *witnesses, struct witness *witness, const struct signed_head *head, struct span body)
{
    struct why why;
    uint64_t size;
    witness->conflicts++;
    if (!add_checkpoint_conflict_parse(body, &size)) {
        fail(&why, ERR_MALFORMED, "409 without a size (tlog-witness, \"add-checkpoint\")");
    } else if (size > witnesses->newest->head.size) {
        witness->ahead++;
        witness->ask_shown = true;
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
    witness_failed(witness, WITNESS_WRONG, 0, &why);
}

static void take_refusal(struct witness *witness, const struct http_response *response)
{
    struct why why;
    /* It has another root at our size, or one that our proof does not reach: what it shows tells whose fault that is. */
    witness->ask_shown |= response->status == 422;
    struct span body = span_buf(&response->body);
    body.len = body.len > 200 ? 200 : body.len;
    fail(&why, ERR_REFUSED, "HTTP status %u: %.*s", response->status, SPAN_FMT(body));
    witness_failed(witness, WITNESS_REFUSED, response->retry_after_s, &why);
}

/* What it shows. A 4xx is an answer as well: it has nothing of ours, or does not show it here. */
static void take_shown(struct witnesses *witnesses, struct witness *witness, const struct http_response *response)
{
    bool no_answer = response->status >= 500 || response->status == 429 || response->status == 408;
    if (no_answer) {
        take_refusal(witness, response);
        return;
    }
    witness->ask_shown = false;
    witness->heard = true;
    if (response->status != 200)
        return;
    uint64_t size;
    struct why why;
    enum err err = witnesses->hooks.shown(witnesses->hooks.ctx, witness->name, span_buf(&response->body), &size, &why);
    if (err == OK)
        witness->size = size;
    else if (err == ERR_MALFORMED)
        witness_failed(witness, WITNESS_WRONG, 0, &why);
    else
        keep_hook_err(witnesses, err, &why);
}

void witnesses_take_answer(void *ctx, size_t slot, const struct http_response *response, const struct why *reason)
{
    struct witnesses *witnesses = ctx;
    struct witness *witness = &witnesses->list[slot];
    struct signed_head *head = witness->asked;
    witness->asked = NULL;
    witness->asking = false;
    if (response != NULL)
        witness->connections += response->connections;
    if (response == NULL)
        witness_failed(witness, WITNESS_UNREACHABLE, 0, reason);
    else if (head == NULL)
        take_shown(witnesses, witness, response);
    else if (response->status == 200)
        take_cosignature(witnesses, witness, head, span_buf(&response->body));
    else if (response->status == 409)
        take_conflict(witnesses, witness, head, span_buf(&response->body));
    else
        take_refusal(witness, response);
    signed_head_release(head);
}
