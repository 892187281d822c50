/*
 * What the parts of `stele-log recover` share: log/recover.c decides, log/recover_remote.c takes what is missing from another copy
 * of the log, log/recover_files.c from proof bundles.
 */
#ifndef STELE_LOG_RECOVER_H
#define STELE_LOG_RECOVER_H

#include "log/folder.h"
#include "log/lost_lists.h"
#include "log/remote.h"
#include "log/store.h"

/* A head that the log signed: it must be a head of the tree that is recovered. */
struct known_head {
    struct head head;
    const char *whose; /* for messages */
};

struct recovery {
    struct log_config config;
    struct buf key_text;
    struct vkey key;
    struct store *store;
    struct frontier frontier; /* of the entries that are stored */
    struct known_head *heads; /* by size, no size twice */
    size_t heads_n;
    struct buf note; /* the newest checkpoint that another copy showed, and its head */
    struct head note_head;
    struct remote *remote; /* NULL: none */
    struct input_file {
        struct hash hash;
        struct buf text;
    } * lists; /* input lists that were handed in */
    size_t lists_n;
    struct lost_lists lost;
};

/* Adds a head. ERR_REFUSED where another root is known at its size; ERR_ENV. */
enum err recovery_know(struct recovery *recovery, const struct head *head, const char *whose, struct why *why);
/* Of the first `n` of these entries, which come next: does the tree pass through every head that is known? ERR_REFUSED.
 * *after is the tree then. */
enum err recovery_try(const struct recovery *recovery, const struct span *entries, size_t n, struct frontier *after,
                      struct why *why);
/* Appends entries, which were proven, with their input lists as far as they can be had. `after` is from recovery_try. */
enum err recovery_append(struct recovery *recovery, const struct span *entries, size_t n, const struct frontier *after,
                         struct why *why);

/* Takes over the checkpoint of the copy at `url`, as far as it proves to continue what is here; then its entries. */
enum err recover_open_remote(struct recovery *recovery, const char *url, unsigned patience_ms, struct why *why);
enum err recover_from_remote(struct recovery *recovery, struct why *why);

/* Proof bundles and input lists, in any order. */
struct recovered_entry {
    uint64_t index;
    struct buf bytes;
};
struct recovered_files {
    struct recovered_entry *entries; /* by index */
    size_t n;
    struct buf checkpoint; /* the one that was verified last, and its head: many bundles share one */
    struct head checkpoint_head;
};
/* Reads and proves what is in the files; knows the heads of their checkpoints. ERR_MALFORMED, ERR_REFUSED. */
enum err recover_read_files(struct recovery *recovery, struct recovered_files *files, const char *const *paths, size_t n,
                            struct why *why);
/* Appends the entries that follow on what is stored, up to the first that is in no file. */
enum err recover_from_files(struct recovery *recovery, const struct recovered_files *files, struct why *why);
void recovered_files_free(struct recovered_files *files);

#endif
