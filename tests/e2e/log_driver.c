/*
 * What the log's end-to-end tests ask of it, beyond curl.
 *   log_driver verify POLICY          proof bundles on stdin: verified under the policy, one "INDEX SIZE" a line
 *   log_driver load URL POLICY ENVELOPES NOTES THREADS
 *                                     POSTs every line of ENVELOPES, asking again until it is answered, however often the log
 *                                     dies in between; notes each answer in NOTES as "LEAF INDEX SIZE ROOT"
 *   log_driver check URL POLICY NOTES reads the whole log, recomputes it from its entries, and holds every note against it
 *                                     and every answer's head against the tree; prints the size
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/proof.h"
#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/http_client.h"
#include "lib/sys/key.h"
#include "lib/tile.h"

enum { THREADS_MAX = 64, PATIENCE_MS = 180 * 1000 };

static enum err load_policy(const char *file, struct policy *policy, struct why *why)
{
    struct buf text = BUF_EMPTY;
    enum err err = file_read(file, POLICY_BYTES_MAX, &text, why);
    if (err == OK)
        err = policy_parse(policy, span_buf(&text), file, why);
    buf_free(&text);
    return err;
}

/* Verifies the next bundle of `rest`, and the leaf that its envelope hashes to. */
static enum err next_proven(struct span *rest, const struct policy *policy, struct proof *proof, struct policy_view *view,
                            struct hash *leaf, struct why *why)
{
    struct buf entry = BUF_EMPTY;
    enum err err = proof_next(proof, rest, why);
    if (err == OK && !proof_extra(proof, &entry))
        err = fail(why, ERR_MALFORMED, "a bundle without its envelope");
    if (err == OK) {
        *leaf = merkle_leaf_hash(span_buf(&entry));
        err = proof_verify(proof, leaf, policy, view, why);
    }
    buf_free(&entry);
    return err;
}

static enum err verify(const char *policy_file, struct why *why)
{
    struct policy policy;
    struct buf text = BUF_EMPTY;
    enum err err = load_policy(policy_file, &policy, why);
    if (err != OK)
        return err;
    uint8_t *at;
    size_t got = 1;
    while (got > 0 && (at = buf_grow(&text, 65536)) != NULL) {
        got = fread(at, 1, 65536, stdin);
        text.len -= 65536 - got;
    }
    struct span rest = span_buf(&text);
    while (err == OK && rest.len > 0) {
        struct proof proof;
        static struct policy_view view;
        struct hash leaf;
        err = next_proven(&rest, &policy, &proof, &view, &leaf, why);
        if (err == OK)
            printf("%" PRIu64 " %" PRIu64 "\n", proof.index, view.checkpoint.size);
    }
    buf_free(&text);
    policy_free(&policy);
    return err;
}

static struct load {
    const char *url;
    struct policy policy;
    pthread_mutex_t lock;
    struct span lines;
    FILE *notes;
    unsigned answered, asked_again;
    bool failed;
} load;

static void print_hex(FILE *out, const struct hash *hash)
{
    for (size_t i = 0; i < sizeof hash->b; i++)
        fprintf(out, "%02x", hash->b[i]);
}

static enum err note_answer(struct span answer, struct span line, struct why *why)
{
    struct proof proof;
    struct policy_view view;
    struct hash leaf, want = merkle_leaf_hash(line);
    enum err err = next_proven(&answer, &load.policy, &proof, &view, &leaf, why);
    if (err == OK && (answer.len > 0 || !hash_eq(&leaf, &want)))
        err = fail(why, ERR_REFUSED, "an answer that is not for what was asked");
    if (err != OK)
        return err;
    pthread_mutex_lock(&load.lock);
    print_hex(load.notes, &leaf);
    fprintf(load.notes, " %" PRIu64 " %" PRIu64 " ", proof.index, view.checkpoint.size);
    print_hex(load.notes, &view.checkpoint.root);
    fputc('\n', load.notes);
    load.answered++;
    pthread_mutex_unlock(&load.lock);
    return OK;
}

