/*
 * The missing entries from proof bundles, which carry their entries, and input lists from files. Each bundle proves its entry
 * under a checkpoint that the log signed; that those checkpoints are of one tree is seen when its entries are put in order.
 */
#include <stdlib.h>

#include "lib/proof.h"
#include "lib/statement.h"
#include "lib/sys/file.h"
#include "log/limits.h"
#include "log/recover.h"

static enum err verify(struct recovery *recovery, struct recovered_files *files, const struct proof *proof, struct span entry,
                       struct why *why)
{
    struct hash leaf = merkle_leaf_hash(entry);
    if (!span_eq(proof->checkpoint, span_buf(&files->checkpoint))) {
        struct head head;
        enum err err = folder_open_checkpoint(&recovery->key, proof->checkpoint, &head, why);
        if (err == OK)
            err = recovery_know(recovery, &head, "a proof bundle's checkpoint", why);
        if (err != OK)
            return err;
        buf_clear(&files->checkpoint);
        buf_span(&files->checkpoint, proof->checkpoint);
        if ((err = buf_done(&files->checkpoint, why)) != OK)
            return err;
        files->checkpoint_head = head;
    }
    struct checkpoint checkpoint = { .origin = recovery->key.name,
                                     .size = files->checkpoint_head.size,
                                     .root = files->checkpoint_head.root };
    return proof_verify_inclusion(proof, &leaf, &checkpoint, why);
}

static enum err take_bundle(struct recovery *recovery, struct recovered_files *files, const struct proof *proof, struct why *why)
{
    struct recovered_entry *entries = array_more(files->entries, files->n, sizeof *entries);
    if (entries == NULL)
        return fail(why, ERR_ENV, "out of memory");
    files->entries = entries;
    struct recovered_entry *entry = &files->entries[files->n];
    *entry = (struct recovered_entry){ .index = proof->index };
    if (!proof_extra(proof, &entry->bytes))
        return entry->bytes.failed ? fail(why, ERR_ENV, "out of memory") : fail(why, ERR_MALFORMED, "it does not carry its entry");
    files->n++; /* freed with the others, whatever comes */
    enum err err = verify(recovery, files, proof, span_buf(&entry->bytes), why);
    /* What is here already is only held against it. */
    if (err == OK && entry->index < recovery->frontier.size) {
        buf_free(&entry->bytes);
        files->n--;
    }
    return err;
}

static enum err take_bundles(struct recovery *recovery, struct recovered_files *files, struct span text, struct why *why)
{
    enum err err = OK;
    for (unsigned number = 1; text.len > 0 && err == OK; number++) {
        struct proof proof;
        err = proof_next(&proof, &text, why);
        if (err == OK)
            err = take_bundle(recovery, files, &proof, why);
        if (err != OK)
            fail_in(why, err, "proof bundle %u", number);
    }
    return err;
}

static enum err take_list(struct recovery *recovery, struct buf *text, struct why *why)
{
    struct input_file *lists = array_more(recovery->lists, recovery->lists_n, sizeof *lists);
    if (lists == NULL)
        return fail(why, ERR_ENV, "out of memory");
    recovery->lists = lists;
    lists[recovery->lists_n++] = (struct input_file){ .hash = sha256_of(span_buf(text)), .text = *text };
    *text = BUF_EMPTY;
    return OK;
}

/* A store path, an absolute one, begins an input list; no bundle begins so. */
static bool is_list(struct span text)
{
    return span_starts(text, "/");
}

static enum err read_file(struct recovery *recovery, struct recovered_files *files, const char *path, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct input *inputs = NULL;
    size_t n;
    enum err err = file_read(path, RECOVER_FILE_BYTES_MAX, &text, why);
    if (err != OK)
        return err;
    if (is_list(span_buf(&text))) {
        err = input_list_parse(span_buf(&text), &inputs, &n, why);
        free(inputs);
        if (err == OK)
            err = take_list(recovery, &text, why);
    } else {
        err = take_bundles(recovery, files, span_buf(&text), why);
    }
    buf_free(&text);
    return err == OK ? OK : fail_in(why, err, "%s", path);
}

static int by_index(const void *a, const void *b)
{
    const struct recovered_entry *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

enum err recover_read_files(struct recovery *recovery, struct recovered_files *files, const char *const *paths, size_t n,
                            struct why *why)
{
    enum err err = OK;
    for (size_t i = 0; i < n && err == OK; i++)
        err = read_file(recovery, files, paths[i], why);
    if (err == OK && files->n > 0)
        qsort(files->entries, files->n, sizeof files->entries[0], by_index);
    return err;
}

enum err recover_from_files(struct recovery *recovery, const struct recovered_files *files, struct why *why)
{
    enum { AT_ONCE = RECOVER_BUNDLES * TILE_WIDTH };
    struct span *entries = calloc(files->n + 1, sizeof *entries);
    struct frontier after;
    size_t n = 0;
    if (entries == NULL)
        return fail(why, ERR_ENV, "out of memory");
    /* The same entry may be in several bundles. */
    for (size_t i = 0; i < files->n; i++)
        if (files->entries[i].index == recovery->frontier.size + n)
            entries[n++] = span_buf(&files->entries[i].bytes);
    /* All of them first: nothing is stored of what does not fit together. */
    enum err err = recovery_try(recovery, entries, n, &after, why);
    for (size_t done = 0; done < n && err == OK; done += AT_ONCE) {
        size_t some = n - done < AT_ONCE ? n - done : AT_ONCE;
        err = recovery_try(recovery, entries + done, some, &after, why);
        if (err == OK)
            err = recovery_append(recovery, entries + done, some, &after, why);
    }
    free(entries);
    return err;
}

void recovered_files_free(struct recovered_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        buf_free(&files->entries[i].bytes);
    free(files->entries);
    buf_free(&files->checkpoint);
}
