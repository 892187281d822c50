/* What the machines have said, and the promises of the design that it is held against: spec/invariants.md. */
#include <stdlib.h>

#include "lib/proof.h"
#include "tests/sim/chaos.h"

static struct policy policy;
static char *log_text, *witness_text[WITNESSES];
static struct vkey log_key, witness_key[WITNESSES];

/* All heads of the log, and of each witness; by size. */
struct heads_said {
    struct head *items;
    size_t n;
    uint64_t newest_s; /* of a witness's cosignatures */
};
static struct heads_said by_log, by_witness[WITNESSES];
static uint64_t shown_size; /* the largest head that the log has published */

struct proven {
    struct hash leaf;
    uint64_t index;
};
static struct proven *proofs;
static size_t proofs_n;

static void *grown(void *array, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0)
        return array;
    void *more = realloc(array, (n == 0 ? 1 : 2 * n) * size);
    if (more == NULL)
        abort();
    return more;
}

enum err history_start(struct span policy_text, struct span log, const struct span *witnesses, size_t witnesses_n, struct why *why)
{
    log_text = span_dup_str(log);
    enum err err = policy_parse(&policy, policy_text, "policy", why);
    if (err == OK)
        err = vkey_parse(&log_key, span_str(log_text), SIG_ED25519, why);
    for (size_t i = 0; i < witnesses_n && err == OK; i++) {
        witness_text[i] = span_dup_str(witnesses[i]);
        err = vkey_parse(&witness_key[i], span_str(witness_text[i]), SIG_COSIGNATURE, why);
    }
    return err;
}

/* Two heads of one size are one head. */
static void note_head(struct heads_said *said, const char *who, const struct head *head)
{
    for (size_t i = 0; i < said->n; i++)
        if (said->items[i].size == head->size) {
            if (!hash_eq(&said->items[i].root, &head->root))
                sim_fail("%s signed two heads of size %llu", who, (unsigned long long)head->size);
            return;
        }
    said->items = grown(said->items, said->n, sizeof *said->items);
    said->items[said->n++] = *head;
}

/* The note in an add-checkpoint request, after the proof's lines; false where it is none that the log signed. */
static bool note_of_request(struct span body, struct note *note, struct checkpoint *checkpoint)
{
    struct span line;
    struct why why;
    while (span_line(&body, &line) && line.len > 0)
        continue;
    return note_parse(note, body, &why) == OK && checkpoint_open(checkpoint, note, log_key.name, &log_key, 1, &why) == OK;
}

void history_asked(const struct machine *to, struct span path, struct span body)
{
    struct note note;
    struct checkpoint checkpoint;
    (void)to;
    if (span_is(path, "/add-checkpoint") && note_of_request(body, &note, &checkpoint))
        note_head(&by_log, "the log", &(struct head){ checkpoint.size, checkpoint.root });
}

/* A cosignature: over a head that is the only one of its size, at a time that does not go back. */
static void see_cosignature(size_t i, struct span request, struct span reply)
{
    struct note note;
    struct checkpoint checkpoint;
    struct buf line = BUF_EMPTY;
    struct why why;
    uint64_t time_s;
    if (!note_of_request(request, &note, &checkpoint))
        sim_fail("w%zu cosigned what the log did not sign", i);
    if (cosignature_from_reply(reply, note.text, &witness_key[i], &line, &time_s, &why) != OK)
        sim_fail("w%zu answered 200 with no cosignature: %s", i, why.text);
    buf_free(&line);
    note_head(&by_witness[i], machines[1 + i].name, &(struct head){ checkpoint.size, checkpoint.root });
    if (time_s < by_witness[i].newest_s)
        sim_fail("w%zu cosigned at %llu after %llu", i, (unsigned long long)time_s, (unsigned long long)by_witness[i].newest_s);
    by_witness[i].newest_s = time_s;
}

/* A witness that names an older head than it has cosigned has forgotten what it said. */
static void see_conflict(size_t i, struct span reply)
{
    struct span line;
    uint64_t size;
    if (!span_line(&reply, &line) || !span_decimal(line, TREE_SIZE_MAX, &size))
        sim_fail("w%zu answers 409 without a size", i);
    for (size_t k = 0; k < by_witness[i].n; k++)
        if (by_witness[i].items[k].size > size)
            sim_fail("w%zu is at size %llu, and has cosigned %llu", i, (unsigned long long)size,
                     (unsigned long long)by_witness[i].items[k].size);
}

