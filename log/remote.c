#include "log/remote.h"

#include <stdlib.h>
#include <time.h>

#include "lib/encode.h"
#include "lib/sys/http_client.h"
#include "log/limits.h"

struct remote {
    struct http_client *client;
    char *url; /* without a final slash */
    uint64_t size;
    struct http_response response, tile, bundle, inputs;
    struct tile_cache cache;
};

enum err remote_patience(const char *seconds, unsigned *patience_ms, struct why *why)
{
    uint64_t s;
    *patience_ms = REMOTE_PATIENCE_MS;
    if (seconds == NULL)
        return OK;
    if (!span_decimal(span_str(seconds), REMOTE_PATIENCE_S_MAX, &s) || s == 0)
        return fail(why, ERR_USAGE, "--patience is a number of seconds from 1 to %d", REMOTE_PATIENCE_S_MAX);
    *patience_ms = (unsigned)s * 1000;
    return OK;
}

enum err remote_open(struct remote **out, const char *url, unsigned patience_ms, struct why *why)
{
    *out = NULL;
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct span prefix = span_str(url);
    while (prefix.len > 0 && prefix.data[prefix.len - 1] == '/')
        prefix.len--;
    remote->url = span_dup_str(prefix);
    enum err err = remote->url == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        err =
            http_client_new(&remote->client,
                            &(struct http_client_config){ .total_timeout_ms = patience_ms, .allow_file = true, .gzip = true }, why);
    if (err != OK) {
        remote_close(remote);
        return err;
    }
    *out = remote;
    return OK;
}

void remote_close(struct remote *remote)
{
    if (remote == NULL)
        return;
    http_client_free(remote->client);
    http_response_free(&remote->response);
    http_response_free(&remote->tile);
    http_response_free(&remote->bundle);
    http_response_free(&remote->inputs);
    free(remote->url);
    free(remote);
}

