#include "log/seen_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/file.h"

enum {
    HEAD_BYTES = 16 + 8 + 8 + 32 + 32,
    CHUNK_RECORDS = 16384, /* written at once */
    GUESSES_MAX = 4,       /* a hash's place is near where its value says */
    NEAR = 8,              /* so many records off it is not guessed again */
    STEPS_MAX = 64,        /* and then looked for one by one; then the search halves */
};

static const char magic[16] = "stele seen v1\n";

static enum err fail_errno(struct why *why, const char *what, const char *path)
{
    return fail(why, ERR_ENV, "cannot %s %s: %s", what, path, strerror(errno));
}

static char *path_of(const char *dir, uint64_t from, uint64_t to)
{
    char name[64];
    snprintf(name, sizeof name, "%" PRIu64 "-%" PRIu64, from, to);
    return path_join(dir, name);
}

uint64_t seen_run_bytes(const struct seen_run *run)
{
    return HEAD_BYTES + seen_run_entries(run) * SEEN_RECORD_BYTES;
}

/* The head, but for the hash. */
static void put_head(uint8_t head[HEAD_BYTES - 32], uint64_t from, uint64_t to, const struct hash *last)
{
    memcpy(head, magic, sizeof magic);
    put_be64(head + 16, from);
    put_be64(head + 24, to);
    memcpy(head + 32, last->b, 32);
}

/* Takes the run over from its map; false where that is not one. */
static bool take_map(struct seen_run *run)
{
    uint8_t head[HEAD_BYTES - 32];
    struct sha256 state;
    memcpy(run->last.b, run->map + 32, 32);
    put_head(head, run->from, run->to, &run->last);
    if (memcmp(head, run->map, sizeof head) != 0)
        return false;
    run->records = run->map + HEAD_BYTES;
    sha256_start(&state);
    sha256_add(&state, head, sizeof head);
    sha256_add(&state, run->records, seen_run_entries(run) * SEEN_RECORD_BYTES);
    struct hash hash = sha256_end(&state);
    return memcmp(hash.b, run->map + sizeof head, 32) == 0;
}

/* Maps the open file; `bytes` are there. */
static enum err map_run(struct seen_run *run, int fd, size_t bytes, struct why *why)
{
    void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fail_errno(why, "map", run->path);
    run->map = at;
    return OK;
}

