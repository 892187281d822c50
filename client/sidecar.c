#include "client/sidecar.h"

#include "lib/storepath.h"

static bool names(const struct evidence_item *item, struct span hash_part)
{
    for (size_t i = 0; i < item->statement.subjects_n; i++) {
        struct storepath path;
        if (storepath_parse(&path, item->statement.subjects[i].path, NULL) == OK && span_eq(path.hash_part, hash_part))
            return true;
    }
    return false;
}

/* The first line of the proof's checkpoint. */
static struct span origin_of(struct span proof_text)
{
    struct proof proof;
    struct span rest, line = { 0 };
    if (proof_parse(&proof, proof_text, NULL) == OK) {
        rest = proof.checkpoint;
        span_line(&rest, &line);
    }
    return line;
}

static bool same_entry(const struct evidence_item *a, const struct evidence_item *b)
{
    return a->index == b->index && a->proof_len > 0 && b->proof_len > 0 &&
           span_eq(origin_of(span_of(a->proof_text, a->proof_len)), origin_of(span_of(b->proof_text, b->proof_len)));
}

/* Does `among` have a verified proof of the same entry? */
static bool verified_in(const struct evidence *among, const struct evidence_item *item)
{
    for (size_t i = 0; i < among->n; i++)
        if (among->items[i]->proven && same_entry(among->items[i], item))
            return true;
    return false;
}

static bool add(struct buf *out, size_t before, const struct evidence_item *item)
{
    bool fits = item->proof_len > 0 && out->len - before + item->proof_len <= SIDECAR_BYTES_MAX;
    if (fits)
        buf_span(out, span_of(item->proof_text, item->proof_len));
    return fits;
}

static bool by_builder(const struct trust *trust, const struct evidence_item *item)
{
    return trust != NULL && trust_builder(trust, &item->key) >= 0;
}

enum err sidecar_merge(struct buf *out, struct stapler *by, struct span old, const struct evidence *fresh, struct span hash_part,
                       bool *proves, struct why *why)
{
    struct evidence there = { .heads = &by->heads };
    size_t before = out->len;
    *proves = false;
    enum err err = evidence_add(&there, old, "sidecar", &by->policy, NULL, why);
    /* What verifies first, whatever else there is; and of that, what a stranger cannot crowd out. */
    for (int named = 1; named >= 0 && err == OK; named--) {
        for (size_t i = 0; i < there.n; i++)
            if (there.items[i]->proven && by_builder(by->trust, there.items[i]) == named && add(out, before, there.items[i]))
                *proves |= names(there.items[i], hash_part);
        for (size_t i = 0; i < fresh->n; i++)
            if (fresh->items[i]->proven && by_builder(by->trust, fresh->items[i]) == named && names(fresh->items[i], hash_part) &&
                !verified_in(&there, fresh->items[i]))
                *proves |= add(out, before, fresh->items[i]);
    }
    for (size_t i = 0; i < there.n && err == OK; i++)
        if (!there.items[i]->proven && !verified_in(fresh, there.items[i]))
            add(out, before, there.items[i]);
    evidence_free(&there);
    evidence_heads_trim(&by->heads, SIDECAR_HEADS_KEPT_MAX);
    return err == OK ? buf_done(out, why) : err;
}
