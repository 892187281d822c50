#define _GNU_SOURCE /* memmem */
#include "tests/fault/cut/words.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/checkpoint.h"
#include "lib/proof.h"
#include "lib/sys/file.h"
#include "tests/fault/cut/disk.h"
#include "tests/fault/cut/names.h"

enum { SIGNERS_MAX = 32 }; /* the log's and the witnesses', for each origin */

/* Between a note's text and its signatures. */
static const char note_middle[] = "\n\n\xe2\x80\x94 ";

/* The signed note whose text ends where `middle` points; false where it is none. */
static bool note_around(struct span text, const uint8_t *middle, struct note *note)
{
    const uint8_t *from = middle, *to = middle + sizeof note_middle - 1, *end = text.data + text.len;
    struct why why;
    /* A log's checkpoint has three lines. */
    for (int lines = 0; from > text.data; from--)
        if (from[-1] == '\n' && ++lines == 3)
            break;
    for (;;) {
        while (to < end && *to != '\n')
            to++;
        if (to == end)
            return false;
        to++;
        if (end - to < 4 || memcmp(to, note_middle + 2, 4) != 0)
            break;
    }
    return note_parse(note, span_of(from, (size_t)(to - from)), &why) == OK;
}

static enum err take_note(struct words *words, uint64_t at, const struct note *note, struct why *why)
{
    struct checkpoint checkpoint;
    struct why reason;
    struct note_sig sig;
    struct span rest = note->sig_lines;
    enum err err = OK;
    if (checkpoint_parse(&checkpoint, note->text, &reason) != OK)
        return OK;
    while (err == OK && note_next_sig(&rest, &sig))
        err = APPEND(words->heads, words->heads_n,
                     (struct word_head){ at, sig.name, checkpoint.origin, { checkpoint.size, checkpoint.root } });
    return err;
}

static enum err take_notes(struct words *words, uint64_t at, struct span text, struct why *why)
{
    enum err err = OK;
    const uint8_t *from = text.data, *end = text.data + text.len, *middle;
    while (err == OK && (middle = memmem(from, (size_t)(end - from), note_middle, sizeof note_middle - 1)) != NULL) {
        struct note note;
        if (note_around(text, middle, &note))
            err = take_note(words, at, &note, why);
        from = middle + 1;
    }
    return err;
}

/* What follows the head of an HTTP message; nothing where there is no head. */
static struct span body_of(struct span text)
{
    static const char head_end[] = "\r\n\r\n";
    const uint8_t *body = memmem(text.data, text.len, head_end, sizeof head_end - 1);
    return body == NULL ? span_of(text.data, 0) : span_of(body + 4, text.len - (size_t)(body + 4 - text.data));
}

/* A witness's answer is its signature line alone: of the head that it was asked for last. One log asks, one thing at a time. */
static enum err take_cosignature(struct words *words, uint64_t at, struct span text, struct why *why)
{
    struct span body = body_of(text), name;
    if (span_starts(text, "old ") || span_starts(body, "old "))
        words->asked = words->heads_n;
    if (words->asked == 0 || !span_skip(&body, "\xe2\x80\x94 ") || !span_word(&body, &name))
        return OK;
    struct word_head head = words->heads[words->asked - 1];
    head.at = at;
    head.signer = name;
    return APPEND(words->heads, words->heads_n, head);
}

/* The proofs of an answer, where its body is that. */
static enum err take_proofs(struct words *words, uint64_t at, struct span text, struct why *why)
{
    struct span rest = body_of(text);
    enum err err = OK;
    while (err == OK && span_starts(rest, "c2sp.org/tlog-proof@")) {
        struct proof proof;
        struct note note;
        struct checkpoint checkpoint;
        struct buf entry = BUF_EMPTY;
        err = proof_next(&proof, &rest, why);
        if (err == OK)
            err = note_parse(&note, proof.checkpoint, why);
        if (err == OK)
            err = checkpoint_parse(&checkpoint, note.text, why);
        if (err == OK && !proof_extra(&proof, &entry))
            err = fail(why, ERR_MALFORMED, "an answer without its entry");
        if (err == OK)
            err = APPEND(words->proofs, words->proofs_n,
                         (struct word_proof){
                             at, merkle_leaf_hash(span_buf(&entry)), proof.index, { checkpoint.size, checkpoint.root } });
        buf_free(&entry);
    }
    return err;
}

