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
    free(item->proof_text);
    free(item);
}

static void free_head(struct evidence_head *head)
{
    if (head == NULL)
        return;
    free(head->note);
    free(head->origin);
    free(head->witnesses);
    free(head);
}

void evidence_heads_free(struct evidence_heads *heads)
{
    for (size_t i = 0; i < heads->n; i++)
        free_head(heads->items[i]);
    free(heads->items);
    *heads = (struct evidence_heads){ 0 };
}

void evidence_heads_trim(struct evidence_heads *heads, size_t most)
{
    if (heads->n > most)
        evidence_heads_free(heads);
}

void evidence_clear(struct evidence *evidence)
{
    while (evidence->n > 0)
        free_item(evidence->items[--evidence->n]);
    if (evidence->proven_n > 0)
        memset(evidence->places, 0, evidence->places_cap * sizeof *evidence->places);
    evidence->proven_n = 0;
}

void evidence_free(struct evidence *evidence)
{
    evidence_clear(evidence);
    free(evidence->items);
    free(evidence->places);
    evidence_heads_free(&evidence->own_heads);
    *evidence = (struct evidence){ .lean = evidence->lean };
}

/* A growing list of pointers: room for one more. */
static enum err more(void *list, size_t n, struct why *why)
{
    void **items = array_more(*(void **)list, n, sizeof *items);
    if (items == NULL)
        return fail(why, ERR_ENV, "out of memory");
    *(void **)list = items;
    return OK;
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

static enum err check_head(struct evidence_head *head, struct span note, const struct policy *policy, struct why *why)
{
    head->note = span_dup_str(note);
    head->note_len = note.len;
    if (head->note == NULL)
        return fail(why, ERR_ENV, "out of memory");
    enum err err = policy_check(policy, span_of(head->note, note.len), &head->view, &head->quorum_short, &head->why_not);
    head->proven = err == OK;
    if (err == OK) {
        head->origin = span_dup_str(head->view.checkpoint.origin);
        head->witnesses = name_witnesses(policy, &head->view);
    }
    return err == ERR_ENV || (err == OK && (head->origin == NULL || head->witnesses == NULL)) ? fail(why, ERR_ENV, "out of memory")
                                                                                              : OK;
}

static struct evidence_head *met(const struct evidence_heads *heads, struct span note)
{
    for (size_t i = heads->n; i-- > 0;)
        if (span_eq(note, span_of(heads->items[i]->note, heads->items[i]->note_len)))
            return heads->items[i];
    return NULL;
}

bool evidence_heads_have(const struct evidence_heads *heads, struct span note)
{
    return met(heads, note) != NULL;
}

/* The proof's checkpoint under the policy, found among those that were met: bundles share theirs, mostly the last one. */
static enum err find_head(struct evidence_heads *heads, struct span note, const struct policy *policy, struct evidence_head **out,
                          struct why *why)
{
    if ((*out = met(heads, note)) != NULL)
        return OK;
    struct evidence_head *head = calloc(1, sizeof *head);
    enum err err = head == NULL ? fail(why, ERR_ENV, "out of memory") : check_head(head, note, policy, why);
    if (err == OK)
        err = more(&heads->items, heads->n, why);
    if (err != OK) {
        free_head(head);
        return err;
    }
    *out = heads->items[heads->n++] = head;
    return OK;
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
    item->key = envelope.key;
    return OK;
}

static struct evidence_heads *heads_of(struct evidence *evidence)
{
    return evidence->heads != NULL ? evidence->heads : &evidence->own_heads;
}

/* The note of the head met last: a checkpoint of these bytes was parsed. */
static struct span last_note(const struct evidence_heads *heads)
{
    const struct evidence_head *last = heads->n > 0 ? heads->items[heads->n - 1] : NULL;
    return last != NULL ? span_of(last->note, last->note_len) : span_of(NULL, 0);
}

static enum err prove(struct evidence *evidence, struct evidence_item *item, const struct proof *proof, const struct policy *policy,
                      struct why *why)
{
    if (!proof->has_extra)
        return fail(why, ERR_MALFORMED, "the proof has no `extra` line with the attestation");
    enum err err = find_head(heads_of(evidence), proof->checkpoint, policy, &item->head, why);
    if (err == OK && !item->head->proven)
        err = fail(why, ERR_REFUSED, "%s", item->head->why_not.text);
    if (err != OK)
        return err;
    const struct policy_view *view = &item->head->view;
    struct hash leaf = merkle_leaf_hash(span_buf(&item->entry));
    err = proof_verify_inclusion(proof, &leaf, &view->checkpoint, why);
    if (err == OK)
        err = open_envelope(item, why);
    if (err != OK)
        return err;
    item->origin = item->head->origin;
    item->witnesses = item->head->witnesses;
    item->cosignatures = view->cosignatures;
    item->newest_time_s = view->newest_time_s;
    item->root = view->checkpoint.root;
    item->tree_size = view->checkpoint.size;
    item->proven = true;
    return OK;
}

/* Where the item of this place in this log stands among the proven ones, or would. The table is never full. */
static struct evidence_item **place_of(struct evidence_item **places, size_t cap, const struct evidence_item *item)
{
    size_t at = (size_t)(item->index * UINT64_C(0x9e3779b97f4a7c15)) & (cap - 1);
    while (places[at] != NULL && (places[at]->index != item->index || strcmp(places[at]->origin, item->origin) != 0))
        at = (at + 1) & (cap - 1);
    return &places[at];
}

/* Is another proof of the same place there already? If not, the item takes it. */
static enum err take_place(struct evidence *evidence, struct evidence_item *item, bool *taken, struct why *why)
{
    if (2 * evidence->proven_n >= evidence->places_cap) {
        size_t cap = evidence->places_cap == 0 ? 16 : 2 * evidence->places_cap;
        struct evidence_item **places = calloc(cap, sizeof *places);
        if (places == NULL)
            return fail(why, ERR_ENV, "out of memory");
        for (size_t i = 0; i < evidence->places_cap; i++)
            if (evidence->places[i] != NULL)
                *place_of(places, cap, evidence->places[i]) = evidence->places[i];
        free(evidence->places);
        evidence->places = places;
        evidence->places_cap = cap;
    }
    struct evidence_item **place = place_of(evidence->places, evidence->places_cap, item);
    *taken = *place != NULL;
    if (!*taken) {
        *place = item;
        evidence->proven_n++;
    }
    return OK;
}

static enum err push(struct evidence *evidence, struct evidence_item *item, struct why *why)
{
    enum err err = more(&evidence->items, evidence->n, why);
    if (err == OK)
        evidence->items[evidence->n++] = item;
    return err;
}

enum err evidence_add_one(struct evidence *evidence, struct span *rest, const char *source, const struct policy *policy,
                          const struct storepath *path, struct why *why)
{
    struct evidence_item *item = calloc(1, sizeof *item);
    struct proof_outline outline;
    struct proof proof;
    if (item == NULL || (item->source = span_dup_str(span_str(source))) == NULL) {
        free_item(item);
        return fail(why, ERR_ENV, "out of memory");
    }
    enum err err = proof_next_of_many(&proof, rest, last_note(heads_of(evidence)), &item->entry, &item->why_not);
    if (err == OK) {
        item->index = proof.index;
        item->proof_text = evidence->lean ? NULL : span_dup_str(proof.text);
        item->proof_len = proof.text.len;
        bool kept = evidence->lean || item->proof_text != NULL;
        err = kept ? prove(evidence, item, &proof, policy, &item->why_not) : ERR_ENV;
    } else if (!proof_outline_next(&outline, rest)) {
        *rest = span_of(NULL, 0);
    }
    if (err == ERR_ENV) {
        free_item(item);
        return fail(why, ERR_ENV, "out of memory");
    }
    find_subject(item, path);
    bool taken = false;
    err = push(evidence, item, why); /* first: a place is never given back */
    if (err != OK) {
        free_item(item);
        return err;
    }
    if (item->proven)
        err = take_place(evidence, item, &taken, why);
    if (err == OK && !taken)
        return OK;
    free_item(item);
    evidence->n--;
    return err;
}

enum err evidence_add(struct evidence *evidence, struct span bundles, const char *source, const struct policy *policy,
                      const struct storepath *path, struct why *why)
{
    struct span rest = bundles;
    enum err err = OK;
    while (rest.len > 0 && err == OK)
        err = evidence_add_one(evidence, &rest, source, policy, path, why);
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