enum err seen_run_open(struct seen_run *out, const char *dir, uint64_t from, uint64_t to, bool *whole, struct why *why)
{
    struct stat st;
    *whole = false;
    *out = (struct seen_run){ .from = from, .to = to, .path = path_of(dir, from, to) };
    if (out->path == NULL)
        return fail(why, ERR_ENV, "out of memory");
    int fd = open(out->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum err err = (fd < 0 && errno != ENOENT) || (fd >= 0 && fstat(fd, &st) != 0) ? fail_errno(why, "open", out->path) : OK;
    bool fits = err == OK && fd >= 0 && to > from && st.st_size > HEAD_BYTES && /* by division: the name may say anything */
                (uint64_t)(st.st_size - HEAD_BYTES) / SEEN_RECORD_BYTES == seen_run_entries(out) &&
                (uint64_t)st.st_size == seen_run_bytes(out);
    if (fits && (err = map_run(out, fd, (size_t)st.st_size, why)) == OK)
        *whole = take_map(out);
    if (fd >= 0)
        close(fd);
    if (!*whole)
        seen_run_close(out, false);
    return err;
}

void seen_run_close(struct seen_run *run, bool remove)
{
    if (run->map != NULL)
        munmap((void *)(uintptr_t)run->map, seen_run_bytes(run));
    if (remove && run->path != NULL)
        unlink(run->path);
    free(run->path);
    *run = (struct seen_run){ 0 };
}

static uint64_t prefix_at(const struct seen_run *run, uint64_t at)
{
    return get_be64(run->records + at * SEEN_RECORD_BYTES);
}

/* How many records are expected in a part of the values that hashes have. */
static uint64_t expected(const struct seen_run *run, uint64_t part)
{
    return (uint64_t)((unsigned __int128)part * seen_run_entries(run) >> 64);
}

void seen_run_prepare(const struct seen_run *run, uint64_t prefix)
{
    __builtin_prefetch(run->records + expected(run, prefix) * SEEN_RECORD_BYTES);
}

/* The first record from `low` on with at least `prefix`, which is at `high` at the latest. */
static uint64_t halve(const struct seen_run *run, uint64_t prefix, uint64_t low, uint64_t high)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (prefix_at(run, middle) < prefix)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t seen_run_seek(const struct seen_run *run, uint64_t prefix)
{
    /* Each guess is nearer by the root of what the last was off, then it is a few steps; each end of the range has been looked at. */
    uint64_t low = 0, high = seen_run_entries(run), at = expected(run, prefix), off = high;
    bool above = false;
    for (unsigned guesses = 0; guesses < GUESSES_MAX && off > NEAR && low < high; guesses++) {
        uint64_t value = prefix_at(run, at);
        above = value >= prefix;
        off = expected(run, above ? value - prefix : prefix - value);
        if (above)
            high = at;
        else
            low = at + 1;
        if (low < high)
            at = above ? high - 1 - (off < high - low ? off : high - low - 1) : low + (off < high - low ? off : high - low - 1);
    }
    for (unsigned steps = 0; steps < STEPS_MAX && low < high; steps++) {
        uint64_t next = above ? high - 1 : low;
        if ((prefix_at(run, next) < prefix) == above)
            return above ? high : low;
        if (above)
            high--;
        else
            low++;
    }
    return halve(run, prefix, low, high);
}

struct writer {
    int fd;
    const char *path;
    struct sha256 state;
    size_t n;
    uint8_t chunk[CHUNK_RECORDS * SEEN_RECORD_BYTES];
};

static enum err write_at(int fd, const char *path, const uint8_t *data, size_t len, off_t at, struct why *why)
{
    while (len > 0) {
        ssize_t put = pwrite(fd, data, len, at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_errno(why, "write", path);
        data += put;
        len -= (size_t)put;
        at += put;
    }
    return OK;
}

static enum err put_chunk(struct writer *writer, off_t *at, struct why *why)
{
    size_t bytes = writer->n * SEEN_RECORD_BYTES;
    sha256_add(&writer->state, writer->chunk, bytes);
    enum err err = write_at(writer->fd, writer->path, writer->chunk, bytes, *at, why);
    *at += (off_t)bytes;
    writer->n = 0;
    return err;
}

static bool comes_before(const uint8_t *a, const uint8_t *b)
{
    uint64_t x = get_be64(a), y = get_be64(b);
    return x < y || (x == y && get_be64(a + 8) < get_be64(b + 8));
}

static struct seen_records *least(struct seen_records *sources, size_t n)
{
    struct seen_records *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (sources[i].at < sources[i].end && (found == NULL || comes_before(sources[i].at, found->at)))
            found = &sources[i];
    return found;
}

/* The records, and then the head, without which it is no run. */
static enum err write_run(struct writer *writer, const uint8_t head[HEAD_BYTES - 32], struct seen_records *sources, size_t n,
                          const atomic_bool *cancel, bool *made, struct why *why)
{
    off_t at = HEAD_BYTES;
    struct seen_records *source;
    enum err err = OK;
    sha256_start(&writer->state);
    sha256_add(&writer->state, head, HEAD_BYTES - 32);
    while (err == OK && !atomic_load(cancel) && (source = least(sources, n)) != NULL) {
        for (; writer->n < CHUNK_RECORDS && source != NULL; source = least(sources, n)) {
            memcpy(writer->chunk + writer->n++ * SEEN_RECORD_BYTES, source->at, SEEN_RECORD_BYTES);
            source->at += SEEN_RECORD_BYTES;
        }
        err = put_chunk(writer, &at, why);
    }
    *made = err == OK && !atomic_load(cancel);
    if (!*made)
        return err;
    uint8_t whole[HEAD_BYTES];
    struct hash hash = sha256_end(&writer->state);
    memcpy(whole, head, HEAD_BYTES - 32);
    memcpy(whole + HEAD_BYTES - 32, hash.b, 32);
    return write_at(writer->fd, writer->path, whole, sizeof whole, 0, why);
}

enum err seen_run_make(struct seen_run *out, const char *dir, uint64_t from, uint64_t to, const struct hash *last,
                       struct seen_records *sources, size_t n, const atomic_bool *cancel, bool *made, struct why *why)
{
    uint8_t head[HEAD_BYTES - 32];
    struct writer *writer = malloc(sizeof *writer);
    *made = false;
    *out = (struct seen_run){ .from = from, .to = to, .last = *last, .path = path_of(dir, from, to) };
    if (writer == NULL || out->path == NULL) {
        free(writer);
        seen_run_close(out, false);
        return fail(why, ERR_ENV, "out of memory");
    }
    put_head(head, from, to, last);
    writer->n = 0;
    writer->path = out->path;
    writer->fd = open(out->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err err = writer->fd < 0 ? fail_errno(why, "write", out->path) : OK;
    if (err == OK)
        err = write_run(writer, head, sources, n, cancel, made, why);
    if (err == OK && *made)
        err = map_run(out, writer->fd, (size_t)seen_run_bytes(out), why);
    if (err == OK && *made)
        out->records = out->map + HEAD_BYTES;
    else
        seen_run_close(out, true);
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer);
    return err;
}
