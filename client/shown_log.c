#include "client/shown_log.h"

static enum err get(struct shown_log *shown, const char *path, unsigned *status, struct why *why)
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
    struct shown_log *shown = ctx;
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

enum err shown_log_ask(struct shown_log *shown, struct why *why)
{
    unsigned status;
    enum err err = get(shown, "checkpoint", &status, why);
    if (err == OK && status != 200)
        err = fail(why, ERR_ENV, "%s/checkpoint: there is none", shown->url);
    http_response_free(&shown->checkpoint);
    shown->checkpoint = shown->response;
    shown->response = (struct http_response){ 0 };
    return err;
}

void shown_log_believe(struct shown_log *shown, const struct checkpoint *head)
{
    shown->head = *head;
    shown->tiles = (struct tile_reader){ .fetch = fetch_tile, .ctx = shown, .size = head->size };
}

enum err shown_log_root(struct shown_log *shown, uint64_t size, struct hash *root, struct hash proof[PROOF_HASHES_MAX], size_t *n,
                        struct why *why)
{
    struct hash_reader reader = tile_hash_reader(&shown->tiles);
    struct why inner;
    enum err err = merkle_root(size, &reader, root, why);
    if (err == OK)
        err = merkle_consistency_prove(size, shown->head.size, &reader, proof, n, why);
    if (err == OK && merkle_consistency_verify(size, root, shown->head.size, &shown->head.root, proof, *n, &inner) != OK)
        err = fail(why, ERR_ENV, "the tiles at %s do not give the root of the checkpoint there: nothing can be told from them",
                   shown->url);
    return err;
}

void shown_log_free(struct shown_log *shown)
{
    http_response_free(&shown->checkpoint);
    http_response_free(&shown->response);
}
