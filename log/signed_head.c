#include "log/signed_head.h"

#include <stdlib.h>

struct signed_head *signed_head_new(const struct head *head, struct span text, struct span log_line, uint64_t now_ms)
{
    struct signed_head *out = calloc(1, sizeof *out);
    if (out == NULL)
        return NULL;
    *out = (struct signed_head){ .refs = 1, .head = *head, .since_ms = now_ms };
    buf_span(&out->text, text);
    buf_span(&out->log_line, log_line);
    if (!out->text.failed && !out->log_line.failed)
        return out;
    signed_head_release(out);
    return NULL;
}

struct signed_head *signed_head_keep(struct signed_head *head)
{
    head->refs++;
    return head;
}

void signed_head_release(struct signed_head *head)
{
    if (head == NULL || --head->refs > 0)
        return;
    for (size_t i = 0; i < head->n; i++)
        buf_free(&head->cosignatures[i].line);
    buf_free(&head->text);
    buf_free(&head->log_line);
    free(head);
}

static const struct head_cosignature *find(const struct signed_head *head, const uint8_t key[32])
{
    for (size_t i = 0; i < head->n; i++)
        if (memcmp(head->cosignatures[i].key, key, 32) == 0)
            return &head->cosignatures[i];
    return NULL;
}

/* The one to give up for another: a key's that the policy no longer has may stand here. The oldest line goes. */
static struct head_cosignature *make_room(struct signed_head *head)
{
    if (head->n == LOG_WITNESSES_MAX) {
        buf_free(&head->cosignatures[0].line);
        head->n--;
        memmove(head->cosignatures, head->cosignatures + 1, head->n * sizeof head->cosignatures[0]);
    }
    struct head_cosignature *place = &head->cosignatures[head->n++];
    *place = (struct head_cosignature){ 0 };
    return place;
}

enum err signed_head_cosign(struct signed_head *head, const uint8_t key[32], struct span line, struct why *why)
{
    struct buf copy = BUF_EMPTY;
    buf_span(&copy, line);
    enum err err = buf_done(&copy, why);
    if (err != OK)
        return err;
    struct head_cosignature *place = NULL;
    for (size_t i = 0; i < head->n && place == NULL; i++)
        if (memcmp(head->cosignatures[i].key, key, 32) == 0)
            place = &head->cosignatures[i];
    if (place == NULL)
        place = make_room(head);
    buf_free(&place->line);
    memcpy(place->key, key, 32);
    place->line = copy;
    place->fresh = true;
    return OK;
}

bool signed_head_has_fresh(const struct signed_head *head, const uint8_t key[32])
{
    const struct head_cosignature *cosignature = find(head, key);
    return cosignature != NULL && cosignature->fresh;
}

void signed_head_ask_again(struct signed_head *head, uint64_t now_ms)
{
    for (size_t i = 0; i < head->n; i++)
        head->cosignatures[i].fresh = false;
    head->since_ms = now_ms;
}

enum err signed_head_satisfies(const struct signed_head *head, const struct policy *policy, bool *satisfied, struct why *why)
{
    *satisfied = policy->root < 0; /* quorum none */
    if (*satisfied)
        return OK;
    bool said[POLICY_WITNESSES_MAX] = { false };
    for (size_t i = 0; i < policy->witnesses_n; i++)
        said[i] = find(head, policy->witnesses[i].key.key) != NULL;
    return quorum_satisfied(&policy->quorum, (uint32_t)policy->root, said, satisfied, NULL, why);
}

void signed_head_render(struct buf *out, const struct signed_head *head)
{
    buf_span(out, span_buf(&head->text));
    buf_byte(out, '\n');
    buf_span(out, span_buf(&head->log_line));
    for (size_t i = 0; i < head->n; i++)
        buf_span(out, span_buf(&head->cosignatures[i].line));
}

/* The verified line of `key`, with its newline. */
static bool line_by(const struct note *note, const struct vkey *key, struct span *line)
{
    struct span rest = note->sig_lines;
    struct note_sig sig;
    while (note_next_sig(&rest, &sig))
        if (note_sig_is_by(&sig, key)) {
            *line = span_of(sig.line.data, sig.line.len + 1);
            return true;
        }
    return false;
}

enum err signed_head_parse(struct signed_head **out, struct span text, const struct vkey *log, const struct policy *policy,
                           uint64_t now_ms, struct why *why)
{
    *out = NULL;
    struct note note;
    struct checkpoint checkpoint;
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_open(&checkpoint, &note, log->name, log, 1, why);
    if (err != OK)
        return err;
    struct vkey keys[LOG_WITNESSES_MAX];
    bool verified[LOG_WITNESSES_MAX];
    uint64_t time_s[LOG_WITNESSES_MAX];
    for (size_t i = 0; i < policy->witnesses_n; i++)
        keys[i] = policy->witnesses[i].key;
    if ((err = cosignature_verify(&note, keys, policy->witnesses_n, verified, time_s, why)) != OK)
        return err;
    struct span line;
    if (!line_by(&note, log, &line))
        return fail(why, ERR_REFUSED, "no signature by the log");
    struct signed_head *head = signed_head_new(&(struct head){ checkpoint.size, checkpoint.root }, note.text, line, now_ms);
    if (head == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < policy->witnesses_n && err == OK; i++)
        if (verified[i] && line_by(&note, &keys[i], &line))
            err = signed_head_cosign(head, keys[i].key, line, why);
    if (err != OK) {
        signed_head_release(head);
        return err;
    }
    signed_head_ask_again(head, now_ms);
    *out = head;
    return OK;
}
