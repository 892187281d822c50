#include "tests/memory_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/proof.h"
#include "lib/sys/clock.h"
#include "tests/must.h"

enum { WITNESSES = 2 };

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
    struct secret_key *key = new_key(MEMORY_LOG_ORIGIN, SIG_ED25519);
    struct checkpoint checkpoint = { .origin = span_str(MEMORY_LOG_ORIGIN), .size = log->n, .root = *root };
    struct buf text = BUF_EMPTY;
    struct why why;
    uint8_t sig[64], cosignature[COSIGNATURE_BYTES];
    struct vkey vkey = secret_key_vkey(key);
    checkpoint_render(&text, &checkpoint);
    must(secret_key_sign(key, span_buf(&text), sig, &why), &why);
    buf_span(&log->note, span_buf(&text));
    buf_byte(&log->note, '\n');
    note_sig_render(&log->note, &vkey, span_of(sig, sizeof sig));
    buf_str(&log->policy_text, "log ");
    vkey_render(&log->policy_text, &vkey);
    secret_key_free(key);
    for (int i = 0; i < WITNESSES; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d.example", i);
        struct secret_key *witness = new_key(name, SIG_COSIGNATURE);
        vkey = secret_key_vkey(witness);
        must(secret_key_cosign(witness, clock_posix_s(), span_buf(&text), true, cosignature, &why), &why);
        note_sig_render(&log->note, &vkey, span_of(cosignature, sizeof cosignature));
        buf_fmt(&log->policy_text, "\nwitness w%d ", i);
        vkey_render(&log->policy_text, &vkey);
        secret_key_free(witness);
    }
    buf_str(&log->policy_text, "\ngroup both all w0 w1\nquorum both\n");
    must(policy_parse(&log->policy, span_buf(&log->policy_text), "policy", &why), &why);
    buf_free(&text);
}

void memory_log_make(struct memory_log *out, struct buf *entries, uint64_t n)
{
    struct why why;
    struct hash root;
    *out = (struct memory_log){ .entries = entries, .n = n };
    build_levels(out);
    struct hash_reader reader = { read_tree, out };
    must(merkle_root(n, &reader, &root, &why), &why);
    sign_head(out, &root);
}

void memory_log_free(struct memory_log *log)
{
    for (size_t i = 0; i < 64; i++)
        free(log->levels[i]);
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
