/*
 * Proof bundles a second, one core: verify N
 * Makes a log of N attestations, two witnesses and a policy in memory, and verifies a bundle each: proof, inclusion, envelope
 * signature and statement; checkpoint and cosignatures once, for they are shared.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/evidence.h"
#include "lib/sys/clock.h"
#include "tests/attestation.h"

enum { N_MAX = 100000, WITNESSES = 2, ATTESTATION_INPUTS = 2 };

static void must(enum err err, const struct why *why)
{
    if (err == OK)
        return;
    fprintf(stderr, "verify: %s\n", why->text);
    exit(1);
}

static struct secret_key *new_key(const char *name, enum sig_type type)
{
    struct secret_key *key;
    struct why why;
    must(secret_key_new(&key, span_str(name), type, &why), &why);
    return key;
}

/* All levels of the tree's hashes, so that any node is at hand. */
struct tree {
    struct hash *levels[64];
    uint64_t size;
};

static enum err read_tree(void *ctx, const struct node *nodes, size_t n, struct hash *out, struct why *why)
{
    const struct tree *tree = ctx;
    (void)why;
    for (size_t i = 0; i < n; i++)
        out[i] = tree->levels[nodes[i].level][nodes[i].index];
    return OK;
}

static void build_levels(struct tree *tree)
{
    for (unsigned level = 1; tree->size >> level > 0; level++) {
        tree->levels[level] = calloc(tree->size >> level, sizeof(struct hash));
        for (uint64_t i = 0; i < tree->size >> level; i++)
            tree->levels[level][i] = merkle_node_hash(&tree->levels[level - 1][2 * i], &tree->levels[level - 1][2 * i + 1]);
    }
}

/* The signed checkpoint, and the policy that it satisfies. */
static void sign_head(const struct hash *root, uint64_t size, struct buf *note, struct buf *policy)
{
    struct secret_key *log = new_key("bench.example/log", SIG_ED25519);
    struct checkpoint checkpoint = { .origin = span_str("bench.example/log"), .size = size, .root = *root };
    struct buf text = BUF_EMPTY;
    struct why why;
    uint8_t sig[64], cosignature[COSIGNATURE_BYTES];
    struct vkey vkey = secret_key_vkey(log);
    checkpoint_render(&text, &checkpoint);
    must(secret_key_sign(log, span_buf(&text), sig, &why), &why);
    buf_span(note, span_buf(&text));
    buf_byte(note, '\n');
    note_sig_render(note, &vkey, span_of(sig, sizeof sig));
    buf_str(policy, "log ");
    vkey_render(policy, &vkey);
    for (int i = 0; i < WITNESSES; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d.example", i);
        struct secret_key *witness = new_key(name, SIG_COSIGNATURE);
        struct vkey key = secret_key_vkey(witness);
        must(secret_key_cosign(witness, clock_posix_s(), span_buf(&text), cosignature, &why), &why);
        note_sig_render(note, &key, span_of(cosignature, sizeof cosignature));
        buf_fmt(policy, "\nwitness w%d ", i);
        vkey_render(policy, &key);
    }
    buf_str(policy, "\ngroup both all w0 w1\nquorum both\n");
}

int main(int argc, char **argv)
{
    struct why why;
    size_t n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (n == 0 || n > N_MAX) {
        fprintf(stderr, "usage: verify N\n");
        return 2;
    }
    must(key_system_start(&why), &why);
    struct secret_key *builder = new_key("bench.example/builder", SIG_ED25519);
    struct buf *entries = calloc(n, sizeof *entries), note = BUF_EMPTY, policy_text = BUF_EMPTY;
    struct tree tree = { .size = n, .levels[0] = calloc(n, sizeof(struct hash)) };
    for (size_t i = 0; i < n; i++) {
        must(test_attestation(&entries[i], builder, i, ATTESTATION_INPUTS, &why), &why);
        entries[i].len--; /* the line's newline is not the entry's */
        tree.levels[0][i] = merkle_leaf_hash(span_buf(&entries[i]));
    }
    build_levels(&tree);
    struct hash_reader reader = { read_tree, &tree };
    struct hash root, hashes[PROOF_HASHES_MAX];
    must(merkle_root(n, &reader, &root, &why), &why);
    sign_head(&root, n, &note, &policy_text);
    struct policy policy;
    must(policy_parse(&policy, span_buf(&policy_text), "policy", &why), &why);
    struct buf bundles = BUF_EMPTY;
    for (size_t i = 0; i < n; i++) {
        size_t hashes_n;
        struct span extra = span_buf(&entries[i]);
        must(merkle_inclusion_prove(i, n, &reader, hashes, &hashes_n, &why), &why);
        proof_render(&bundles, &extra, i, hashes, hashes_n, span_buf(&note));
    }
    struct evidence evidence = { 0 };
    uint64_t from_us = clock_monotonic_us();
    must(evidence_add(&evidence, span_buf(&bundles), "bench", &policy, NULL, &why), &why);
    double seconds = (double)(clock_monotonic_us() - from_us) / 1e6;
    for (size_t i = 0; i < evidence.n; i++)
        must(evidence.items[i]->proven ? OK : ERR_REFUSED, &evidence.items[i]->why_not);
    printf("bundles_s %.0f\nbundle_bytes %zu\n", (double)evidence.n / seconds, bundles.len / n);
    return evidence.n == n ? 0 : 1;
}
