/*
 * The log's witnesses (c2sp.org/tlog-witness, "add-checkpoint"): all asked in parallel over kept-alive connections, each
 * with one request in flight, and next given the newest head. Whoever is slow, dead or wrong delays nobody else.
 *
 * Before a witness is asked for its first cosignature it is asked which head of this log it shows (GET
 * <origin hash>/checkpoint): what stands there under the log's own signature must be in our data, and is the size from which
 * its first proof goes. It counts as heard with any answer; whoever shows nothing of ours, or rubbish, is asked to cosign all
 * the same.
 *
 * A witness's 409 says from which size it wants its proof, however far behind that is. A 409 above our head is that
 * witness's fault: it is counted, reported and not believed, because only a head under the log's own signature could
 * show that the log lost something; so it is asked again what it shows. A cosignature counts only if its time is near ours.
 * Backoff and Retry-After are obeyed.
 *
 * Used by the publisher's thread, but for witnesses_wake and witnesses_metrics.
 */
#ifndef STELE_LOG_WITNESSES_H
#define STELE_LOG_WITNESSES_H

#include "log/signed_head.h"

struct witnesses;

struct witnesses_hooks {
    /* Consistency of the trees of `old` and `size` leaves, both signed heads' sizes or below. Its error ends witnesses_step. */
    enum err (*prove)(void *ctx, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n, struct why *why);
    /* A witness's cosignature was added to `head`. Its error ends witnesses_step. */
    enum err (*cosigned)(void *ctx, struct signed_head *head, struct why *why);
    /* The witness of that name shows `note` as this log's. OK with its size; ERR_MALFORMED where it is not under the log's
     * signature, which is the witness's fault. Any other error ends witnesses_step: our data does not hold what we signed. */
    enum err (*shown)(void *ctx, const char *witness, struct span note, uint64_t *size, struct why *why);
    void *ctx;
};

/* `origin` is the log's. */
enum err witnesses_new(struct witnesses **out, struct span origin, const struct witnesses_hooks *hooks, struct why *why);
void witnesses_free(struct witnesses *witnesses);

/* Asks the witnesses of `policy` from now on, which must last until the next call; drops requests in flight. */
enum err witnesses_use(struct witnesses *witnesses, const struct policy *policy, struct why *why);
/* Have as many of them said which head they show as the policy's quorum needs? ERR_ENV. */
enum err witnesses_heard(const struct witnesses *witnesses, bool *heard, struct why *why);
/* Is a request in flight? */
bool witnesses_asking(const struct witnesses *witnesses);
/* From now on `newest` is asked for, or asked for again. */
void witnesses_ask(struct witnesses *witnesses, struct signed_head *newest);
/* The head that is asked of all witnesses, whatever came after it; NULL where there is none. */
struct signed_head *witnesses_full_head(const struct witnesses *witnesses);

/* Starts the requests that are due, waits up to `timeout_ms` and takes what came. An error ends the log's signing: a hook's,
 * or memory. */
enum err witnesses_step(struct witnesses *witnesses, unsigned timeout_ms, struct why *why);
/* From any thread: ends the wait early. */
void witnesses_wake(struct witnesses *witnesses);

/* From any thread: appends the Prometheus lines of each witness. */
void witnesses_metrics(struct witnesses *witnesses, struct buf *out);

#endif
