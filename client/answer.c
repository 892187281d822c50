#include "client/answer.h"

/* The checkpoint verified last, and what came of it: the bundles of an answer share theirs. */
struct head_check {
    struct span note;
    struct policy_view view;
    enum err err;
    bool quorum_short;
    struct why why;
};

static enum err check_head(struct answer_reader *reader, struct head_check *head, struct span note)
{
    if (head->note.len > 0 && span_eq(head->note, note))
        return head->err;
    head->note = note;
    head->quorum_short = false;
    head->err = policy_check(reader->policy, note, &head->view, &head->quorum_short, &head->why);
    if (head->err == OK)
        head->err = reader->head(reader->ctx, &head->view.checkpoint, note, &head->why);
    return head->err;
}

/* The letter with these bytes: the one that is expected, else any other that waits. */
static struct letter *find(struct span entry, struct letter *const *letters, size_t n, size_t *expected)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = (*expected + i) % n;
        if (letters[at]->state != LETTER_PROVEN && span_eq(letters[at]->envelope, entry)) {
            *expected = at + 1;
            return letters[at];
        }
    }
    return NULL;
}

static enum err take(struct answer_reader *reader, struct head_check *head, const struct proof *proof, struct letter *letter,
                     struct why *why)
{
    struct hash leaf = merkle_leaf_hash(letter->envelope);
    enum err err = check_head(reader, head, proof->checkpoint);
    if (err != OK && !head->quorum_short) {
        reader->why_not = head->why;
        return OK;
    }
    /* Short of quorum, it may still be known where it is: the log is then asked for a later proof. */
    if (proof_verify_inclusion(proof, &leaf, &head->view.checkpoint, &reader->why_not) != OK)
        return OK;
    if (err != OK) {
        reader->why_not = head->why;
        reader->quorum_short = letter->indexed = true;
        letter->index = proof->index;
        return OK;
    }
    err = reader->proven(reader->ctx, letter, proof, &head->view, why);
    if (err == OK) {
        letter->state = LETTER_PROVEN;
        reader->proven_n++;
    }
    return err;
}

enum err answer_read(struct answer_reader *reader, struct span bundles, struct letter *const *letters, size_t n, struct why *why)
{
    struct head_check head = { 0 };
    struct buf entry = BUF_EMPTY;
    struct proof proof;
    size_t expected = 0;
    enum err err = OK;
    reader->proven_n = 0;
    reader->quorum_short = false;
    fail(&reader->why_not, ERR_REFUSED, "the log's answer has no proof of this attestation");
    while (err == OK && n > 0 && bundles.len > 0 && reader->proven_n < n) {
        buf_clear(&entry);
        if (proof_next_of_many(&proof, &bundles, head.note, &entry, &reader->why_not) != OK) {
            err = buf_done(&entry, why);
            break;
        }
        struct letter *letter = proof.has_extra ? find(span_buf(&entry), letters, n, &expected) : NULL;
        if (letter != NULL)
            err = take(reader, &head, &proof, letter, why);
    }
    if (reader->proven_n == n)
        reader->why_not.text[0] = '\0';
    buf_free(&entry);
    return err;
}
