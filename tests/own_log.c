#include "tests/own_log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

void driver_die(const char *what, const struct why *why)
{
    printf("# %s: %s\n", what, why != NULL ? why->text : strerror(errno));
    exit(1);
}

struct http_client *driver_start(unsigned seconds)
{
    struct http_client *client;
    struct why why;
    signal(SIGALRM, SIG_DFL);
    alarm(seconds); /* a witness that hangs ends the test */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    if (key_system_start(&why) != OK || http_client_system_start(&why) != OK ||
        http_client_new(&client, &(struct http_client_config){ 0 }, &why) != OK)
        driver_die("start", &why);
    return client;
}

/* The key whose seed is the hash of origin and number. */
static struct secret_key *make_key(const char *origin, unsigned number)
{
    struct secret_key *key;
    struct buf text = BUF_EMPTY, seeded = BUF_EMPTY;
    struct why why;
    uint8_t bytes[33] = { SIG_ED25519 }, public[32], secret[64];
    buf_fmt(&seeded, "%s %u", origin, number);
    struct hash seed = sha256_of(span_buf(&seeded));
    memcpy(bytes + 1, seed.b, sizeof seed.b);
    crypto_sign_seed_keypair(public, secret, seed.b);
    struct vkey vkey = vkey_make(span_str(origin), SIG_ED25519, public);
    buf_fmt(&text, "PRIVATE+KEY+%s+%08x+", origin, (unsigned)vkey.id);
    base64_encode(&text, span_of(bytes, sizeof bytes));
    if (secret_key_parse(&key, span_buf(&text), SIG_ED25519, &why) != OK)
        driver_die("a key", &why);
    buf_free(&text);
    buf_free(&seeded);
    return key;
}

void own_log_make(struct own_log *log, const char *origin, unsigned key, size_t leaves_n)
{
    struct buf text = BUF_EMPTY;
    *log = (struct own_log){ .leaves_n = leaves_n, .key = make_key(origin, key) };
    log->vkey = secret_key_vkey(log->key);
    vkey_render(&text, &log->vkey);
    memcpy(log->vkey_text, text.data, text.len);
    buf_free(&text);
    for (size_t level = 0; level < OWN_LEVELS; level++)
        if ((log->nodes[level] = calloc((leaves_n >> level) + 1, sizeof(struct hash))) == NULL)
            driver_die("memory", NULL);
    for (size_t i = 0; i < leaves_n; i++)
        log->nodes[0][i] = merkle_leaf_hash(span_of(&i, sizeof i));
    own_log_hash(log, 0);
}

void own_log_fork(struct own_log *log, size_t from)
{
    for (size_t i = from; i < log->leaves_n; i++)
        log->nodes[0][i] = merkle_leaf_hash(span_of(&log->nodes[0][i], sizeof log->nodes[0][i]));
    own_log_hash(log, from);
}

void own_log_hash(struct own_log *log, size_t from)
{
    for (size_t level = 1; level < OWN_LEVELS; level++)
        for (size_t i = from >> level; i < log->leaves_n >> level; i++)
            log->nodes[level][i] = merkle_node_hash(&log->nodes[level - 1][2 * i], &log->nodes[level - 1][2 * i + 1]);
}

void own_log_free(struct own_log *log)
{
    secret_key_free(log->key);
    for (size_t level = 0; level < OWN_LEVELS; level++)
        free(log->nodes[level]);
}

static enum err read_nodes(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    struct own_log *const *log = ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = (*log)->nodes[nodes[i].level][nodes[i].index];
    return OK;
}

struct hash own_root(const struct own_log *log, uint64_t size)
{
    struct hash_reader reader = { read_nodes, &log };
    struct hash root;
    struct why why;
    if (merkle_root(size, &reader, &root, &why) != OK)
        driver_die("a root", &why);
    return root;
}

void own_text(struct buf *out, const struct own_log *log, uint64_t size, const struct hash *root)
{
    struct checkpoint checkpoint = { .origin = log->vkey.name, .size = size, .root = *root, .extensions = span_str("") };
    checkpoint_render(out, &checkpoint);
}

void own_line(struct buf *out, const struct own_log *log, struct span text)
{
    uint8_t sig[64];
    struct why why;
    if (secret_key_sign(log->key, text, sig, &why) != OK)
        driver_die("a signature", &why);
    note_sig_render(out, &log->vkey, span_of(sig, sizeof sig));
}

void own_front(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size)
{
    struct hash_reader reader = { read_nodes, &log };
    struct hash proof[PROOF_HASHES_MAX];
    struct why why;
    size_t n = 0;
    if (old <= size && merkle_consistency_prove(old, size, &reader, proof, &n, &why) != OK)
        driver_die("a proof", &why);
    buf_fmt(out, "old %llu\n", (unsigned long long)old);
    for (size_t i = 0; i < n; i++) {
        base64_encode(out, span_of(proof[i].b, sizeof proof[i].b));
        buf_byte(out, '\n');
    }
    buf_byte(out, '\n');
}

void own_request(struct buf *out, const struct own_log *log, uint64_t old, uint64_t size)
{
    struct buf text = BUF_EMPTY;
    struct hash root = own_root(log, size);
    own_text(&text, log, size, &root);
    buf_clear(out);
    own_front(out, log, old, size);
    buf_span(out, span_buf(&text));
    buf_byte(out, '\n');
    own_line(out, log, span_buf(&text));
    buf_free(&text);
}

void own_note_path(struct span origin, char out[64 + sizeof "/checkpoint"])
{
    struct hash hash = sha256_of(origin);
    struct buf hex = BUF_EMPTY;
    hex_encode(&hex, span_of(hash.b, sizeof hash.b));
    snprintf(out, 64 + sizeof "/checkpoint", "%.*s/checkpoint", SPAN_FMT(hex));
    buf_free(&hex);
}
