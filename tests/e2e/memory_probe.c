/*
 * Where in a process's memory, or in a core dump, does a secret key lie, of ours or of Nix?
 *   memory_probe process KEYFILE PID    prints "guarded N open N": how often the key (its seed, or its text) is found in memory
 *                                       that stays out of core dumps (madvise(2), MADV_DONTDUMP), and elsewhere; or "unreadable"
 *   memory_probe file KEYFILE FILE      prints "found N"
 */
#define _GNU_SOURCE /* memmem */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/encode.h"
#include "lib/sys/file.h"

enum { SEED_BYTES = 32, TEXT_BYTES = 40, CHUNK_BYTES = 1 << 20 };

static uint8_t seed[SEED_BYTES];
static char text[TEXT_BYTES]; /* of the key's base64 */

static enum err load(const char *path, struct why *why)
{
    struct buf file = BUF_EMPTY;
    struct span line;
    uint8_t ours[1 + SEED_BYTES], nix[2 * SEED_BYTES]; /* a type and the seed; the seed and the public key */
    enum err err = file_read(path, 8192, &file, why);
    line = span_buf(&file);
    while (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    if (err == OK && line.len > 88 && base64_decode_to(span_cut(line, line.len - 88, 88), nix, sizeof nix)) {
        memcpy(seed, nix, sizeof seed);
        memcpy(text, line.data + line.len - 88, sizeof text);
    } else if (err == OK && line.len > 44 && base64_decode_to(span_cut(line, line.len - 44, 44), ours, sizeof ours)) {
        memcpy(seed, ours + 1, sizeof seed);
        memcpy(text, line.data + line.len - sizeof text, sizeof text);
    } else if (err == OK) {
        err = fail(why, ERR_MALFORMED, "%s is no secret key", path);
    }
    buf_free(&file);
    return err;
}

static unsigned count(const uint8_t *data, size_t len, const void *needle, size_t needle_len)
{
    unsigned n = 0;
    for (const uint8_t *at = data; (at = memmem(at, len - (size_t)(at - data), needle, needle_len)) != NULL; at++)
        n++;
    return n;
}

/* In what `fd` has from `from` to `to`; pieces overlap, so that nothing hides between two. */
static unsigned find(int fd, uint64_t from, uint64_t to)
{
    static uint8_t piece[CHUNK_BYTES];
    unsigned n = 0;
    while (from < to) {
        size_t want = to - from < sizeof piece ? (size_t)(to - from) : sizeof piece;
        ssize_t got = pread(fd, piece, want, (off_t)from);
        if (got <= 0)
            break;
        n += count(piece, (size_t)got, seed, sizeof seed) + count(piece, (size_t)got, text, sizeof text);
        from += (size_t)got > TEXT_BYTES && from + (size_t)got < to ? (size_t)got - TEXT_BYTES : (size_t)got;
    }
    return n;
}

static enum err probe_process(const char *pid, struct why *why)
{
    char path[64], line[4096];
    uint64_t from = 0, to = 0;
    unsigned guarded = 0, open_memory = 0;
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int memory = open(path, O_RDONLY);
    snprintf(path, sizeof path, "/proc/%s/smaps", pid);
    FILE *maps = fopen(path, "r");
    if (memory < 0 || maps == NULL) {
        if (errno != EACCES && errno != EPERM)
            return fail(why, ERR_ENV, "%s: %s", path, strerror(errno));
        puts("unreadable");
        return OK;
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        uint64_t first, end;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &first, &end) == 2) {
            from = first;
            to = end;
        }
        if (strncmp(line, "VmFlags:", 8) != 0)
            continue;
        unsigned n = find(memory, from, to);
        if (strstr(line, " dd") != NULL)
            guarded += n;
        else
            open_memory += n;
    }
    fclose(maps);
    close(memory);
    printf("guarded %u open %u\n", guarded, open_memory);
    return OK;
}

static enum err probe_file(const char *path, struct why *why)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return fail(why, ERR_ENV, "%s: %s", path, strerror(errno));
    printf("found %u\n", find(fd, 0, INT64_MAX));
    close(fd);
    return OK;
}

int main(int argc, char **argv)
{
    struct why why;
    enum err err = argc == 4 ? load(argv[2], &why) : fail(&why, ERR_USAGE, "see the top of memory_probe.c");
    if (err == OK && strcmp(argv[1], "process") == 0)
        err = probe_process(argv[3], &why);
    else if (err == OK)
        err = probe_file(argv[3], &why);
    if (err != OK)
        fprintf(stderr, "memory_probe: %s\n", why.text);
    return (int)err;
}
