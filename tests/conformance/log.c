#include "tests/conformance/log.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/sys/decompress.h"
#include "lib/sys/file.h"
#include "lib/tile.h"
#include "tests/conformance/table.h"

enum {
    SECONDS_FEW = 15,
    SECONDS_LONG = 24 * 3600,
    MLDSA_COSIGNATURE_BYTES = 8 + 2420,
    BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + 65535),
};

static const struct log_under_test *under_test;

/* A head of the log, whose note is kept. */
struct head_seen {
    struct buf text;
    struct note note;
    struct checkpoint checkpoint;
    bool well; /* well formed, and signed by the log */
};

/* The seconds of max-age; -1 where there is none. */
static long max_age(void)
{
    const char *at = strstr(last.cache_control, "max-age=");
    return at == NULL ? -1 : strtol(at + strlen("max-age="), NULL, 10);
}

static bool cached_long(void)
{
    return max_age() >= SECONDS_LONG && strstr(last.cache_control, "no-") == NULL;
}

static void get_head(struct head_seen *head)
{
    struct why why;
    bool verified = false;
    ask_get(under_test->prefix, "checkpoint", NULL);
    buf_clear(&head->text);
    buf_span(&head->text, span_buf(&last.body));
    head->well = last.status == 200 && note_parse(&head->note, span_buf(&head->text), &why) == OK &&
                 checkpoint_parse(&head->checkpoint, head->note.text, &why) == OK &&
                 note_verify(&head->note, &under_test->key, 1, &verified, NULL, &why) == OK && verified;
}

static bool has_mldsa(const struct note *note)
{
    struct span rest = note->sig_lines;
    struct note_sig sig;
    while (note_next_sig(&rest, &sig))
        if (span_eq(sig.name, under_test->key.name) && sig.sig_bytes == MLDSA_COSIGNATURE_BYTES)
            return true;
    return false;
}

/* Is there an answer for monitors at all? Where not, nothing else can be asked. */
static bool check_head(struct head_seen *head)
{
    const char *host = strstr(under_test->prefix, "://");
    struct why why;
    get_head(head);
    bool parsed = last.status == 200 && note_parse(&head->note, span_buf(&head->text), &why) == OK &&
                  checkpoint_parse(&head->checkpoint, head->note.text, &why) == OK;
    check(LOG_HEAD, parsed, "GET checkpoint");
    check(ORIGIN, parsed, "GET checkpoint");
    check(EXTENSIONS, parsed, "GET checkpoint");
    if (!parsed)
        return false;
    long age = max_age();
    check(LOG_HEAD_TYPE, strcmp(last.content_type, "text/plain; charset=utf-8") == 0, "GET checkpoint");
    check(LOG_HEAD_CACHE, strstr(last.cache_control, "no-") != NULL || (age >= 0 && age <= SECONDS_FEW), "GET checkpoint");
    check(LOG_HEAD_KEY, head->well, "under the key given");
    check(LOG_NAME, head->well && span_eq(under_test->key.name, head->checkpoint.origin), "the key given");
    if (has_mldsa(&head->note))
        untested(LOG_MLDSA, "there is a line of its length; " SAY_MLDSA);
    else
        check(LOG_MLDSA, false, "GET checkpoint");
    check(EXTENDED, head->checkpoint.extensions.len == 0, "GET checkpoint");
    bool url = !span_has_space_or_plus(head->checkpoint.origin) && !text_has(head->checkpoint.origin, "://");
    check(ORIGIN_URL, url, "GET checkpoint");
    check(LOG_ORIGIN, host != NULL && span_is(head->checkpoint.origin, host + strlen("://")), "the origin and the URL given");
    return head->well;
}

/* Gets a tile; its bytes are the newest answer's. */
static bool get_tile(const struct tile *tile)
{
    char path[TILE_PATH_MAX];
    tile_path_render(tile, path);
    bool there = ask_get(under_test->prefix, path, NULL) == 200;
    bool whole = there && last.body.len == 32 * (size_t)tile->width;
    check(tile->width == TILE_WIDTH ? TILE_FULL : TILE_PARTIAL, whole, "a tile of the signed tree");
    if (there) {
        check(TILE_TYPE, strcmp(last.content_type, "application/octet-stream") == 0, "a tile");
        check(TILE_CACHE, cached_long(), "a tile");
    }
    return whole;
}

static enum err fetch_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    (void)ctx;
    if (!get_tile(tile))
        return fail(why, ERR_ENV, "a tile is not there");
    *bytes = span_buf(&last.body);
    return OK;
}

