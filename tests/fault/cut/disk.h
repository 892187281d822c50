/*
 * What a disk may hold after a power cut, from a trace (tests/fault/cut/trace.h).
 *
 * The rules, POSIX's at their hardest:
 * - What was written to a file lasts once a sync of that file that began after the write has returned. Until then any part of it
 *   may be there, in sectors of 512 bytes, whatever else is. A write by an O_DSYNC descriptor lasts when it has returned.
 * - A name that was made, changed or removed lasts once a sync of its folder that began afterwards has returned. Until then it
 *   may be there or not, whatever else is; a rename within a folder is whole or not at all, into another it is two changes.
 * - A sync of a file does not make its name last, nor that of a folder what its files hold. A sync of the file system (syncfs)
 *   makes all of it last, as though each file and folder that was there by then had been synced.
 */
#ifndef STELE_TESTS_FAULT_CUT_DISK_H
#define STELE_TESTS_FAULT_CUT_DISK_H

#include "lib/bytes.h"
#include "tests/fault/cut/trace.h"

enum { DISK_SECTOR_BYTES = 512, DISK_NO_SITE = -1 };

/* A change of a file or folder. */
struct disk_op {
    enum trace_kind kind; /* WRITE, WRITE_SYNC, RESIZE of a file; CREATE, RENAME, UNLINK of a folder's names */
    uint64_t begin, end;
    size_t object;
    int site; /* of a WRITE_SYNC */
    uint64_t at;
    struct span bytes;
    struct span name, new_name; /* borrowed from the trace */
    size_t child;
};

struct disk_sync {
    uint64_t begin, end;
    size_t object;
    int site;
};

/* Where a program syncs: who called whom, and what was synced. */
struct disk_site {
    char what[512]; /* "PROGRAM KIND PATH": a name with random letters at its end ends in "*" */
    /* The first site of those that a change at one place of the source would take out together: the same sync, for the same
     * caller; or, where a library syncs, that of one call and one file. */
    int place;
    bool by_library;
    struct span program;
    const uint64_t *frames;
    size_t frames_n;
    unsigned count;
};

struct disk_object {
    bool folder;
    char *base; /* the file in the copy from which the trace began, or NULL */
    size_t *ops, ops_n;
    struct disk_sync *syncs;
    size_t syncs_n;
};

/* A position at which something is about to last. */
struct disk_cut {
    uint64_t at;
    int site;
};

struct disk {
    struct span trace;
    char *root;
    struct disk_op *ops; /* in the order in which they were begun */
    size_t ops_n;
    struct disk_object *objects; /* 0: the root */
    size_t objects_n;
    struct disk_site *sites;
    size_t sites_n;
    struct disk_cut *cuts; /* ascending; the last is the end of the trace */
    size_t cuts_n;
    uint64_t *revivals; /* where a program began after one had died in the middle of a change */
    size_t revivals_n;
};

/* How much of an operation is there. Torn: sectors, or pages of 4 KiB, by a coin that `seed` gives. */
enum disk_share { DISK_NOTHING, DISK_WHOLE, DISK_TORN_SECTORS, DISK_TORN_PAGES };

/* Walks the records of a trace from `at` (0: the first); NULL at the end. */
const struct trace_record *trace_next(struct span trace, uint64_t *at);
static inline struct span trace_text(const struct trace_record *record)
{
    return span_of(record->frames + record->frames_n, record->text_bytes);
}

/* A coin's many sides, from a number. */
static inline uint64_t disk_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* `base` is a copy of what TRACE_ROOT held when the recording began. ERR_MALFORMED, ERR_ENV. */
enum err disk_load(struct disk *disk, struct span trace, const char *root, const char *base, struct why *why);

/* since[i]: the position from which operation i lasts; UINT64_MAX where it never does. As though the syncs of the sites for which
 * `without` (NULL, or a flag a site) is set were never done. */
void disk_lasting(const struct disk *disk, const bool *without, uint64_t *since);

/* Makes `to`, a folder that is not there, what the disk holds: of each operation the share that `shares` says. */
enum err disk_write(const struct disk *disk, const uint8_t *shares, uint64_t seed, const char *to, struct why *why);

#endif
