/*
 * Who may submit, and how much: before anything of a submission costs the log.
 *
 * Of each builder's key so many attestations a second, counted once their signatures have verified: a forger spends nothing of a
 * builder's. Of each address so many, counted as they come, where the operator wants that or anybody may submit. An address whose
 * signatures do not verify is not turned away, since others may share it, but waits for a thread of its own, so that the
 * verifications which it causes never take more than one.
 */
#ifndef STELE_LOG_ADMISSION_H
#define STELE_LOG_ADMISSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/sys/http_server.h"
#include "lib/sys/metrics.h"
#include "log/submission.h"
#include "log/workers.h"

struct admission {
    const char *proxy; /* whose X-Forwarded-For counts; NULL for none */
    pthread_rwlock_t lock;
    struct builders *builders;                 /* owned; replaced as a whole */
    struct rate *keys, *addresses, *forgeries; /* of which the first two may be NULL: no limit */
    struct workers *suspects;                  /* the thread of their own */
    /* Submissions, by what became of them; the counters of `refused` in the order of admission_statuses. */
    atomic_ullong refused[8];
};

/* The statuses that refuse a submission: 400, 403, …; ends with 0. */
extern const unsigned admission_statuses[];

/* `builders` is owned from here on, but for a failure. */
enum err admission_start(struct admission *admission, const struct log_config *config, struct builders *builders, struct why *why);
void admission_stop(struct admission *admission);
void admission_use_builders(struct admission *admission, struct builders *builders);

/* Which way a request goes, asked by the HTTP thread: on to the verifiers, or by itself. Answers, and gives ADMIT_REFUSED, where
 * its address has had enough. */
enum admit { ADMIT_TRUSTED, ADMIT_SUSPECT, ADMIT_REFUSED };
enum admit admission_ask(struct admission *admission, struct http_request *request);
/* By a verifier: parses and verifies the request's body, and takes what it costs. Answers where it is refused. */
struct submission *admission_read(struct admission *admission, struct http_request *request, struct store *store,
                                  struct histogram *took);
/* A submission was turned away for another reason, with this status. */
void admission_count(struct admission *admission, unsigned status);

#endif