/* Does the tree that the tiles make, as it stands in one of `size` entries, have this root at `at` entries? */
static bool root_is(uint64_t size, uint64_t at, const struct hash *root)
{
    struct tile_reader tiles = { .fetch = fetch_tile, .size = size };
    struct hash_reader reader = tile_hash_reader(&tiles);
    struct hash found;
    struct why why;
    return merkle_root(at, &reader, &found, &why) == OK && hash_eq(&found, root);
}

/* The root of a full tile's 256 hashes. */
static struct hash tile_root(struct span bytes)
{
    struct frontier frontier;
    struct hash hash;
    frontier_start(&frontier);
    for (size_t i = 0; i < TILE_WIDTH; i++) {
        memcpy(hash.b, bytes.data + 32 * i, sizeof hash.b);
        frontier_append(&frontier, &hash);
    }
    return frontier_root(&frontier);
}

static struct tile tile_at(unsigned level, uint64_t index, uint64_t size)
{
    return (struct tile){ .level = (uint8_t)level, .index = index, .width = (uint16_t)tile_width((uint8_t)level, index, size) };
}

/* The hash of full tile (level, index) in the tile above is its root. `above` has the bytes of the tile above. */
static void check_child(struct span above, unsigned level, uint64_t index, uint64_t size)
{
    struct tile child = tile_at(level, index, size);
    if (!get_tile(&child) || child.width < TILE_WIDTH)
        return;
    struct hash root = tile_root(span_buf(&last.body));
    check(TILE_HASHES, memcmp(above.data + 32 * (index % TILE_WIDTH), root.b, 32) == 0, "a full tile and its hash above");
}

/* Tiles of levels 1 and above, all, and those below them at both ends. */
static void check_levels(uint64_t size)
{
    for (unsigned level = 1; level <= TILE_LEVEL_MAX / TILE_HEIGHT && size >> (TILE_HEIGHT * level) > 0; level++) {
        uint64_t children = size >> (TILE_HEIGHT * level);
        uint64_t tiles = (children + TILE_WIDTH - 1) / TILE_WIDTH;
        for (uint64_t i = 0; i < tiles; i++) {
            struct tile tile = tile_at(level, i, size);
            struct buf above = BUF_EMPTY;
            if (get_tile(&tile))
                buf_span(&above, span_buf(&last.body));
            for (uint64_t n = 0; above.len > 0 && n < tile.width; n++) {
                uint64_t child = i * TILE_WIDTH + n;
                if (child < under_test->bundles || child + under_test->bundles >= children)
                    check_child(span_buf(&above), level - 1, child, size);
            }
            buf_free(&above);
        }
    }
}

/* What is packed in the newest answer goes to `out`. */
static bool unpack(struct buf *out)
{
    struct decompressor *decompressor = NULL;
    struct span in = span_buf(&last.body);
    struct why why;
    bool ended = false;
    enum err err = decompressor_new(&decompressor, span_str("gzip"), &why);
    while (err == OK && !ended && out->len <= BUNDLE_BYTES_MAX) {
        size_t put = 0;
        uint8_t *room = buf_grow(out, 1 << 16);
        err = room == NULL ? ERR_ENV : decompressor_run(decompressor, &in, true, room, 1 << 16, &put, &ended, &why);
        out->len -= room == NULL ? 0 : (1 << 16) - put;
    }
    decompressor_free(decompressor);
    return err == OK && ended;
}

/* The bundle's entries hash to the leaves in the level 0 tile. */
static bool check_bundle(uint64_t index, uint64_t size)
{
    struct tile tile = tile_at(0, index, size);
    struct buf leaves = BUF_EMPTY, bundle = BUF_EMPTY;
    struct span entries[TILE_WIDTH];
    struct why why;
    char path[TILE_PATH_MAX];
    if (get_tile(&tile))
        buf_span(&leaves, span_buf(&last.body));
    tile.entries = true;
    tile_path_render(&tile, path);
    bool there = ask_get(under_test->prefix, path, "Accept-Encoding: gzip") == 200;
    bool packed = strcmp(last.content_encoding, "gzip") == 0;
    if (there) {
        check(ENTRIES_TYPE, strcmp(last.content_type, "application/octet-stream") == 0, "an entry bundle");
        check(ENTRIES_CACHE, cached_long(), "an entry bundle");
    }
    bool right = there && leaves.len > 0;
    if (right && packed)
        right = unpack(&bundle);
    else if (right)
        buf_span(&bundle, span_buf(&last.body));
    right = right && bundle_parse(span_buf(&bundle), tile.width, entries, &why) == OK;
    for (size_t i = 0; right && i < tile.width; i++) {
        struct hash leaf = merkle_leaf_hash(entries[i]);
        right = memcmp(leaf.b, leaves.data + 32 * i, 32) == 0;
    }
    check(ENTRIES_HASH, right, "an entry bundle of the signed tree");
    if (index == 0)
        check(UNPRUNED, there && leaves.len > 0, "the first entries");
    buf_free(&leaves);
    buf_free(&bundle);
    return packed;
}