static void sleep_ms(uint64_t ms)
{
    nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

/* GET of URL/PATH: 200, or 404 with *found false. Whatever else it answers is tried again. */
static enum err get(struct remote *remote, const char *path, size_t bytes_max, struct http_response *response, bool *found,
                    struct why *why)
{
    struct buf url = BUF_EMPTY;
    buf_fmt(&url, "%s/%s", remote->url, path);
    buf_byte(&url, '\0');
    enum err err = buf_done(&url, why);
    bool answered = false;
    for (unsigned try = 1; err == OK && !answered; try++) {
        err = http_get(remote->client, (const char *)url.data, NULL, bytes_max, response, why);
        answered = err == OK && (response->status == 200 || response->status == 404);
        if (answered || try == REMOTE_TRIES)
            break;
        uint64_t wait_s = err == OK ? response->retry_after_s : 0;
        if (wait_s > REMOTE_RETRY_AFTER_S_MAX)
            wait_s = REMOTE_RETRY_AFTER_S_MAX;
        sleep_ms(wait_s > 0 ? 1000 * wait_s : UINT64_C(1) * REMOTE_BACKOFF_MS << (try - 1));
        err = OK;
    }
    *found = answered && response->status == 200;
    if (err == OK && !answered)
        err = fail(why, ERR_ENV, "the remote log answers %u for %s", response->status, path);
    buf_free(&url);
    return err;
}

static enum err missing(const char *path, struct why *why)
{
    return fail(why, ERR_REFUSED, "the remote log has no %s", path);
}

enum err remote_checkpoint(struct remote *remote, struct span *note, struct why *why)
{
    bool found;
    enum err err = get(remote, "checkpoint", NOTE_BYTES_MAX, &remote->response, &found, why);
    if (err == OK && !found)
        err = missing("checkpoint", why);
    *note = span_buf(&remote->response.body);
    return err;
}

void remote_use_size(struct remote *remote, uint64_t size)
{
    remote->size = size;
}

/* Gets a tile or bundle as it stands in the tree of remote->size, or full: a copy that has grown need not keep partial ones. *got
 * is its width. */
static enum err get_tile(struct remote *remote, struct tile tile, size_t bytes_max, struct http_response *response, unsigned *got,
                         struct why *why)
{
    char path[TILE_PATH_MAX];
    bool found = false;
    tile.width = (uint16_t)tile_width(tile.level, tile.index, remote->size);
    tile_path_render(&tile, path);
    enum err err = get(remote, path, bytes_max, response, &found, why);
    if (err == OK && !found && tile.width < TILE_WIDTH) {
        tile.width = TILE_WIDTH;
        tile_path_render(&tile, path);
        err = get(remote, path, bytes_max, response, &found, why);
    }
    *got = tile.width;
    return err == OK && !found ? missing(path, why) : err;
}

enum err remote_tile(struct remote *remote, const struct tile *tile, struct span *bytes, struct why *why)
{
    unsigned got;
    enum err err = get_tile(remote, *tile, 32 * (size_t)TILE_WIDTH, &remote->tile, &got, why);
    if (err != OK)
        return err;
    *bytes = span_buf(&remote->tile.body);
    if (bytes->len != 32 * (size_t)got)
        return fail(why, ERR_REFUSED, "tile %llu of level %u of the remote log has %zu bytes, not %u",
                    (unsigned long long)tile->index, tile->level, bytes->len, 32 * got);
    *bytes = span_cut(*bytes, 0, 32 * (size_t)tile->width);
    return OK;
}

enum err remote_bundle(struct remote *remote, uint64_t number, unsigned width, struct span *bundle, struct why *why)
{
    struct tile tile = { .entries = true, .index = number };
    struct span entries[TILE_WIDTH];
    unsigned got;
    enum err err = get_tile(remote, tile, (size_t)TILE_WIDTH * REMOTE_ENTRY_BYTES_MAX, &remote->bundle, &got, why);
    if (err != OK)
        return err;
    struct span all = span_buf(&remote->bundle.body);
    struct why own;
    if (bundle_parse(all, got, entries, &own) != OK)
        return fail(why, ERR_REFUSED, "bundle %llu of the remote log: %s", (unsigned long long)number, own.text);
    const struct span *last = &entries[width - 1];
    *bundle = span_cut(all, 0, (size_t)(last->data + last->len - all.data));
    return OK;
}

enum err remote_inputs(struct remote *remote, const struct hash *list, struct span *text, bool *found, struct why *why)
{
    struct buf path = BUF_EMPTY;
    buf_str(&path, "inputs/");
    hex_encode(&path, span_of(list->b, sizeof list->b));
    buf_byte(&path, '\0');
    enum err err = buf_done(&path, why);
    if (err == OK)
        err = get(remote, (const char *)path.data, INPUT_LIST_BYTES_MAX, &remote->inputs, found, why);
    buf_free(&path);
    if (err != OK || !*found)
        return err;
    *text = span_buf(&remote->inputs.body);
    struct hash hash = sha256_of(*text);
    *found = hash_eq(&hash, list);
    return OK;
}

static enum err fetch_tile(void *remote, const struct tile *tile, struct span *bytes, struct why *why)
{
    return remote_tile(remote, tile, bytes, why);
}

enum err remote_extends(struct remote *remote, const struct head *old, const struct head *head, struct why *why)
{
    struct hash proof[PROOF_HASHES_MAX];
    struct tile_reader tiles = { .fetch = fetch_tile, .ctx = remote, .size = head->size, .cache = &remote->cache };
    struct hash_reader reader = tile_hash_reader(&tiles);
    size_t n;
    enum err err = merkle_consistency_prove(old->size, head->size, &reader, proof, &n, why);
    if (err == OK && (err = merkle_consistency_verify(old->size, &old->root, head->size, &head->root, proof, n, why)) != OK)
        /* A tile that was wrong once is asked for anew the next time. */
        remote->cache = (struct tile_cache){ 0 };
    return err;
}
