/* `stele verify-evidence`: what a witness kept against a log, checked by anybody (spec/witness.md, "Evidence"). */
#include <stdio.h>
#include <stdlib.h>

#include "client/verbs.h"
#include "lib/forkfile.h"
#include "lib/sys/cli.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"
#include "lib/tile.h"

/* A log as it shows itself at a URL. */
struct shown {
    struct http_client *client;
    struct http_response response, checkpoint;
    const char *url;
    struct tile_reader tiles;
    struct checkpoint head;
};

static enum err get(struct shown *shown, const char *path, unsigned *status, struct why *why)
{
    struct buf url = BUF_EMPTY;
    buf_fmt(&url, "%s/%s", shown->url, path);
    buf_byte(&url, '\0');
    enum err err = buf_done(&url, why);
    if (err == OK)
        err = http_get(shown->client, (const char *)url.data, NULL, NOTE_BYTES_MAX, &shown->response, why);
    *status = shown->response.status;
    if (err == OK && *status != 200 && *status != 404)
        err = fail(why, ERR_ENV, "%s answered %u", (const char *)url.data, *status);
    buf_free(&url);
    return err;
}

/* A partial tile that is gone is had from the full one (tlog-tiles, "Partial tiles"). */
static enum err fetch_tile(void *ctx, const struct tile *tile, struct span *bytes, struct why *why)
{
    struct shown *shown = ctx;
    struct tile full = *tile;
    char path[TILE_PATH_MAX];
    size_t len = (size_t)tile->width * sizeof(struct hash);
    unsigned status;
    full.width = TILE_WIDTH;
    tile_path_render(tile, path);
    enum err err = get(shown, path, &status, why);
    if (err == OK && status == 404 && tile->width < TILE_WIDTH) {
        tile_path_render(&full, path);
        err = get(shown, path, &status, why);
    }
    if (err == OK && (status != 200 || shown->response.body.len < len))
        err = fail(why, ERR_ENV, "%s/%s: %s", shown->url, path, status != 200 ? "there is no such tile" : "the tile is cut");
    *bytes = span_of(shown->response.body.data, len);
    return err;
}

/* What the log shows may be made up, tile by tile: it counts only where it leads to the root that the log signed. */
static enum err tiles_wrong(const struct shown *shown, struct why *why)
{
    return fail(why, ERR_ENV, "the tiles at %s do not give the root of the checkpoint there: nothing can be told from them",
                shown->url);
}

/* The log's checkpoint, under the file's keys. */
static enum err open_shown(struct shown *shown, const struct forkfile *file, struct why *why)
{
    struct note note;
    unsigned status;
    enum err err = get(shown, "checkpoint", &status, why);
    if (err == OK && status != 200)
        err = fail(why, ERR_ENV, "%s/checkpoint: there is none", shown->url);
    shown->checkpoint = shown->response;
    shown->response = (struct http_response){ 0 };
    if (err == OK)
        err = note_parse(&note, span_buf(&shown->checkpoint.body), why);
    if (err == OK)
        err = checkpoint_open(&shown->head, &note, file->origin, file->keys, file->keys_n, why);
    if (err != OK)
        return err == ERR_ENV ? err : fail_in(why, err, "the checkpoint at %s", shown->url);
    shown->tiles = (struct tile_reader){ .fetch = fetch_tile, .ctx = shown, .size = shown->head.size };
    return OK;
}

/* Holds one head against the tree that the log shows. *proven where it is no part of it: then `out` is the evidence. */
static enum err hold_against(struct shown *shown, const struct forkfile *file, struct span note, const struct checkpoint *head,
                             struct forkfile *out, bool *proven, struct why *why)
{
    struct hash_reader reader = tile_hash_reader(&shown->tiles);
    *out = *file;
    out->suspect = false;
    out->notes[0] = note;
    out->notes[1] = span_buf(&shown->checkpoint.body);
    struct why inner;
    enum err err = merkle_root(head->size, &reader, &out->root, why);
    if (err == OK)
        err = merkle_consistency_prove(head->size, shown->head.size, &reader, out->proof, &out->proof_n, why);
    if (err == OK && merkle_consistency_verify(head->size, &out->root, shown->head.size, &shown->head.root, out->proof,
                                               out->proof_n, &inner) != OK)
        err = tiles_wrong(shown, why);
    *proven = err == OK && !hash_eq(&out->root, &head->root);
    out->has_root = head->size < shown->head.size;
    return err;
}

/* Does the log's own tree settle what the file suspects? *proven, with the evidence in `out`; OK and not proven: the tree holds
 * both heads. ERR_REFUSED where it is too small to tell. */
