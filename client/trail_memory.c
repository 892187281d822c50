#include "client/trail_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/memory.h"
#include "lib/arena.h"
#include "lib/sys/file.h"

/* About 200,000 paths. A file above it is cut to its newer half when it is opened. */
enum { MEMORY_BYTES_MAX = 64 << 20 };

struct trail_memory {
    int fd; /* -1: not written */
    struct arena arena;
    struct trail_remembered **slots; /* by path, open addressing */
    size_t cap, n;
    size_t bytes; /* of the file */
    struct buf unwritten;
};

static uint64_t mix(struct span path)
{
    struct hash hash = sha256_of(path);
    return get_be64(hash.b);
}

static struct trail_remembered **slot_of(const struct trail_memory *memory, struct span path)
{
    size_t at = (size_t)mix(path) & (memory->cap - 1);
    while (memory->slots[at] != NULL && !span_eq(memory->slots[at]->line.path, path))
        at = (at + 1) & (memory->cap - 1);
    return &memory->slots[at];
}

static bool make_room(struct trail_memory *memory)
{
    if (2 * memory->n < memory->cap)
        return true;
    struct trail_memory bigger = *memory;
    bigger.cap = memory->cap == 0 ? 1024 : 2 * memory->cap;
    bigger.slots = calloc(bigger.cap, sizeof(struct trail_remembered *));
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < memory->cap; i++)
        if (memory->slots[i] != NULL)
            *slot_of(&bigger, memory->slots[i]->line.path) = memory->slots[i];
    free(memory->slots);
    *memory = bigger;
    return true;
}

const struct trail_remembered *trail_memory_find(const struct trail_memory *memory, struct span path)
{
    return memory == NULL || memory->cap == 0 ? NULL : *slot_of(memory, path);
}

static bool holds(const struct trail_memory *memory, const struct trailfile_line *line)
{
    const struct trail_remembered *one = trail_memory_find(memory, line->path);
    while (one != NULL && !(hash_eq(&one->line.nar_hash, &line->nar_hash) && (one->line.built || !line->built)))
        one = one->next;
    return one != NULL;
}

/* Into the table alone. */
static enum err add(struct trail_memory *memory, const struct trailfile_line *line, struct why *why)
{
    struct trail_remembered *one = arena_room(&memory->arena, sizeof *one);
    if (one == NULL || !make_room(memory))
        return fail(why, ERR_ENV, "out of memory");
    struct trail_remembered **slot = slot_of(memory, line->path);
    one->line = *line;
    one->line.path = *slot != NULL ? (*slot)->line.path : arena_dup(&memory->arena, line->path);
    one->line.references = arena_dup(&memory->arena, line->references);
    if (one->line.path.data == NULL || one->line.references.data == NULL)
        return fail(why, ERR_ENV, "out of memory");
    memory->n += *slot == NULL;
    one->next = *slot;
    *slot = one;
    return OK;
}

enum err trail_memory_keep(struct trail_memory *memory, const struct trailfile_line *line, struct why *why)
{
    size_t before = memory->unwritten.len;
    if (memory->bytes >= MEMORY_BYTES_MAX || holds(memory, line))
        return OK;
    enum err err = add(memory, line, why);
    if (err != OK)
        return err;
    trailfile_line(&memory->unwritten, line);
    memory->bytes += memory->unwritten.len - before;
    return buf_done(&memory->unwritten, why);
}

void trail_memory_flush(struct trail_memory *memory)
{
    struct span rest = span_buf(&memory->unwritten);
    while (memory->fd >= 0 && rest.len > 0) {
        ssize_t put = write(memory->fd, rest.data, rest.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            /* The next line after a torn one would not count either: no more is written to this file. */
            close(memory->fd);
            memory->fd = -1;
            break;
        }
        rest = span_cut(rest, (size_t)put, rest.len - (size_t)put);
    }
    buf_clear(&memory->unwritten);
}

/* What the remembered verdicts depend on. */
static struct hash rules_of(const struct client_config *config, const struct policy *policy, const struct trust *trust)
{
    struct sha256 state;
    struct hash policy_hash = sha256_of(span_str(policy->text)), trust_hash = sha256_of(span_str(trust->text));
    sha256_start(&state);
    sha256_add(&state, policy_hash.b, sizeof policy_hash.b);
    sha256_add(&state, trust_hash.b, sizeof trust_hash.b);
    for (size_t i = 0; i < policy->logs_n; i++) {
        uint8_t forked = memory_forked(config, policy->logs[i].key.name);
        sha256_add(&state, &forked, 1);
    }
    return sha256_end(&state);
}

/* The newer half of lines that are too many. */
static struct span newer_half(struct span lines)
{
    struct span half = span_cut(lines, lines.len / 2, lines.len - lines.len / 2), line;
    return span_line(&half, &line) ? half : span_of(NULL, 0);
}

/* Takes what the file has and, where it is not as it should be, what it is to be replaced by. */
static enum err take_file(struct trail_memory *memory, struct span text, const struct hash *rules, struct buf *renewed,
                          struct why *why)
{
    struct span rest = text, lines;
    struct trailfile_line line;
    bool right = trailfile_take_head(&rest, rules);
    enum err err = OK;
    if (!right)
        rest = span_of(NULL, 0);
    if (rest.len > MEMORY_BYTES_MAX) {
        rest = newer_half(rest);
        right = false;
    }
    lines = rest;
    while (err == OK && trailfile_take_line(&rest, &line))
        err = add(memory, &line, why);
    lines.len -= rest.len;
    memory->bytes = lines.len;
    if (err != OK || (right && rest.len == 0))
        return err;
    trailfile_head(renewed, rules);
    buf_span(renewed, lines);
    return buf_done(renewed, why);
}

static enum err load(struct trail_memory *memory, const struct client_config *config, const struct hash *rules, struct why *why)
{
    struct buf text = BUF_EMPTY, renewed = BUF_EMPTY;
    struct why trouble;
    bool found;
    char *path = path_join(config->state, "trails");
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    /* What cannot be read or is no such file is as good as none. */
    if (err == OK && file_read_if(path, MEMORY_BYTES_MAX + (1 << 20), &text, &found, &trouble) != OK)
        buf_clear(&text);
    if (err == OK)
        err = take_file(memory, span_buf(&text), rules, &renewed, why);
    bool writable = err == OK && (renewed.len == 0 || (dir_make(config->state, 0755, &trouble) == OK &&
                                                       file_replace_soft(path, 0600, span_buf(&renewed), &trouble) == OK));
    if (writable)
        memory->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    buf_free(&text);
    buf_free(&renewed);
    free(path);
    return err;
}

enum err trail_memory_open(struct trail_memory **out, const struct client_config *config, const struct policy *policy,
                           const struct trust *trust, struct why *why)
{
    struct trail_memory *memory = calloc(1, sizeof *memory);
    *out = NULL;
    if (memory == NULL)
        return fail(why, ERR_ENV, "out of memory");
    memory->fd = -1;
    if (config != NULL) {
        struct hash rules = rules_of(config, policy, trust);
        enum err err = load(memory, config, &rules, why);
        if (err != OK) {
            trail_memory_close(memory);
            return err;
        }
    }
    *out = memory;
    return OK;
}

void trail_memory_close(struct trail_memory *memory)
{
    if (memory == NULL)
        return;
    trail_memory_flush(memory);
    if (memory->fd >= 0)
        close(memory->fd);
    buf_free(&memory->unwritten);
    free(memory->slots);
    arena_free(&memory->arena);
    free(memory);
}
