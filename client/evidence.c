#include "client/evidence.h"

#include <stdlib.h>

static void free_item(struct evidence_item *item)
{
    if (item == NULL)
        return;
    statement_free(&item->statement);
    buf_free(&item->entry);
    buf_free(&item->payload);
    free(item->source);
    free(item->origin);
    free(item->proof_text);
    free(item->key_text);
    free(item->witnesses);
    free(item);
}

void evidence_free(struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->n; i++)
        free_item(evidence->items[i]);
    free(evidence->items);
    free(evidence->checked_note);
    free(evidence->checked_view);
    *evidence = (struct evidence){ 0 };
}

/* Verifies the proof's checkpoint under the policy, or finds that it was the last one verified: bundles share theirs. What
 * is kept borrows from a copy of the note. */
static enum err check_checkpoint(struct evidence *evidence, struct span note, const struct policy *policy, struct why *why)
{
    if (evidence->checked_note != NULL && span_eq(note, span_of(evidence->checked_note, evidence->checked_len)))
        return OK;
    free(evidence->checked_note);
    if (evidence->checked_view == NULL)
        evidence->checked_view = malloc(sizeof *evidence->checked_view);
    evidence->checked_note = span_dup_str(note);
    evidence->checked_len = note.len;
    if (evidence->checked_note == NULL || evidence->checked_view == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = policy_check(policy, span_of(evidence->checked_note, note.len), evidence->checked_view, NULL, why);
    if (err != OK) {
        free(evidence->checked_note);
        evidence->checked_note = NULL;
    }
    return err;
}

static char *name_witnesses(const struct policy *policy, const struct policy_view *view)
{
    struct buf names = BUF_EMPTY;
    for (size_t i = 0; i < policy->witnesses_n; i++)
        if (view->cosigned[i])
            buf_fmt(&names, "%s%.*s", names.len > 0 ? ", " : "", SPAN_FMT(policy->witnesses[i].name));
    buf_byte(&names, '\0');
    if (!names.failed)
        return (char *)names.data;
    buf_free(&names);
    return NULL;
}

static void find_subject(struct evidence_item *item, const struct storepath *path)
{
    for (size_t i = 0; path != NULL && i < item->statement.subjects_n; i++)
        if (span_eq(item->statement.subjects[i].path, path->path))
            item->subject = &item->statement.subjects[i];
}

/* The envelope: in its one form, signed by the key it names, and with a statement of that key's. */
static enum err open_envelope(struct evidence_item *item, struct why *why)
{
    struct envelope envelope;
    enum err err = envelope_parse(&envelope, span_buf(&item->entry), &item->payload, why);
    if (err == OK)
        err = envelope_verify(&envelope, why);
    if (err == OK)
        err = statement_parse(&item->statement, envelope.payload, why);
    if (err == OK)
        err = statement_check_key(&item->statement, envelope.key.name, why);
    if (err != OK)
        return err;
    struct buf vkey = BUF_EMPTY;
    vkey_render(&vkey, &envelope.key);
    item->key_text = vkey.failed ? NULL : span_dup_str(span_buf(&vkey));
    buf_free(&vkey);
    if (item->key_text == NULL)
        return fail(why, ERR_ENV, "out of memory");
    return vkey_parse(&item->key, span_str(item->key_text), SIG_ED25519, why);
}

static enum err prove(struct evidence *evidence, struct evidence_item *item, const struct proof *proof, const struct policy *policy,
                      struct why *why)
{
    if (!proof_extra(proof, &item->entry))
        return fail(why, item->entry.failed ? ERR_ENV : ERR_MALFORMED, "the proof has no `extra` line with the attestation");
    enum err err = check_checkpoint(evidence, proof->checkpoint, policy, why);
    if (err != OK)
        return err;
    const struct policy_view *view = evidence->checked_view;
    struct hash leaf = merkle_leaf_hash(span_buf(&item->entry));
    err = proof_verify_inclusion(proof, &leaf, &view->checkpoint, why);
    if (err == OK)
        err = open_envelope(item, why);
    if (err != OK)
        return err;
    item->origin = span_dup_str(view->checkpoint.origin);
    item->witnesses = name_witnesses(policy, view);
    item->cosignatures = view->cosignatures;
    item->newest_time_s = view->newest_time_s;
    item->root = view->checkpoint.root;
    item->tree_size = view->checkpoint.size;
    item->proven = item->origin != NULL && item->witnesses != NULL;
    return item->proven ? OK : fail(why, ERR_ENV, "out of memory");
}

static bool known_already(const struct evidence *evidence, const struct evidence_item *item)
{
    for (size_t i = 0; i < evidence->n; i++)
        if (evidence->items[i]->proven && evidence->items[i]->index == item->index &&
            strcmp(evidence->items[i]->origin, item->origin) == 0)
            return true;
    return false;
}

static enum err push(struct evidence *evidence, struct evidence_item *item, struct why *why)
{
    if ((evidence->n & (evidence->n - 1)) == 0) {
        size_t cap = evidence->n == 0 ? 1 : 2 * evidence->n;
        struct evidence_item **items = realloc(evidence->items, cap * sizeof *items);
        if (items == NULL)
            return fail(why, ERR_ENV, "out of memory");
        evidence->items = items;
    }
    evidence->items[evidence->n++] = item;
    return OK;
}

/* One proof out of `rest`; all of `rest` where it does not parse. */
static enum err add_one(struct evidence *evidence, struct span *rest, const char *source, const struct policy *policy,
                        const struct storepath *path, struct why *why)
{
    struct evidence_item *item = calloc(1, sizeof *item);
    struct proof proof;
    if (item == NULL || (item->source = span_dup_str(span_str(source))) == NULL) {
        free_item(item);
        return fail(why, ERR_ENV, "out of memory");
    }
    enum err err = proof_next(&proof, rest, &item->why_not);
    if (err == OK) {
        item->index = proof.index;
        item->proof_text = span_dup_str(proof.text);
        item->proof_len = proof.text.len;
        err = item->proof_text == NULL ? ERR_ENV : prove(evidence, item, &proof, policy, &item->why_not);
    } else {
        *rest = span_of(NULL, 0);
    }
    if (err == ERR_ENV) {
        free_item(item);
        return fail(why, ERR_ENV, "out of memory");
    }
    find_subject(item, path);
    if (item->proven && known_already(evidence, item)) {
        free_item(item);
        return OK;
    }
    err = push(evidence, item, why);
    if (err != OK)
        free_item(item);
    return err;
}

enum err evidence_add(struct evidence *evidence, struct span bundles, const char *source, const struct policy *policy,
                      const struct storepath *path, struct why *why)
{
    struct span rest = bundles;
    enum err err = OK;
    while (rest.len > 0 && err == OK)
        err = add_one(evidence, &rest, source, policy, path, why);
    return err;
}

enum err evidence_for_trust(const struct evidence *evidence, struct trust_evidence **out, size_t *n, size_t **map, struct why *why)
{
    *n = 0;
    *out = calloc(evidence->n + 1, sizeof **out);
    if (map != NULL)
        *map = calloc(evidence->n + 1, sizeof **map);
    if (*out == NULL || (map != NULL && *map == NULL))
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < evidence->n; i++) {
        const struct evidence_item *item = evidence->items[i];
        if (!item->proven || item->subject == NULL)
            continue;
        if (map != NULL)
            (*map)[*n] = i;
        (*out)[(*n)++] =
            (struct trust_evidence){ &item->key, &item->statement, item->subject, span_str(item->origin), item->index };
    }
    return OK;
}