static void check_entries(uint64_t size)
{
    uint64_t tiles = (size + TILE_WIDTH - 1) / TILE_WIDTH;
    bool packed = false;
    for (uint64_t i = 0; i < tiles; i++)
        if (i < under_test->bundles || i + under_test->bundles >= tiles)
            packed = check_bundle(i, size) || packed;
    check(ENTRIES_GZIP, packed, "gzip is asked for");
}

/* Must not be there. Where it is, the log may have grown meanwhile: then nothing is said. */
static void absent(enum clause clause, const char *path, const struct head_seen *head)
{
    struct head_seen now = { 0 };
    if (ask_get(under_test->prefix, path, NULL) != 200) {
        check(clause, last.status >= 400, path);
        return;
    }
    get_head(&now);
    if (now.well && now.checkpoint.size == head->checkpoint.size) {
        ask_get(under_test->prefix, path, NULL);
        check(clause, false, path);
    }
    buf_free(&now.text);
}

static void check_absent(const struct head_seen *head)
{
    static const char *const levels[] = { "tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000", "tile/+0/000" };
    static const char *const indices[] = { "tile/0/0",         "tile/0/00",       "tile/0/0000",    "tile/0/x000/000",
                                           "tile/0/x000",      "tile/0/-01",      "tile/entries/0", "tile/entries/x000/000",
                                           "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/-1" };
    uint64_t size = head->checkpoint.size;
    char path[TILE_PATH_MAX];
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        absent(TILE_LEVEL, levels[i], head);
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++)
        absent(TILE_INDEX, indices[i], head);
    absent(TILE_EMPTY, "tile/0/000.p/0", head);
    absent(TILE_EMPTY, "tile/entries/000.p/0", head);
    absent(TILE_EMPTY, "tile/63/000.p/1", head);
    struct tile beyond = { .index = size / TILE_WIDTH + 1, .width = TILE_WIDTH };
    tile_path_render(&beyond, path);
    absent(TILE_EMPTY, path, head);
    for (unsigned level = 1; level <= TILE_LEVEL_MAX / TILE_HEIGHT; level++) {
        uint64_t below = size >> (TILE_HEIGHT * (level - 1)), here = below / TILE_WIDTH;
        if (below == 0 || below % TILE_WIDTH == 0 || here % TILE_WIDTH == TILE_WIDTH - 1)
            continue;
        struct tile more = { .level = (uint8_t)level, .index = here / TILE_WIDTH, .width = (uint16_t)(here % TILE_WIDTH + 1) };
        tile_path_render(&more, path);
        absent(TILE_UP, path, head);
    }
}

/* Any two heads: the tiles of the larger make the root of the smaller. */
static void check_growth(const struct head_seen *old, const struct head_seen *new, const char *which_case)
{
    if (old->well && new->well && old->checkpoint.size <= new->checkpoint.size)
        check(CONSISTENT, root_is(new->checkpoint.size, old->checkpoint.size, &old->checkpoint.root), which_case);
}

static void check_old(const struct head_seen *head)
{
    struct head_seen old = { 0 };
    struct why why;
    bool verified = false;
    old.well = file_read(under_test->old, NOTE_BYTES_MAX, &old.text, &why) == OK &&
               note_parse(&old.note, span_buf(&old.text), &why) == OK &&
               checkpoint_parse(&old.checkpoint, old.note.text, &why) == OK &&
               note_verify(&old.note, &under_test->key, 1, &verified, NULL, &why) == OK;
    if (!old.well)
        printf("# %s: %s\n", under_test->old, why.text);
    check_growth(&old, head, "the checkpoint of --old");
    buf_free(&old.text);
}

void log_run(const struct log_under_test *log)
{
    struct head_seen head = { 0 }, later = { 0 };
    under_test = log;
    if (check_head(&head)) {
        uint64_t size = head.checkpoint.size;
        if (size > 0) {
            check(TILE_HASHES, root_is(size, size, &head.checkpoint.root), "the signed root");
            check_levels(size);
            check_entries(size);
        }
        check_absent(&head);
        if (log->old != NULL)
            check_old(&head);
        get_head(&later);
        if (later.well && (later.checkpoint.size != size || !hash_eq(&later.checkpoint.root, &head.checkpoint.root)))
            check_growth(&head, &later, "a checkpoint of this run");
    }
    buf_free(&head.text);
    buf_free(&later.text);
}
