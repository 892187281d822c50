/*
 * `stele-log fsck`: everything recomputed from the entries, and held against what is stored and what was signed. Code of its
 * own: nothing of the sequencer's tiles is believed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/headsfile.h"
#include "lib/sys/cli.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/key.h"
#include "lib/sys/service.h"
#include "log/commands.h"
#include "log/config.h"
#include "log/entry.h"

enum { LEVELS = 8, HEADS_BYTES_MAX = 1 << 30, PROGRESS_EVERY = 4096 };

/* A head that somebody was shown, or may have been: the tree must have this root at this size. */
struct witnessed {
    const char *what;
    struct head head;
    bool seen;
};

struct level {
    uint64_t number;
    unsigned width;
    uint8_t hashes[TILE_WIDTH * 32];
};

struct fsck {
    struct log_config config;
    struct store *store;
    struct store_view view;
    bool full;
    struct frontier frontier;
    struct level levels[LEVELS];
    uint64_t indexed, keys;
    struct witnessed witnessed[2];
    size_t witnessed_n;
    struct buf payload;
};

static enum err check_tile(struct fsck *fsck, unsigned level, struct why *why)
{
    struct level *own = &fsck->levels[level];
    struct tile tile = { .level = (uint8_t)level, .index = own->number, .width = (uint16_t)own->width };
    struct span bytes;
    enum err err = store_view_tile(&fsck->view, &tile, &bytes, why);
    if (err == OK && memcmp(bytes.data, own->hashes, bytes.len) != 0)
        err = fail(why, ERR_REFUSED, "tile %llu of level %u is not what its entries give", (unsigned long long)own->number, level);
    return err;
}

/* Adds a hash to a level; a full tile is checked, and its root goes to the level above. */
static enum err add_hash(struct fsck *fsck, struct hash hash, struct why *why)
{
    for (unsigned level = 0; level < LEVELS; level++) {
        struct level *own = &fsck->levels[level];
        memcpy(own->hashes + 32 * (size_t)own->width++, hash.b, 32);
        if (own->width < TILE_WIDTH)
            return OK;
        enum err err = check_tile(fsck, level, why);
        if (err != OK)
            return err;
        struct frontier tile;
        frontier_start(&tile);
        for (size_t i = 0; i < TILE_WIDTH; i++) {
            struct hash one;
            memcpy(one.b, own->hashes + 32 * i, 32);
            frontier_append(&tile, &one);
        }
        hash = frontier_root(&tile);
        *own = (struct level){ .number = own->number + 1 };
    }
    return fail(why, ERR_REFUSED, "the tree has too many levels");
}

static enum err check_heads(struct fsck *fsck, struct why *why)
{
    for (size_t i = 0; i < fsck->witnessed_n; i++) {
        struct witnessed *one = &fsck->witnessed[i];
        if (one->head.size != fsck->frontier.size)
            continue;
        struct hash root = frontier_root(&fsck->frontier);
        if (!hash_eq(&root, &one->head.root))
            return fail(why, ERR_REFUSED, "%s has another root at size %llu than the entries give", one->what,
                        (unsigned long long)one->head.size);
        one->seen = true;
    }
    return OK;
}

/* --full: the envelope's form and signature, and every index. */
static enum err check_content(struct fsck *fsck, struct span bytes, uint64_t index, struct why *why)
{
    struct envelope envelope;
    struct store_entry entry;
    buf_clear(&fsck->payload);
    enum err err = envelope_parse(&envelope, bytes, &fsck->payload, why);
    if (err == OK)
        err = envelope_verify(&envelope, why);
    if (err != OK)
        return fail_in(why, err, "entry %llu", (unsigned long long)index);
    entry_start(&entry, &envelope);
    entry.index = index;
    if ((err = entry_describe(&entry, &envelope, why)) != OK)
        fail_in(why, err, "entry %llu", (unsigned long long)index);
    else
        err = store_view_check(&fsck->view, &entry, fsck->indexed, &fsck->keys, why);
    entry_free(&entry);
    return err;
}

static enum err check_entries(struct fsck *fsck, struct why *why)
{
    struct store_walk walk;
    enum err err = check_heads(fsck, why);
    store_walk_start(&walk, &fsck->view, 0);
    while (err == OK && fsck->frontier.size < fsck->view.size) {
        struct span bytes;
        if (fsck->frontier.size % PROGRESS_EVERY == 0)
            cli_progress("checking entries", fsck->frontier.size, fsck->view.size);
        err = store_walk_next(&walk, &bytes, why);
        if (err != OK)
            break;
        struct hash leaf = merkle_leaf_hash(bytes);
        if (fsck->full)
            err = check_content(fsck, bytes, fsck->frontier.size, why);
        frontier_append(&fsck->frontier, &leaf);
        if (err == OK)
            err = add_hash(fsck, leaf, why);
        if (err == OK)
            err = check_heads(fsck, why);
    }
    for (unsigned level = 0; level < LEVELS && err == OK; level++)
        if (fsck->levels[level].width > 0)
            err = check_tile(fsck, level, why);
    return err;
}

static enum err check_ends(struct fsck *fsck, struct why *why)
{
    for (size_t i = 0; i < fsck->witnessed_n; i++)
        if (!fsck->witnessed[i].seen)
            return fail(why, ERR_REFUSED, "%s is at size %llu, but there are only %llu entries: the data was rolled back",
                        fsck->witnessed[i].what, (unsigned long long)fsck->witnessed[i].head.size,
                        (unsigned long long)fsck->view.size);
    return fsck->full ? store_view_check_keys(&fsck->view, fsck->keys, why) : OK;
}

