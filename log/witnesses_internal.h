/*
 * What the files of the log's witnesses share: witnesses.c asks, witness_answers.c takes what comes, witness_metrics.c counts.
 */
#ifndef STELE_LOG_WITNESSES_INTERNAL_H
#define STELE_LOG_WITNESSES_INTERNAL_H

#include <pthread.h>

#include "lib/sys/http_calls.h"
#include "log/witnesses.h"

/* Why a request came to nothing: it had no answer, another status than 200 and 409, or an answer that is wrong. */
enum witness_failure { WITNESS_UNREACHABLE, WITNESS_REFUSED, WITNESS_WRONG, WITNESS_FAILURES };

struct witness {
    const struct policy_witness *policy;
    char *name, *add_url, *shown_url; /* no URLs where the policy gives none */
    bool asking;
    struct signed_head *asked; /* to be cosigned, where that is what is in flight */
    bool ask_shown;            /* before anything else it is asked what it shows */
    bool heard;                /* it answered that once */
    uint64_t sent_old;
    uint64_t not_before_ms;
    unsigned failed_in_a_row, conflicts_in_a_row;
    /* Read by witnesses_metrics as well: */
    _Atomic uint64_t size; /* that it cosigned last, as far as we know */
    _Atomic uint64_t requests, connections, cosignatures, conflicts, ahead;
    _Atomic uint64_t failures[WITNESS_FAILURES];
    _Atomic uint64_t last_success_ms;
    _Atomic int64_t clock_ahead_s; /* of ours, by its last cosignature */
};

struct witnesses {
    struct witnesses_hooks hooks;
    char origin_hex[65];
    const struct policy *policy;
    struct signed_head *newest, *full;
    uint64_t full_ms;
    enum err hook_err; /* of a hook that was called while taking answers */
    struct why hook_why;
    struct buf body;
    /* These change only in witnesses_use, under the lock: witnesses_wake and witnesses_metrics take it to read them. */
    pthread_mutex_t lock;
    struct http_calls *calls;
    struct witness *list;
    size_t n;
};

/* A request to `witness` came to nothing: counted, reported, and it is left alone for a while. */
void witness_failed(struct witness *witness, enum witness_failure kind, uint64_t retry_after_s, const struct why *why);
/* http_calls_wait's `done`, with a struct witnesses. */
void witnesses_take_answer(void *witnesses, size_t slot, const struct http_response *response, const struct why *reason);

#endif
