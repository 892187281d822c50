#include "client/built.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/file.h"

enum { READ_BYTES = 1 << 16 }; /* at once; a longer line is none */

/* What a full disk cut, what comes next must not go on with. */
static bool ends_within_a_line(int fd)
{
    struct stat st;
    char last;
    return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

enum err built_add(const struct client_config *config, const struct attestation *attestation, struct why *why)
{
    struct buf lines = BUF_EMPTY;
    buf_byte(&lines, '\n'); /* where the file does not end in one */
    for (size_t i = 0; i < attestation->subjects_n; i++) {
        buf_fmt(&lines, "%s ", attestation->subjects[i]);
        hex_encode(&lines, span_of(attestation->nar_hashes[i].b, sizeof attestation->nar_hashes[i].b));
        buf_byte(&lines, '\n');
    }
    char *path = path_join(config->state, "built");
    enum err err = path == NULL || lines.failed ? fail(why, ERR_ENV, "out of memory") : dir_make(config->state, 0755, why);
    int fd = err == OK ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    size_t from = fd >= 0 && ends_within_a_line(fd) ? 0 : 1;
    /* In one write: hooks of builds beside each other add to it. One that is cut tells no reason; it is this. */
    if (fd >= 0)
        errno = ENOSPC;
    if (err == OK && (fd < 0 || write(fd, lines.data + from, lines.len - from) != (ssize_t)(lines.len - from)))
        err = fail(why, ERR_ENV, "cannot add to %s: %s: once Nix collects what was built, `stele audit` takes it for another's",
                   path, strerror(errno));
    if (fd >= 0)
        close(fd);
    buf_free(&lines);
    free(path);
    return err;
}

static bool parse(struct span line, struct span *path, struct hash *nar_hash)
{
    struct span hex;
    return span_word(&line, path) && span_word(&line, &hex) && hex_decode(hex, nar_hash->b, sizeof nar_hash->b) && line.len == 0;
}

enum err built_each(const struct client_config *config,
                    enum err (*each)(void *ctx, struct span path, const struct hash *nar_hash, struct why *why), void *ctx,
                    struct why *why)
{
    uint8_t room[READ_BYTES];
    size_t had = 0;
    ssize_t got = 0;
    char *name = path_join(config->state, "built");
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
    enum err err = name == NULL ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && fd < 0 && errno != ENOENT)
        err = fail(why, ERR_ENV, "cannot read %s: %s", name, strerror(errno));
    while (err == OK && fd >= 0 && (got = read(fd, room + had, sizeof room - had)) > 0) {
        struct span rest = span_of(room, had + (size_t)got), line, path;
        struct hash nar_hash;
        while (err == OK && span_line(&rest, &line))
            if (parse(line, &path, &nar_hash))
                err = each(ctx, path, &nar_hash, why);
        had = rest.len == sizeof room ? 0 : rest.len;
        memmove(room, rest.data, had);
    }
    if (got < 0)
        err = fail(why, ERR_ENV, "cannot read %s: %s", name, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(name);
    return err;
}
