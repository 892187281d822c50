/*
 * The heads file: the last head signed for each origin, durable before the signature leaves (spec/files.md).
 *
 * Append-only. A header of 128 bytes ("stele heads v1\n", zeros), then records of 128 bytes, big-endian:
 *   origin_hash[32] = SHA-256(origin)   size u64   root[32]   time_s u64   number u64   batch u64   check[32]
 * `number` counts records from 1, `batch` is the number of the first record written with the same sync, `check` is the
 * SHA-256 of the 96 bytes before it. The newest record of an origin counts. At start an invalid record is a torn write,
 * cut off, only where no valid record of a later batch follows; otherwise the file was damaged: refused, as is a missing
 * file (only `init` creates it), a gap in `number`, a size that falls.
 */
#ifndef STELE_SYS_HEADS_H
#define STELE_SYS_HEADS_H

#include "lib/head.h"

enum { HEADS_CLOCK_APART_MAX_S = 300 }; /* between what a person says and the machine's clock */

struct heads;

struct head_record {
    struct hash origin_hash;
    struct head head;
    uint64_t time_s; /* of the newest signature */
    bool suspended;  /* nothing follows on it until it is added again */
};

enum err heads_create(const char *path, struct why *why);
/* Opens and checks; rewrites the file (durably, by rename) where more than half of its records are superseded. */
enum err heads_open(struct heads **out, const char *path, struct why *why);
void heads_close(struct heads *heads);
/* DIR/heads, for a command that adds to what a server's signer remembers: takes the folder for this process. ERR_ENV, too, where
 * the server is running. */
enum err heads_take(struct heads **out, const char *dir, struct why *why);
/* DIR/heads to look at, also while a server adds to it: nothing can be added here. */
enum err heads_look(struct heads **out, const char *dir, struct why *why);
/* The newest record of an origin, or NULL. */
const struct head_record *heads_find(const struct heads *heads, const struct hash *origin_hash);
size_t heads_count(const struct heads *heads);
const struct head_record *heads_at(const struct heads *heads, size_t i); /* i < heads_count; until the next change */
/* Is nothing to be signed for this origin until a record is added for it? After heads_suspend that is so of every origin, those
 * without a record included: what was signed since the file was copied, and for whom, is not known. */
bool heads_suspended(const struct heads *heads, const struct hash *origin_hash);
/* The largest time of all records; 0 where there is none. */
uint64_t heads_newest_s(const struct heads *heads);
/* Suspends every origin, durably. */
enum err heads_suspend(struct heads *heads, struct why *why);
/* Origins that have no record are suspended no longer; durable. */
enum err heads_resume_others(struct heads *heads, struct why *why);
/* Adds records in one write and one fdatasync; only then do they count. Any error is final: ERR_ENV from then on. */
enum err heads_add(struct heads *heads, const struct head_record *records, size_t n, struct why *why);

/* After a clock that was ahead. What a person says that another clock shows, "2026-11-25T22:10Z", in POSIX seconds. */
bool heads_minute_parse(const char *text, uint64_t *time_s);
/* The same, which this machine's clock must agree with: *now_s. ERR_USAGE, ERR_REFUSED. Then each time in the future comes down to
 * that, durably; *changed of them. */
enum err heads_clock_said(const char *text, uint64_t *now_s, struct why *why);
enum err heads_clock_set(struct heads *heads, uint64_t now_s, size_t *changed, struct why *why);

#endif
