#define _GNU_SOURCE /* memmem */
#include "lib/sys/contents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/nettle-meta.h>

#include "lib/sys/narfs.h"

enum { CHUNK_BYTES = 1 << 16, PLACES_BYTES_MAX = 16 << 20 };

struct hashing {
    const struct nettle_hash *kind;
    void *state;
    struct span self;
    struct buf kept;   /* of the NAR, in which the hash part may have begun */
    uint64_t kept_at;  /* where in the NAR that is */
    struct buf places; /* of the hash part: "|PLACE" for each */
};

static const struct nettle_hash *kind_of(struct span algo)
{
    static const struct nettle_hash *const kinds[] = { &nettle_md5, &nettle_sha1, &nettle_sha256, &nettle_sha512 };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (span_is(algo, kinds[i]->name))
            return kinds[i];
    return NULL;
}

static void add(struct hashing *hashing, struct span bytes)
{
    if (bytes.len > 0)
        hashing->kind->update(hashing->state, bytes.len, bytes.data);
}

static enum err take_nar(void *ctx, struct span bytes, struct why *why)
{
    (void)why;
    add(ctx, bytes);
    return OK;
}

/* Each hash part as zeros, and where they stand after all: otherwise two contents would have one address. */
static enum err take_but_self(void *ctx, struct span bytes, struct why *why)
{
    struct hashing *hashing = ctx;
    struct buf *kept = &hashing->kept;
    size_t self_len = hashing->self.len;
    buf_span(kept, bytes);
    enum err err = buf_done(kept, why);
    if (err != OK)
        return err;
    uint8_t *at = kept->data, *end = at + kept->len;
    while ((at = memmem(at, (size_t)(end - at), hashing->self.data, self_len)) != NULL) {
        buf_fmt(&hashing->places, "|%llu", (unsigned long long)hashing->kept_at + (unsigned long long)(at - kept->data));
        memset(at, 0, self_len);
    }
    size_t whole = kept->len < self_len ? 0 : kept->len - self_len + 1;
    add(hashing, span_of(kept->data, whole));
    memmove(kept->data, kept->data + whole, kept->len - whole);
    kept->len -= whole;
    hashing->kept_at += whole;
    if (hashing->places.len > PLACES_BYTES_MAX)
        return fail(why, ERR_ENV, "what lies on disk refers to itself too often to be hashed");
    return buf_done(&hashing->places, why);
}

static enum err hash_nar(struct hashing *hashing, const char *path, struct why *why)
{
    struct nar_sink sink = { hashing->self.len > 0 ? take_but_self : take_nar, hashing };
    enum err err = nar_dump(path, &sink, why);
    add(hashing, span_buf(&hashing->kept));
    add(hashing, span_buf(&hashing->places));
    return err;
}

/* What has a file's hash is a plain file; Nix makes no other. */
static enum err hash_file(struct hashing *hashing, const char *path, bool *plain, struct why *why)
{
    static _Thread_local uint8_t chunk[CHUNK_BYTES];
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    *plain = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR) == 0;
    ssize_t got = *plain ? 1 : 0;
    while (got > 0 || (got < 0 && errno == EINTR)) {
        got = read(fd, chunk, sizeof chunk);
        if (got > 0)
            add(hashing, span_of(chunk, (size_t)got));
    }
    enum err err = got < 0 || (fd < 0 && errno != ELOOP) ? fail(why, ERR_ENV, "cannot read %s: %s", path, strerror(errno)) : OK;
    if (fd >= 0)
        close(fd);
    return err;
}

enum err contents_fit(const char *path, const struct content_address *address, struct span self, bool *out, struct why *why)
{
    struct hashing hashing = { .kind = kind_of(address->algo), .self = self };
    uint8_t digest[sizeof address->hash];
    bool plain = true;
    *out = false;
    if (hashing.kind == NULL)
        return OK;
    hashing.state = malloc(hashing.kind->context_size);
    if (hashing.state == NULL)
        return fail(why, ERR_ENV, "out of memory");
    hashing.kind->init(hashing.state);
    enum err err = address->recursive ? hash_nar(&hashing, path, why) : hash_file(&hashing, path, &plain, why);
    if (err == OK) {
        hashing.kind->digest(hashing.state, address->hash_len, digest);
        *out = plain && memcmp(digest, address->hash, address->hash_len) == 0;
    }
    buf_free(&hashing.kept);
    buf_free(&hashing.places);
    free(hashing.state);
    return err;
}