/* Asks until there is a proof. A log that is down or short of a quorum is asked again; any other answer is an error. */
static enum err submit(struct http_client *client, struct span line, struct why *why)
{
    struct http_response response = { 0 };
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    enum err err;
    while ((err = http_post(client, load.url, "application/json", line, 1 << 20, &response, why)) != OK || response.status == 503) {
        if (clock_monotonic_ms() > until_ms) {
            http_response_free(&response);
            return fail(why, ERR_ENV, "no answer in %d s", PATIENCE_MS / 1000);
        }
        pthread_mutex_lock(&load.lock);
        load.asked_again++;
        pthread_mutex_unlock(&load.lock);
        nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
    }
    if (response.status == 200)
        err = note_answer(span_buf(&response.body), line, why);
    else
        err = fail(why, ERR_REFUSED, "HTTP status %u: %.*s", response.status, SPAN_FMT(span_buf(&response.body)));
    http_response_free(&response);
    return err;
}

static void *load_thread(void *ctx)
{
    struct http_client *client = NULL;
    struct why why;
    (void)ctx;
    enum err err = http_client_new(&client, &(struct http_client_config){ 0 }, &why);
    while (err == OK) {
        struct span line;
        pthread_mutex_lock(&load.lock);
        bool more = !load.failed && span_line(&load.lines, &line);
        pthread_mutex_unlock(&load.lock);
        if (!more)
            break;
        err = submit(client, line, &why);
    }
    if (err != OK) {
        fprintf(stderr, "log_driver: %s\n", why.text);
        pthread_mutex_lock(&load.lock);
        load.failed = true;
        pthread_mutex_unlock(&load.lock);
    }
    if (client != NULL)
        http_client_free(client);
    return NULL;
}

static enum err run_load(char **argv, struct why *why)
{
    struct buf text = BUF_EMPTY, url = BUF_EMPTY;
    pthread_t threads[THREADS_MAX];
    uint64_t n;
    enum err err = load_policy(argv[3], &load.policy, why);
    if (err == OK)
        err = file_read(argv[4], 1 << 30, &text, why);
    if (err != OK)
        return err;
    if (!span_decimal(span_str(argv[6]), THREADS_MAX, &n) || (load.notes = fopen(argv[5], "w")) == NULL)
        return fail(why, ERR_USAGE, "no threads or no notes");
    setvbuf(load.notes, NULL, _IOLBF, 0); /* whole lines, also of a driver that is ended */
    buf_fmt(&url, "%s/attestations", argv[2]);
    buf_byte(&url, '\0');
    load.url = (const char *)url.data;
    load.lines = span_buf(&text);
    pthread_mutex_init(&load.lock, NULL);
    for (size_t i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, load_thread, NULL) != 0)
            return fail(why, ERR_ENV, "no thread");
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    fclose(load.notes);
    fprintf(stderr, "answered %u, asked again %u times\n", load.answered, load.asked_again);
    policy_free(&load.policy);
    buf_free(&text);
    buf_free(&url);
    return load.failed ? fail(why, ERR_REFUSED, "not all were answered") : OK;
}

/* The log as read back: leaf hashes, and the root at every size. */
struct whole {
    uint64_t size;
    struct hash *leaves, *roots;
};

static enum err get(struct http_client *client, const char *base, const char *path, struct http_response *response, struct why *why)
{
    struct buf url = BUF_EMPTY;
    buf_fmt(&url, "%s/%s", base, path);
    buf_byte(&url, '\0');
    enum err err = buf_done(&url, why);
    if (err == OK)
        err = http_get(client, (const char *)url.data, NULL, 64 << 20, response, why);
    buf_free(&url);
    if (err == OK && response->status != 200)
        err = fail(why, ERR_REFUSED, "%s: HTTP status %u", path, response->status);
    return err;
}

/* One bundle's entries and its tile of leaf hashes, which must agree. */
static enum err read_bundle(struct http_client *client, const char *base, uint64_t number, struct whole *whole,
                            struct frontier *frontier, struct why *why)
{
    struct http_response tile_bytes = { 0 }, bundle = { 0 };
    char path[TILE_PATH_MAX];
    struct span entries[TILE_WIDTH];
    struct tile tile = { .index = number, .width = (uint16_t)tile_width(0, number, whole->size) };
    tile_path_render(&tile, path);
    enum err err = get(client, base, path, &tile_bytes, why);
    tile.entries = true;
    tile_path_render(&tile, path);
    if (err == OK)
        err = get(client, base, path, &bundle, why);
    if (err == OK)
        err = bundle_parse(span_buf(&bundle.body), tile.width, entries, why);
    for (unsigned i = 0; err == OK && i < tile.width; i++) {
        struct hash leaf = merkle_leaf_hash(entries[i]);
        if (tile_bytes.body.len != 32 * (size_t)tile.width || memcmp(tile_bytes.body.data + 32 * i, leaf.b, 32) != 0)
            err = fail(why, ERR_REFUSED, "entry %u of bundle %" PRIu64 " is not what its tile says", i, number);
        frontier_append(frontier, &leaf);
        whole->leaves[frontier->size - 1] = leaf;
        whole->roots[frontier->size] = frontier_root(frontier);
    }
    http_response_free(&tile_bytes);
    http_response_free(&bundle);
    return err;
}

