#include "client/rebuild.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "client/build_internal.h"
#include "lib/refscan.h"
#include "lib/sys/narfs.h"

/* PATH.check, and the store's owner's: a build user may put a name into the store's folder, but not give it away. */
static enum err check_owner(const struct making *making, const struct storepath *path, const char *check, char **real,
                            struct why *why)
{
    struct stat store, st;
    struct buf want = BUF_EMPTY, base = BUF_EMPTY;
    buf_span(&want, path->path);
    buf_str(&want, ".check");
    buf_span(&base, path->base);
    buf_str(&base, ".check");
    enum err err = want.failed || base.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK && !span_is(span_buf(&want), check))
        err = fail(why, ERR_REFUSED, "%s is not where Nix leaves a repeated build of %.*s", check, SPAN_FMT(path->path));
    if (err == OK && (*real = nix_env_real_path(making->build->env, span_buf(&base))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK && (stat(making->build->env->real_store_dir, &store) != 0 || lstat(*real, &st) != 0))
        err = fail(why, ERR_REFUSED, "cannot find %s: %s", *real, strerror(errno));
    if (err == OK && (st.st_uid != store.st_uid || (!S_ISLNK(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)))
        err = fail(why, ERR_REFUSED, "%s is not the store owner's alone: who made it cannot be told", check);
    buf_free(&want);
    buf_free(&base);
    return err;
}

/* What Nix lets an output refer to: the closure of the inputs, and the outputs. */
struct candidates {
    struct nixdb_paths closure;
    struct storepath *paths; /* by hash part */
    struct span *parts;
    size_t n;
};

static int by_part(const void *a, const void *b)
{
    return span_cmp(((const struct storepath *)a)->hash_part, ((const struct storepath *)b)->hash_part);
}

static enum err find_candidates(const struct making *making, struct candidates *out, struct why *why)
{
    struct build_inputs inputs = { 0 };
    enum build_refusal refusal;
    const struct drv *drv = &making->drv;
    enum err err = build_inputs_load(making->build, drv, &inputs, &refusal, why);
    const char **direct = err == OK ? calloc(inputs.n + 1, sizeof *direct) : NULL;
    if (err == OK && direct == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < inputs.n && err == OK; i++)
        direct[i] = (const char *)inputs.items[i].path.data; /* kept strings: they end in a NUL */
    if (err == OK)
        err = nixdb_closure(making->build->db, direct, inputs.n, &out->closure, why);
    size_t all = out->closure.n + drv->outputs_n;
    out->paths = calloc(all + 1, sizeof *out->paths);
    out->parts = calloc(all + 1, sizeof *out->parts);
    if (err == OK && (out->paths == NULL || out->parts == NULL))
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < all && err == OK; i++)
        err = storepath_parse(&out->paths[out->n++],
                              i < out->closure.n ? span_str(out->closure.items[i]) : drv->outputs[i - out->closure.n].path, why);
    if (err == OK)
        qsort(out->paths, out->n, sizeof *out->paths, by_part);
    for (size_t i = 0; i < out->n && err == OK; i++)
        out->parts[i] = out->paths[i].hash_part;
    free(direct);
    build_inputs_free(&inputs);
    return err;
}

static void candidates_free(struct candidates *candidates)
{
    nixdb_paths_free(&candidates->closure);
    free(candidates->paths);
    free(candidates->parts);
}

/* One walk over the files for hash, size and references. */
struct reading {
    struct sha256 state;
    uint64_t size;
    struct refscan scan;
};

static enum err take_bytes(void *ctx, struct span bytes, struct why *why)
{
    struct reading *reading = ctx;
    (void)why;
    sha256_add(&reading->state, bytes.data, bytes.len);
    reading->size += bytes.len;
    refscan_add(&reading->scan, bytes);
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static enum err read_result(struct making *making, const char *real, struct why *why)
{
    struct candidates candidates = { 0 };
    struct reading reading = { .size = 0 };
    struct subject *subject = &making->subjects[0];
    struct nar_sink sink = { take_bytes, &reading };
    sha256_start(&reading.state);
    enum err err = find_candidates(making, &candidates, why);
    if (err == OK)
        err = refscan_start(&reading.scan, candidates.parts, candidates.n, why);
    if (err == OK)
        err = nar_dump(real, &sink, why);
    if (err == OK && (subject->references = calloc(candidates.n + 1, sizeof *subject->references)) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    subject->nar_hash = sha256_end(&reading.state);
    subject->nar_size = reading.size;
    for (size_t i = 0; i < candidates.n && err == OK; i++) {
        /* Two names for one hash part do not happen; the first would stand for both. */
        char *base = reading.scan.found[i] ? making_keep(making, candidates.paths[i].base) : NULL;
        if (reading.scan.found[i] && base == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        else if (base != NULL)
            subject->references[subject->references_n++] = span_str(base);
    }
    if (err == OK && subject->references_n > 0)
        qsort(subject->references, subject->references_n, sizeof *subject->references, by_name);
    refscan_free(&reading.scan);
    candidates_free(&candidates);
    return err;
}

static enum err make_rebuild(struct making *making, const char *check, struct attestation *out, struct why *why)
{
    const char *path = making->build->outputs[0];
    struct storepath parsed;
    char *real = NULL;
    bool found = false;
    enum err err = making_start(making, why);
    if (err == OK)
        err = storepath_parse_in(&parsed, span_str(path), span_str(making->build->env->store_dir), why);
    if (err == OK)
        err = making_room(making, 1, why);
    if (err == OK)
        err = nixdb_path(making->build->db, path, &making->infos[0], &found, why);
    if (err != OK)
        return err;
    making->n = 1;
    if (!found) {
        making->refusal = REFUSAL_NOT_VALID;
        return fail(why, ERR_REFUSED, "%s is not a valid path of this store", path);
    }
    if (!making->drv_found || drv_is_floating(&making->drv) || !making_is_output(making, &parsed, &making->infos[0])) {
        making->refusal = REFUSAL_OTHER_DERIVATION;
        return fail(why, ERR_REFUSED, "%s is no output whose path %s fixes", path, making->build->drv_path);
    }
    making->refusal = REFUSAL_NOT_A_CHECK;
    err = check_owner(making, &parsed, check, &real, why);
    if (err == OK)
        err = read_result(making, real, why);
    free(real);
    making->subjects[0].path = parsed.path;
    making->subjects[0].output = making_output_name(making, &parsed);
    if (err == OK && hash_eq(&making->subjects[0].nar_hash, &making->infos[0].nar_hash))
        err = fail(why, ERR_REFUSED, "%s is the same as %s: nothing differs", check, path);
    return err == OK ? making_finish(making, out, why) : err;
}

enum err rebuild_attest(const struct build *build, const char *check, struct attestation *out, struct why *why)
{
    struct making making = { .build = build, .refusal = REFUSAL_OTHER };
    *out = (struct attestation){ 0 };
    enum err err = make_rebuild(&making, check, out, why);
    making_free(&making);
    if (err != OK) {
        attestation_free(out);
        out->refusal = making.refusal;
    }
    return err;
}