enum err words_load(struct words *words, struct span trace, struct why *why)
{
    const struct trace_record *record;
    uint64_t at = 0;
    enum err err = OK;
    *words = (struct words){ 0 };
    while (err == OK && (record = trace_next(trace, &at)) != NULL) {
        uint64_t begin = (uint64_t)((const uint8_t *)record - trace.data);
        if (record->kind == TRACE_SEND)
            err = take_notes(words, begin, trace_text(record), why);
        if (err == OK && record->kind == TRACE_SEND)
            err = take_cosignature(words, begin, trace_text(record), why);
        if (err == OK && record->kind == TRACE_SEND)
            err = take_proofs(words, begin, trace_text(record), why);
        if (err == OK && record->kind == TRACE_SAY)
            err = APPEND(words->marks, words->marks_n, (struct word_mark){ begin, trace_text(record) });
    }
    return err;
}

static void put_head(struct buf *out, const struct head *head)
{
    buf_fmt(out, "%llu ", (unsigned long long)head->size);
    hex_encode(out, span_of(head->root.b, sizeof head->root.b));
    buf_byte(out, '\n');
}

static void put_proofs(struct buf *out, const struct words *words, uint64_t cut)
{
    for (size_t i = 0; i < words->proofs_n && words->proofs[i].at < cut; i++) {
        hex_encode(out, span_of(words->proofs[i].leaf.b, sizeof words->proofs[i].leaf.b));
        buf_fmt(out, " %llu ", (unsigned long long)words->proofs[i].index);
        put_head(out, &words->proofs[i].head);
    }
}

static void put_shown(struct buf *out, const struct words *words, uint64_t cut)
{
    const struct word_head *largest[SIGNERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < words->heads_n && words->heads[i].at < cut; i++) {
        const struct word_head *own = &words->heads[i];
        size_t at = 0;
        while (at < n && (!span_eq(own->signer, largest[at]->signer) || !span_eq(own->origin, largest[at]->origin)))
            at++;
        if (at < SIGNERS_MAX && (at == n || own->head.size >= largest[at]->head.size))
            largest[at] = own;
        n += at == n && n < SIGNERS_MAX;
    }
    for (size_t i = 0; i < n; i++) {
        buf_fmt(out, "%.*s %.*s ", SPAN_FMT(largest[i]->signer), SPAN_FMT(largest[i]->origin));
        put_head(out, &largest[i]->head);
    }
}

static void put_marks(struct buf *out, const struct words *words, uint64_t cut)
{
    for (size_t i = 0; i < words->marks_n && words->marks[i].at < cut; i++)
        buf_span(out, words->marks[i].text);
}

enum err words_write(const struct words *words, uint64_t cut, const char *dir, struct why *why)
{
    static const struct {
        const char *name;
        void (*put)(struct buf *out, const struct words *words, uint64_t cut);
    } files[] = { { "notes", put_proofs }, { "shown", put_shown }, { "marks", put_marks } };
    enum err err = OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && err == OK; i++) {
        struct buf text = BUF_EMPTY;
        char *path = path_join(dir, files[i].name);
        files[i].put(&text, words, cut);
        err = path == NULL ? fail(why, ERR_ENV, "out of memory") : buf_done(&text, why);
        if (err == OK)
            err = file_replace_soft(path, 0600, span_buf(&text), why);
        buf_free(&text);
        free(path);
    }
    return err;
}