static void see_checkpoint(struct span note)
{
    static struct policy_view view;
    struct why why;
    if (policy_check(&policy, note, &view, NULL, &why) != OK)
        sim_fail("the log shows a checkpoint that does not hold: %s", why.text);
    if (view.checkpoint.size < shown_size)
        sim_fail("the log shows size %llu after %llu", (unsigned long long)view.checkpoint.size, (unsigned long long)shown_size);
    shown_size = view.checkpoint.size;
    note_head(&by_log, "the log", &(struct head){ view.checkpoint.size, view.checkpoint.root });
}

uint64_t history_index(const struct hash *leaf)
{
    for (size_t i = 0; i < proofs_n; i++)
        if (hash_eq(&proofs[i].leaf, leaf))
            return proofs[i].index;
    return UINT64_MAX;
}

static void see_proofs(struct span request, struct span reply)
{
    static struct policy_view view;
    static struct proof proof;
    struct span line;
    struct why why;
    while (span_line(&request, &line)) {
        if (span_starts(line, "{\"inputs\""))
            continue;
        struct hash leaf = merkle_leaf_hash(line);
        if (reply.len == 0 || proof_next(&proof, &reply, &why) != OK || proof_verify(&proof, &leaf, &policy, &view, &why) != OK)
            sim_fail("the log answered with a proof that does not hold: %s", reply.len == 0 ? "there is none" : why.text);
        note_head(&by_log, "the log", &(struct head){ view.checkpoint.size, view.checkpoint.root });
        uint64_t index = history_index(&leaf);
        if (index != UINT64_MAX && index != proof.index)
            sim_fail("one attestation has indices %llu and %llu", (unsigned long long)index, (unsigned long long)proof.index);
        if (index != UINT64_MAX)
            continue;
        proofs = grown(proofs, proofs_n, sizeof *proofs);
        proofs[proofs_n++] = (struct proven){ leaf, proof.index };
    }
    if (reply.len > 0)
        sim_fail("the log answered with more proofs than were asked for");
}

void history_answered(const struct machine *from, struct span path, struct span request, unsigned status, struct span body)
{
    if (from != &machines[0] && status == 409)
        see_conflict((size_t)(from - machines) - 1, body);
    if (status != 200)
        return;
    if (from == &machines[0]) {
        if (span_is(path, "/checkpoint"))
            see_checkpoint(body);
        else if (span_is(path, "/attestations"))
            see_proofs(request, body);
    } else if (span_is(path, "/add-checkpoint")) {
        see_cosignature((size_t)(from - machines) - 1, request, body);
    }
}

static void hold_heads(const struct heads_said *said, const char *who, const struct hash *roots, uint64_t size)
{
    for (size_t i = 0; i < said->n; i++) {
        const struct head *head = &said->items[i];
        if (head->size > size || !hash_eq(&head->root, &roots[head->size]))
            sim_fail("%s signed a head of size %llu that is not in the log's history (of size %llu)", who,
                     (unsigned long long)head->size, (unsigned long long)size);
    }
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct hash));
}

void history_hold(const struct hash *leaves, uint64_t size)
{
    struct frontier frontier;
    struct hash *roots = calloc(size + 1, sizeof *roots), *sorted = calloc(size + 1, sizeof *sorted);
    if (roots == NULL || sorted == NULL)
        abort();
    frontier_start(&frontier);
    roots[0] = frontier_root(&frontier);
    for (uint64_t i = 0; i < size; i++) {
        frontier_append(&frontier, &leaves[i]);
        roots[i + 1] = frontier_root(&frontier);
        sorted[i] = leaves[i];
    }
    hold_heads(&by_log, "the log", roots, size);
    for (size_t i = 0; i < WITNESSES; i++)
        hold_heads(&by_witness[i], machines[1 + i].name, roots, size);
    for (size_t i = 0; i < proofs_n; i++)
        if (proofs[i].index >= size || !hash_eq(&leaves[proofs[i].index], &proofs[i].leaf))
            sim_fail("what was proven at index %llu is not there", (unsigned long long)proofs[i].index);
    qsort(sorted, size, sizeof *sorted, by_bytes);
    for (uint64_t i = 1; i < size; i++)
        if (hash_eq(&sorted[i - 1], &sorted[i]))
            sim_fail("one attestation stands in the log twice");
    free(roots);
    free(sorted);
}

struct history_counts history_counts(void)
{
    struct history_counts counts = { .proofs = proofs_n, .log_heads = by_log.n };
    for (size_t i = 0; i < WITNESSES; i++)
        counts.witness_heads += by_witness[i].n;
    return counts;
}
