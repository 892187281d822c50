#include "log/seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "lib/sys/file.h"

/* Tables double the room each time, so that few are ever looked at; a restart makes one of them. */
enum { TABLES_MAX = 40, TAG_BITS = 24, INDEX_BITS = 40, SLOTS_LOG2_MIN = 16 };

/* An open-addressing hash table; a slot is 0 where empty, otherwise the tag above the index plus one. */
struct seen_table {
    uint64_t *slots;
    unsigned slots_log2;
    uint64_t n;
};

struct seen {
    char *dir;
    uint64_t secret; /* odd: nobody can choose attestations that crowd one place */
    struct seen_table tables[TABLES_MAX];
    unsigned tables_n;
};

static uint64_t slots_of(const struct seen_table *table)
{
    return UINT64_C(1) << table->slots_log2;
}

/* A file without a name, whose space is reserved: a full disk must not be met in a mapped page. */
static enum err map_file(struct seen *seen, struct seen_table *table, struct why *why)
{
    size_t bytes = slots_of(table) * sizeof *table->slots;
    char *path = path_join(seen->dir, ".seen-XXXXXX");
    int fd = path == NULL ? -1 : mkstemp(path);
    int code = path == NULL ? ENOMEM : fd < 0 || unlink(path) != 0 ? errno : posix_fallocate(fd, 0, (off_t)bytes);
    void *at = code != 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (code == 0 && at == MAP_FAILED)
        code = errno;
    if (fd >= 0)
        close(fd);
    free(path);
    if (code != 0)
        return fail(why, ERR_ENV, "%s: no %zu bytes for the set of leaf hashes: %s", seen->dir, bytes, strerror(code));
    table->slots = at;
    return OK;
}

static enum err add_table(struct seen *seen, unsigned slots_log2, struct why *why)
{
    if (seen->tables_n == TABLES_MAX || slots_log2 > INDEX_BITS)
        return fail(why, ERR_ENV, "the set of leaf hashes is full");
    struct seen_table *table = &seen->tables[seen->tables_n];
    *table = (struct seen_table){ .slots_log2 = slots_log2 };
    enum err err = map_file(seen, table, why);
    if (err == OK)
        seen->tables_n++;
    return err;
}

enum err seen_new(struct seen **out, const char *dir, uint64_t expected, struct why *why)
{
    unsigned slots_log2 = SLOTS_LOG2_MIN;
    while (slots_log2 < INDEX_BITS && UINT64_C(1) << slots_log2 < 2 * expected)
        slots_log2++;
    *out = NULL;
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen != NULL)
        seen->dir = span_dup_str(span_str(dir));
    enum err err = seen == NULL || seen->dir == NULL ? fail(why, ERR_ENV, "out of memory") : add_table(seen, slots_log2, why);
    if (err != OK) {
        seen_free(seen);
        return err;
    }
    randombytes_buf(&seen->secret, sizeof seen->secret);
    seen->secret |= 1;
    *out = seen;
    return OK;
}

void seen_free(struct seen *seen)
{
    if (seen == NULL)
        return;
    for (unsigned i = 0; i < seen->tables_n; i++)
        munmap(seen->tables[i].slots, slots_of(&seen->tables[i]) * sizeof *seen->tables[i].slots);
    free(seen->dir);
    free(seen);
}

static uint64_t home(const struct seen *seen, const struct seen_table *table, const struct hash *leaf)
{
    return get_be64(leaf->b) * seen->secret >> (64 - table->slots_log2);
}

static uint64_t tag(const struct hash *leaf)
{
    return get_be64(leaf->b + 8) >> (64 - TAG_BITS);
}

enum err seen_find(const struct seen *seen, const struct hash *leaf, seen_is_fn *is, void *ctx, bool *found, uint64_t *index,
                   struct why *why)
{
    *found = false;
    /* The newest first: what is sent twice is sent soon. */
    for (unsigned i = seen->tables_n; i-- > 0;) {
        const struct seen_table *table = &seen->tables[i];
        uint64_t mask = slots_of(table) - 1;
        for (uint64_t at = home(seen, table, leaf); table->slots[at] != 0; at = (at + 1) & mask) {
            uint64_t slot = table->slots[at];
            if (slot >> INDEX_BITS != tag(leaf))
                continue;
            *index = (slot & ((UINT64_C(1) << INDEX_BITS) - 1)) - 1;
            enum err err = is(ctx, *index, leaf, found, why);
            if (err != OK || *found)
                return err;
        }
    }
    return OK;
}

enum err seen_add(struct seen *seen, const struct hash *leaf, uint64_t index, struct why *why)
{
    struct seen_table *table = &seen->tables[seen->tables_n - 1];
    if (index >= (UINT64_C(1) << INDEX_BITS) - 1)
        return fail(why, ERR_ENV, "the set of leaf hashes takes no index of more than %d bits", INDEX_BITS);
    if (table->n >= slots_of(table) / 4 * 3) {
        enum err err = add_table(seen, table->slots_log2 + 1, why);
        if (err != OK)
            return err;
        table = &seen->tables[seen->tables_n - 1];
    }
    uint64_t mask = slots_of(table) - 1, at = home(seen, table, leaf);
    while (table->slots[at] != 0)
        at = (at + 1) & mask;
    table->slots[at] = tag(leaf) << INDEX_BITS | (index + 1);
    table->n++;
    return OK;
}