static enum err settle(struct shown *shown, const struct forkfile *file, const struct checkpoint heads[2], struct forkfile *out,
                       bool *proven, struct why *why)
{
    enum err err = open_shown(shown, file, why);
    bool beyond = false;
    *proven = false;
    for (size_t i = 0; i < 2 && err == OK && !*proven; i++) {
        if (heads[i].size > shown->head.size)
            beyond = true;
        else
            err = hold_against(shown, file, file->notes[i], &heads[i], out, proven, why);
    }
    if (err == OK && !*proven && beyond)
        err = fail(why, ERR_REFUSED, "not settled: %s shows %llu entries, fewer than the suspected head has", shown->url,
                   (unsigned long long)shown->head.size);
    return err;
}

static void print_head(const char *which, const struct checkpoint *head)
{
    struct buf root = BUF_EMPTY;
    base64_encode(&root, span_of(head->root.b, sizeof head->root.b));
    printf("  %s: %llu entries, root %.*s\n", which, (unsigned long long)head->size, SPAN_FMT(root));
    buf_free(&root);
}

/* Evidence: what was proven, and under which keys, which the reader must know for the log's. */
static void print_proven(const char *name, const struct forkfile *file, const struct checkpoint heads[2])
{
    printf("%s: PROVEN: the log %.*s signed two histories\n", name, SPAN_FMT(file->origin));
    print_head("first head", &heads[0]);
    print_head("second head", &heads[1]);
    if (file->has_root) {
        struct checkpoint other = { .size = heads[0].size, .root = file->root };
        print_head("the second's tree had", &other);
    }
    for (size_t i = 0; i < file->keys_n; i++) {
        struct buf key = BUF_EMPTY;
        vkey_render(&key, &file->keys[i]);
        printf("  if this is the log's key: %.*s\n", SPAN_FMT(key));
        buf_free(&key);
    }
}

static enum err write_evidence(const char *path, const struct forkfile *file, struct why *why)
{
    struct buf text = BUF_EMPTY;
    forkfile_render(&text, file);
    enum err err = buf_done(&text, why);
    if (err == OK)
        err = file_create(path, 0644, span_buf(&text), why);
    buf_free(&text);
    return err;
}

static enum err ask_log(const char *name, const struct forkfile *file, const struct checkpoint heads[2], const char *url,
                        const char *out_file, struct why *why)
{
    static struct forkfile evidence;
    struct shown shown = { .url = url };
    struct checkpoint proven_heads[2];
    bool proven = false;
    enum err err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&shown.client, &(struct http_client_config){ 0 }, why);
    if (err == OK)
        err = settle(&shown, file, heads, &evidence, &proven, why);
    if (err == OK && !proven)
        err = fail(why, ERR_REFUSED, "no fork: the tree at %s holds both heads; whoever sent the proof sent a bad one", url);
    if (err == OK)
        err = forkfile_verify(&evidence, proven_heads, why);
    if (err == OK)
        print_proven(name, &evidence, proven_heads);
    if (err == OK && out_file != NULL)
        err = write_evidence(out_file, &evidence, why);
    http_response_free(&shown.response);
    http_response_free(&shown.checkpoint);
    http_client_free(shown.client);
    return err;
}

static enum err verify(const char *name, const char *url, const char *out_file, struct why *why)
{
    static struct forkfile file;
    struct buf text = BUF_EMPTY;
    struct checkpoint heads[2];
    enum err err = file_read(name, FORKFILE_BYTES_MAX, &text, why);
    if (err == OK)
        err = forkfile_parse(&file, span_buf(&text), why);
    if (err == OK)
        err = forkfile_verify(&file, heads, why);
    if (err == OK && !file.suspect)
        print_proven(name, &file, heads);
    else if (err == OK && url == NULL)
        err = fail(why, ERR_REFUSED,
                   "a suspect: the log signed both heads, of %llu and %llu entries, and whether one extends the other only its "
                   "tiles tell: --from URL",
                   (unsigned long long)heads[0].size, (unsigned long long)heads[1].size);
    else if (err == OK)
        err = ask_log(name, &file, heads, url, out_file, why);
    buf_free(&text);
    return err == OK ? OK : fail_in(why, err, "%s", name);
}

enum err run_verify_evidence(int argc, char **argv, struct why *why)
{
    const char *url = NULL, *out_file = NULL;
    const struct cli_option options[] = {
        { "--from", "URL", "the log's tiles, to settle a suspect", &url, NULL },
        { "--out", "FILE", "where to put the evidence that they give", &out_file, NULL },
        { 0 },
    };
    struct cli_args args;
    enum err err = cli_parse(options, 1, 1, argc, argv, &args, why);
    if (err != OK)
        return err;
    if (out_file != NULL && url == NULL)
        err = fail(why, ERR_USAGE, "--out goes with --from");
    if (err == OK)
        err = key_system_start(why);
    if (err == OK)
        err = verify(args.items[0], url, out_file, why);
    free(args.items);
    return err;
}