static void remember_head(struct fsck *fsck, const char *what, const struct head *head)
{
    fsck->witnessed[fsck->witnessed_n++] = (struct witnessed){ .what = what, .head = *head };
}

/* DIR/checkpoint, where there is one: signed by the log's key. */
static enum err load_checkpoint(struct fsck *fsck, struct why *why)
{
    struct buf text = BUF_EMPTY, vkey_text = BUF_EMPTY;
    struct note note;
    struct checkpoint checkpoint;
    struct vkey key;
    bool found = false;
    char *path = path_join(fsck->config.dir, "checkpoint");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(path, NOTE_BYTES_MAX, &text, &found, why);
    if (err == OK && found) {
        err = service_vkey(fsck->config.dir, SIG_ED25519, &vkey_text, why);
        if (err == OK)
            err = vkey_parse(&key, span_buf(&vkey_text), SIG_ED25519, why);
        if (err == OK)
            err = note_parse(&note, span_buf(&text), why);
        if (err == OK)
            err = checkpoint_open(&checkpoint, &note, span_str(fsck->config.origin), &key, 1, why);
        if (err != OK)
            fail_in(why, err, "%s", path);
        else
            remember_head(fsck, "the published checkpoint", &(struct head){ checkpoint.size, checkpoint.root });
    }
    buf_free(&text);
    buf_free(&vkey_text);
    free(path);
    return err;
}

struct newest {
    struct hash origin_hash;
    struct head head;
    bool found;
};

static enum err take_head(void *ctx, const struct headsfile_record *record, struct why *why)
{
    struct newest *newest = ctx;
    (void)why;
    if (hash_eq(&record->origin_hash, &newest->origin_hash)) {
        newest->head = record->head;
        newest->found = true;
    }
    return OK;
}

/* The signer's file, read only: what it signed last. */
static enum err load_signed(struct fsck *fsck, struct why *why)
{
    struct buf file = BUF_EMPTY;
    struct newest newest = { .origin_hash = sha256_of(span_str(fsck->config.origin)) };
    size_t valid_len;
    char *path = path_join(fsck->config.dir, "heads");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : file_read(path, HEADS_BYTES_MAX, &file, why);
    if (err == OK && (err = headsfile_parse(span_buf(&file), take_head, &newest, &valid_len, why)) != OK)
        fail_in(why, err, "%s", path);
    if (err == OK && newest.found)
        remember_head(fsck, "the head that was signed last", &newest.head);
    buf_free(&file);
    free(path);
    return err;
}

static enum err open_store(struct fsck *fsck, struct why *why)
{
    char *data = path_join(fsck->config.dir, "data/data.mdb");
    struct buf ignored = BUF_EMPTY;
    enum err err = data == NULL ? fail(why, ERR_ENV, "out of memory") : dir_lock(fsck->config.dir, 0, why);
    /* Opening would make an empty one. */
    if (err == OK && file_read(data, 0, &ignored, why) != OK && strstr(why->text, "there is no file") != NULL)
        err = fail(why, ERR_REFUSED, "there is no data in %s", fsck->config.dir);
    if (err == OK)
        err = store_check_files(fsck->config.dir, why);
    if (err == OK)
        err =
            store_open(&fsck->store,
                       &(struct store_config){ .dir = fsck->config.dir, .origin = span_str(fsck->config.origin), .reading = true },
                       why);
    buf_free(&ignored);
    free(data);
    return err;
}

static enum err check(struct fsck *fsck, struct why *why)
{
    uint64_t started_us = clock_monotonic_us();
    enum err err = load_checkpoint(fsck, why);
    if (err == OK)
        err = load_signed(fsck, why);
    if (err == OK)
        err = store_view_begin(fsck->store, &fsck->view, why);
    if (err != OK)
        return err;
    if (fsck->full && (err = store_view_indexed(&fsck->view, &fsck->indexed, why)) != OK) {
        store_view_end(&fsck->view);
        return err;
    }
    frontier_start(&fsck->frontier);
    err = check_entries(fsck, why);
    if (err == OK)
        err = check_ends(fsck, why);
    store_view_end(&fsck->view);
    cli_progress_end();
    if (err != OK)
        return ERR_REFUSED; /* whatever it was that could not be read or did not fit: this log is not as it should be */
    double seconds = (double)(clock_monotonic_us() - started_us) / 1e6;
    struct hash root = frontier_root(&fsck->frontier);
    struct buf text = BUF_EMPTY;
    base64_encode(&text, span_of(root.b, sizeof root.b));
    printf("%s: %llu entries, root %.*s: %s; %.0f entries a second\n", fsck->config.origin, (unsigned long long)fsck->frontier.size,
           SPAN_FMT(span_buf(&text)), fsck->full ? "entries, tree, signatures and indices are right" : "entries and tree are right",
           (double)fsck->frontier.size / (seconds > 0 ? seconds : 1));
    buf_free(&text);
    return OK;
}

enum err cmd_fsck(int argc, char **argv, struct why *why)
{
    struct fsck *fsck = calloc(1, sizeof *fsck);
    if (fsck == NULL)
        return fail(why, ERR_ENV, "out of memory");
    const struct cli_option options[] = {
        { "--full", NULL, "every signature, index and input list as well", NULL, &fsck->full },
        { 0 },
    };
    struct cli_args args = { 0 };
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = log_config_load(&fsck->config, args.items[0], why);
    if (err == OK)
        err = open_store(fsck, why);
    if (err == OK)
        err = check(fsck, why);
    store_close(fsck->store);
    log_config_free(&fsck->config);
    buf_free(&fsck->payload);
    free(fsck);
    free(args.items);
    return err;
}
