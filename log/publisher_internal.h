/*
 * What the publisher's files share: publisher.c signs, publishes and lets the answers go; publisher_start.c holds the data
 * against what was signed and shown before. All of it is the publisher's thread's alone.
 */
#ifndef STELE_LOG_PUBLISHER_INTERNAL_H
#define STELE_LOG_PUBLISHER_INTERNAL_H

#include "log/pipeline.h"
#include "log/tree.h"

struct publisher {
    struct pipeline *pipeline;
    struct policy *policy; /* owned */
    struct tree tree;
    struct head last;            /* signed */
    struct signed_head *out;     /* signed, waits for its quorum */
    struct signed_head *current; /* published */
    uint64_t out_us;             /* since when it does */
    uint64_t heads_signed;       /* by this process */
    uint64_t next_sign_ms;
    char *checkpoint_file;
    bool file_due; /* it does not show `current` */
    uint64_t file_ms;
};

void publisher_drop_policy(struct policy *policy);
/* Recomputes the tree of `size` entries and has its head signed. */
enum err publisher_sign(struct publisher *publisher, uint64_t size, struct why *why);
/* Has the routes show what is published. */
enum err publisher_show(struct publisher *publisher, struct why *why);
/* Opens the way to new heads once a quorum of witnesses has said what it has (witnesses_heard). */
enum err publisher_compare(struct publisher *publisher, struct why *why);

/* struct witnesses_hooks. */
enum err publisher_prove(void *publisher, uint64_t old, uint64_t size, struct hash proof[PROOF_HASHES_MAX], size_t *n,
                         struct why *why);
enum err publisher_cosigned(void *publisher, struct signed_head *head, struct why *why);
enum err publisher_shown(void *publisher, const char *witness, struct span note, uint64_t *size, struct why *why);

#endif