static enum err read_whole(const char *base, const struct policy *policy, struct whole *whole, struct why *why)
{
    struct http_client *client = NULL;
    struct http_response note = { 0 };
    static struct policy_view view;
    struct frontier frontier;
    enum err err = http_client_new(&client, &(struct http_client_config){ 0 }, why);
    if (err == OK)
        err = get(client, base, "checkpoint", &note, why);
    if (err == OK)
        err = policy_check(policy, span_buf(&note.body), &view, NULL, why);
    if (err == OK) {
        whole->size = view.checkpoint.size;
        whole->leaves = calloc(whole->size + 1, sizeof *whole->leaves);
        whole->roots = calloc(whole->size + 1, sizeof *whole->roots);
        frontier_start(&frontier);
        whole->roots[0] = frontier_root(&frontier);
    }
    for (uint64_t number = 0; err == OK && number * TILE_WIDTH < whole->size; number++)
        err = read_bundle(client, base, number, whole, &frontier, why);
    if (err == OK && !hash_eq(&whole->roots[whole->size], &view.checkpoint.root))
        err = fail(why, ERR_REFUSED, "the entries do not hash to the checkpoint's root");
    http_response_free(&note);
    if (client != NULL)
        http_client_free(client);
    return err;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

static enum err hold_notes(const char *file, const struct whole *whole, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct span line;
    enum err err = file_read(file, 1 << 30, &text, why);
    struct span rest = span_buf(&text);
    while (err == OK && span_line(&rest, &line)) {
        struct span word[4];
        struct hash leaf, root;
        uint64_t index, size;
        for (size_t i = 0; i < 4; i++)
            span_word(&line, &word[i]);
        if (!hex_decode(word[0], leaf.b, 32) || !span_decimal(word[1], TREE_SIZE_MAX, &index) ||
            !span_decimal(word[2], TREE_SIZE_MAX, &size) || !hex_decode(word[3], root.b, 32))
            err = fail(why, ERR_MALFORMED, "%s: a malformed note", file);
        else if (index >= whole->size || !hash_eq(&whole->leaves[index], &leaf))
            err = fail(why, ERR_REFUSED, "what was answered with index %" PRIu64 " is not there", index);
        else if (size > whole->size || !hash_eq(&whole->roots[size], &root))
            err = fail(why, ERR_REFUSED, "a head of size %" PRIu64 " was shown that is not in this tree", size);
    }
    buf_free(&text);
    return err;
}

static enum err check(char **argv, struct why *why)
{
    struct policy policy;
    struct whole whole = { 0 };
    enum err err = load_policy(argv[3], &policy, why);
    if (err != OK)
        return err;
    err = read_whole(argv[2], &policy, &whole, why);
    if (err == OK)
        err = hold_notes(argv[4], &whole, why);
    if (err == OK) {
        qsort(whole.leaves, whole.size, sizeof *whole.leaves, by_bytes);
        for (uint64_t i = 1; i < whole.size && err == OK; i++)
            if (hash_eq(&whole.leaves[i - 1], &whole.leaves[i]))
                err = fail(why, ERR_REFUSED, "one attestation stands in the log twice");
    }
    if (err == OK)
        printf("%" PRIu64 "\n", whole.size);
    free(whole.leaves);
    free(whole.roots);
    policy_free(&policy);
    return err;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err = key_system_start(&why);
    if (err == OK)
        err = http_client_system_start(&why);
    if (err != OK)
        return (int)err;
    if (argc == 3 && strcmp(argv[1], "verify") == 0)
        err = verify(argv[2], &why);
    else if (argc == 7 && strcmp(argv[1], "load") == 0)
        err = run_load(argv, &why);
    else if (argc == 5 && strcmp(argv[1], "check") == 0)
        err = check(argv, &why);
    else
        err = fail(&why, ERR_USAGE, "see the top of log_driver.c");
    if (err != OK)
        fprintf(stderr, "log_driver: %s\n", why.text);
    return (int)err;
}
