/*
 * The making of a batch's signatures beside the sync that makes their heads durable: a second thread of the signer's. What it
 * makes stays in the signer until the sync has returned.
 */
#ifndef STELE_SYS_SIGNING_H
#define STELE_SYS_SIGNING_H

#include "lib/sys/key.h"

struct signing;

struct signature {
    bool wanted;
    struct span text; /* a checkpoint's note text; borrowed until signing_end */
    uint64_t time_s;  /* a cosignature's */
    uint8_t sig[64];
};

/* Starts the thread, and returns when it runs. It signs with `key`, of type `type`, until signing_stop. */
enum err signing_start(struct signing **out, const struct secret_key *key, enum sig_type type, struct why *why);
void signing_stop(struct signing *signing); /* NULL is fine */
/* Hands over a batch, of which those wanted are made in any order. Then signing_end, before the next. */
void signing_begin(struct signing *signing, struct signature *signatures, size_t n);
/* Makes with the thread what is left, and returns when all are made. ERR_ENV where one failed. */
enum err signing_end(struct signing *signing, struct why *why);

#endif
