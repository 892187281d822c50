#include "lib/memoryfile.h"

#define RULE "(spec/files.md, \"The head memory\")"

enum err memory_head_parse(struct memory_head *out, struct span text, struct span origin, struct why *why)
{
    struct note note;
    if (text.len > MEMORY_NOTE_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "a checkpoint of %zu bytes, more than %d", text.len, MEMORY_NOTE_BYTES_MAX);
    enum err err = note_parse(&note, text, why);
    if (err == OK)
        err = checkpoint_parse(&out->checkpoint, note.text, why);
    if (err == OK && !span_eq(out->checkpoint.origin, origin))
        err = fail(why, ERR_MALFORMED, "a checkpoint of another origin, %.*s", SPAN_FMT(out->checkpoint.origin));
    out->note = text;
    return err;
}

/* The line `WORD VALUE`, taken where it stands next. */
static bool take(struct span *rest, const char *word, struct span *value)
{
    struct span after = *rest, line;
    if (!span_line(&after, &line) || !span_skip(&line, word) || !span_skip(&line, " "))
        return false;
    *value = line;
    *rest = after;
    return true;
}

static bool take_number(struct span *rest, const char *word, uint64_t max, uint64_t *out)
{
    struct span value, after = *rest;
    if (!take(&after, word, &value) || !span_decimal(value, max, out))
        return false;
    *rest = after;
    return true;
}

static enum err take_note(struct span *rest, uint64_t len, const struct memoryfile *file, struct memory_head *out, struct why *why)
{
    if (rest->len < len)
        return fail(why, ERR_MALFORMED, "the notes are cut " RULE);
    struct span note = span_cut(*rest, 0, len);
    *rest = span_cut(*rest, len, rest->len - len);
    return memory_head_parse(out, note, file->origin, why);
}

static enum err take_notes(struct span *rest, uint64_t head_len, const uint64_t *lens, struct memoryfile *out, struct why *why)
{
    enum err err = take_note(rest, head_len, out, &out->head, why);
    for (size_t i = 0; i < out->loose_n && err == OK; i++) {
        err = take_note(rest, lens[i], out, &out->loose[i], why);
        uint64_t size = out->loose[i].checkpoint.size;
        if (err == OK && (size == out->head.checkpoint.size || (i > 0 && size <= out->loose[i - 1].checkpoint.size)))
            err = fail(why, ERR_MALFORMED, "the loose heads are not in order, or two heads have one size " RULE);
    }
    if (err == OK && rest->len > 0)
        err = fail(why, ERR_MALFORMED, "bytes follow the last note " RULE);
    return err;
}

enum err memoryfile_parse(struct memoryfile *out, struct span text, struct why *why)
{
    struct span rest = text, line;
    uint64_t head_len, lens[MEMORY_LOOSE_MAX];
    *out = (struct memoryfile){ 0 };
    if (!span_line(&rest, &line) || !span_is(line, "stele head memory v1"))
        return fail(why, ERR_MALFORMED, "it does not start with `stele head memory v1` " RULE);
    if (!take(&rest, "origin", &out->origin) || !take_number(&rest, "shown", TREE_SIZE_MAX, &out->shown) ||
        !take_number(&rest, "head", MEMORY_NOTE_BYTES_MAX, &head_len))
        return fail(why, ERR_MALFORMED, "the lines `origin ORIGIN`, `shown SIZE` and `head BYTES` do not follow " RULE);
    while (out->loose_n < MEMORY_LOOSE_MAX && take_number(&rest, "loose", MEMORY_NOTE_BYTES_MAX, &lens[out->loose_n]))
        out->loose_n++;
    if (!span_line(&rest, &line) || line.len > 0)
        return fail(why, ERR_MALFORMED, "no empty line before the notes, or a line there that does not belong " RULE);
    return take_notes(&rest, head_len, lens, out, why);
}

void memoryfile_render(struct buf *out, const struct memoryfile *file)
{
    buf_str(out, "stele head memory v1\norigin ");
    buf_span(out, file->origin);
    buf_fmt(out, "\nshown %llu\nhead %zu\n", (unsigned long long)file->shown, file->head.note.len);
    for (size_t i = 0; i < file->loose_n; i++)
        buf_fmt(out, "loose %zu\n", file->loose[i].note.len);
    buf_byte(out, '\n');
    buf_span(out, file->head.note);
    for (size_t i = 0; i < file->loose_n; i++)
        buf_span(out, file->loose[i].note);
}

const struct memory_head *memoryfile_find(const struct memoryfile *file, uint64_t size)
{
    if (file->head.checkpoint.size == size)
        return &file->head;
    for (size_t i = 0; i < file->loose_n; i++)
        if (file->loose[i].checkpoint.size == size)
            return &file->loose[i];
    return NULL;
}

void memoryfile_drop(struct memoryfile *file, size_t i)
{
    memmove(&file->loose[i], &file->loose[i + 1], (--file->loose_n - i) * sizeof *file->loose);
}

bool memoryfile_has_place(const struct memoryfile *file, uint64_t size)
{
    return file->loose_n < MEMORY_LOOSE_MAX || file->loose[0].checkpoint.size < size;
}

void memoryfile_add(struct memoryfile *file, const struct memory_head *head)
{
    if (memoryfile_find(file, head->checkpoint.size) != NULL || !memoryfile_has_place(file, head->checkpoint.size))
        return;
    if (file->loose_n == MEMORY_LOOSE_MAX)
        memoryfile_drop(file, 0);
    size_t at = file->loose_n;
    for (; at > 0 && file->loose[at - 1].checkpoint.size > head->checkpoint.size; at--)
        file->loose[at] = file->loose[at - 1];
    file->loose[at] = *head;
    file->loose_n++;
}
