/*
 * A head that the signer signed, and the cosignatures that witnesses gave for it. Used by the publisher's thread alone.
 */
#ifndef STELE_LOG_SIGNED_HEAD_H
#define STELE_LOG_SIGNED_HEAD_H

#include "lib/head.h"
#include "lib/policy.h"
#include "log/limits.h"

struct head_cosignature {
    uint8_t key[32];
    struct buf line; /* with its newline */
    bool fresh;      /* given since it was last asked for */
};

struct signed_head {
    unsigned refs;
    struct head head;
    struct buf text;     /* the checkpoint's */
    struct buf log_line; /* the log's signature line */
    struct head_cosignature cosignatures[LOG_WITNESSES_MAX];
    size_t n;
    uint64_t since_ms; /* when it was signed, or last asked for again */
};

/* One reference is the caller's; NULL where memory is short. */
struct signed_head *signed_head_new(const struct head *head, struct span text, struct span log_line, uint64_t now_ms);
struct signed_head *signed_head_keep(struct signed_head *head);
void signed_head_release(struct signed_head *head); /* NULL is fine */

/* Puts a witness's line in place of an earlier one of it. ERR_ENV. */
enum err signed_head_cosign(struct signed_head *head, const uint8_t key[32], struct span line, struct why *why);
/* Has it this witness's cosignature, given since it was last asked for? */
bool signed_head_has_fresh(const struct signed_head *head, const uint8_t key[32]);
/* All witnesses are to be asked again; what they gave counts until then. */
void signed_head_ask_again(struct signed_head *head, uint64_t now_ms);
/* Do the cosignatures satisfy the policy? ERR_ENV. */
enum err signed_head_satisfies(const struct signed_head *head, const struct policy *policy, bool *satisfied, struct why *why);
/* The signed note with all cosignatures. */
void signed_head_render(struct buf *out, const struct signed_head *head);

/* Reads back what signed_head_render wrote: verified under the log's key and the policy's witnesses, whose lines alone
 * are kept. ERR_MALFORMED, ERR_REFUSED, ERR_ENV. */
enum err signed_head_parse(struct signed_head **out, struct span text, const struct vkey *log, const struct policy *policy,
                           uint64_t now_ms, struct why *why);

#endif
