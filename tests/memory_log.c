#include "tests/memory_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/proof.h"
#include "lib/sys/clock.h"
#include "tests/must.h"

static enum err read_tree(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    const struct memory_log *log = ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = log->levels[nodes[i].level][nodes[i].index];
    return OK;
}

/* All levels of the tree's hashes, so that any node is at hand. */
static void build_levels(struct memory_log *log)
{
    log->levels[0] = calloc(log->n + 1, sizeof(struct hash));
    for (uint64_t i = 0; i < log->n; i++)
        log->levels[0][i] = merkle_leaf_hash(span_buf(&log->entries[i]));
    for (unsigned level = 1; log->n >> level > 0; level++) {
        log->levels[level] = calloc(log->n >> level, sizeof(struct hash));
        for (uint64_t i = 0; i < log->n >> level; i++)
            log->levels[level][i] = merkle_node_hash(&log->levels[level - 1][2 * i], &log->levels[level - 1][2 * i + 1]);
    }
}

static void sign_head(struct memory_log *log, const struct hash *root)
{
    struct vkey vkey = secret_key_vkey(log->key);
    struct checkpoint checkpoint = { .origin = vkey.name, .size = log->n, .root = *root };
    struct buf text = BUF_EMPTY;
    struct why why;
    uint8_t sig[64], cosignature[COSIGNATURE_BYTES];
    checkpoint_render(&text, &checkpoint);
    must(secret_key_sign(log->key, span_buf(&text), sig, &why), &why);
    buf_span(&log->note, span_buf(&text));
    buf_byte(&log->note, '\n');
    note_sig_render(&log->note, &vkey, span_of(sig, sizeof sig));
    for (int i = 0; i < MEMORY_LOG_WITNESSES; i++) {
        vkey = secret_key_vkey(log->witnesses[i]);
        must(secret_key_cosign(log->witnesses[i], clock_posix_s(), span_buf(&text), true, cosignature, &why), &why);
        note_sig_render(&log->note, &vkey, span_of(cosignature, sizeof cosignature));
    }
    buf_free(&text);
}

static void put_key(struct buf *out, const char *words, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    buf_str(out, words);
    vkey_render(out, &vkey);
    buf_byte(out, '\n');
}

/* With its keys and the text of its policy. */
static void finish(struct memory_log *log, struct buf *entries, uint64_t n)
{
    struct why why;
    struct hash root;
    log->entries = entries;
    log->n = n;
    build_levels(log);
    struct hash_reader reader = { read_tree, log };
    must(merkle_root(n, &reader, &root, &why), &why);
    sign_head(log, &root);
    must(policy_parse(&log->policy, span_buf(&log->policy_text), "policy", &why), &why);
}

void memory_log_make(struct memory_log *out, struct buf *entries, uint64_t n)
{
    *out = (struct memory_log){ .key = new_key(MEMORY_LOG_ORIGIN, SIG_ED25519) };
    put_key(&out->policy_text, "log ", out->key);
    for (int i = 0; i < MEMORY_LOG_WITNESSES; i++) {
        char text[32];
        snprintf(text, sizeof text, "w%d.example", i);
        out->witnesses[i] = new_key(text, SIG_COSIGNATURE);
        snprintf(text, sizeof text, "witness w%d ", i);
        put_key(&out->policy_text, text, out->witnesses[i]);
    }
    buf_str(&out->policy_text, "group both all w0 w1\nquorum both\n");
    finish(out, entries, n);
}

void memory_log_make_beside(struct memory_log *out, const struct memory_log *first, const char *origin, struct buf *entries,
                            uint64_t n)
{
    *out = (struct memory_log){ .key = first->key, .other_key = origin == NULL, .other_witnesses = true };
    memcpy(out->witnesses, first->witnesses, sizeof out->witnesses);
    if (origin != NULL) {
        out->key = new_key(origin, SIG_ED25519);
        put_key(&out->policy_text, "log ", out->key);
    }
    buf_span(&out->policy_text, span_buf(&first->policy_text));
    finish(out, entries, n);
}

void memory_log_free(struct memory_log *log)
{
    for (size_t i = 0; i < 64; i++)
        free(log->levels[i]);
    if (!log->other_key)
        secret_key_free(log->key);
    for (size_t i = 0; i < MEMORY_LOG_WITNESSES && !log->other_witnesses; i++)
        secret_key_free(log->witnesses[i]);
    policy_free(&log->policy);
    buf_free(&log->note);
    buf_free(&log->policy_text);
}

void memory_log_bundle(const struct memory_log *log, uint64_t index, struct buf *out)
{
    struct memory_log *reading = &(struct memory_log){ .n = log->n };
    struct hash hashes[PROOF_HASHES_MAX];
    size_t n;
    struct why why;
    struct span extra = span_buf(&log->entries[index]);
    memcpy(reading->levels, log->levels, sizeof log->levels);
    struct hash_reader reader = { read_tree, reading };
    must(merkle_inclusion_prove(index, log->n, &reader, hashes, &n, &why), &why);
    proof_render(out, &extra, index, hashes, n, span_buf(&log->note));
}
