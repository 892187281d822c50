#include "client/build_inputs.h"

#include <stdlib.h>

#include "lib/sys/file.h"

enum err build_drv_load(const struct build *build, const char *path, struct drv *out, struct buf *text, bool *found,
                        struct why *why)
{
    struct storepath parsed;
    *out = (struct drv){ 0 };
    enum err err = storepath_parse_in(&parsed, span_str(path), span_str(build->env->store_dir), why);
    if (err != OK)
        return err;
    char *real = nix_env_real_path(build->env, parsed.base);
    err = real == NULL ? fail(why, ERR_ENV, "out of memory") : file_read_if(real, DRV_BYTES_MAX, text, found, why);
    free(real);
    if (err == OK && *found) {
        err = drv_parse(out, span_buf(text), span_str(build->env->store_dir), why);
        if (err != OK)
            fail_in(why, err, "%s", path);
    }
    return err;
}

/* Keeps a string that an item borrows from. */
static char *keep(struct build_inputs *inputs, char *string)
{
    char **strings = string == NULL ? NULL : array_more(inputs->strings, inputs->strings_n, sizeof *strings);
    if (strings == NULL) {
        free(string);
        return NULL;
    }
    inputs->strings = strings;
    return strings[inputs->strings_n++] = string;
}

static enum err add_references(struct build_inputs *inputs, struct input *item, const struct nixdb_info *info, struct why *why)
{
    if (info->references_n == 0)
        return OK;
    item->references = calloc(info->references_n, sizeof *item->references);
    if (item->references == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < info->references_n; i++) {
        const char *slash = strrchr(info->references[i], '/');
        char *base = slash == NULL ? NULL : keep(inputs, span_dup_str(span_str(slash + 1)));
        if (base == NULL)
            return fail(why, ERR_ENV, "out of memory");
        item->references[item->references_n++] = span_str(base);
    }
    return OK;
}

/* One direct input: a valid path; `derivation` NULL for a source. */
static enum err add_input(const struct build *build, struct build_inputs *inputs, struct span path, enum input_kind kind,
                          const char *derivation, struct why *why)
{
    struct nixdb_info info = { 0 };
    bool found;
    struct input item = { .kind = kind };
    char *own = keep(inputs, span_dup_str(path)),
         *own_drv = derivation == NULL ? NULL : keep(inputs, span_dup_str(span_str(derivation)));
    if (own == NULL || (derivation != NULL && own_drv == NULL))
        return fail(why, ERR_ENV, "out of memory");
    enum err err = nixdb_path(build->db, own, &info, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "the input %s is not valid in this store any more", own);
    if (err == OK && kind == INPUT_SOURCE && info.deriver != NULL) {
        /* A floating output stands among the sources of a resolved derivation; its deriver gives it away. Where that is not
         * there to tell a fixed output, it is none: what was built must not pass for ground. */
        struct buf text = BUF_EMPTY;
        struct drv drv;
        bool there = false;
        err = build_drv_load(build, info.deriver, &drv, &text, &there, why);
        if (err == OK) {
            item.kind = there && drv_is_fixed(&drv) ? INPUT_FIXED : INPUT_OUTPUT;
            own_drv = keep(inputs, span_dup_str(span_str(info.deriver)));
            if (own_drv == NULL)
                err = fail(why, ERR_ENV, "out of memory");
        }
        drv_free(&drv);
        buf_free(&text);
    }
    if (err == OK && item.kind == INPUT_SOURCE)
        err = add_references(inputs, &item, &info, why);
    item.path = span_str(own);
    item.nar_hash = info.nar_hash;
    if (own_drv != NULL)
        item.derivation = span_str(own_drv);
    nixdb_info_free(&info);
    struct input *items = err == OK ? array_more(inputs->items, inputs->n, sizeof *items) : NULL;
    if (items == NULL) {
        free(item.references);
        return err == OK ? fail(why, ERR_ENV, "out of memory") : err;
    }
    inputs->items = items;
    items[inputs->n++] = item;
    return OK;
}

/* The outputs of one input derivation that the build used. */
static enum err add_derivation(const struct build *build, struct build_inputs *inputs, const struct drv_input *used,
                               enum build_refusal *refusal, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct drv drv = { 0 };
    bool found = false;
    char *path = span_dup_str(used->path);
    enum err err = path == NULL ? fail(why, ERR_ENV, "out of memory") : build_drv_load(build, path, &drv, &text, &found, why);
    if (err == OK && !found)
        err = fail(why, ERR_REFUSED, "the input derivation %s is not in this store: what the build used cannot be told", path);
    for (size_t i = 0; i < used->outputs_n && err == OK; i++) {
        const struct drv_output *output = drv_output_find(&drv, used->outputs[i]);
        if (output == NULL) {
            err = fail(why, ERR_REFUSED, "%s has no output %.*s", path, SPAN_FMT(used->outputs[i]));
        } else if (output->path.len == 0) {
            *refusal = REFUSAL_RESOLVED;
            err =
                fail(why, ERR_REFUSED,
                     "it rests on %s, whose outputs float: what Nix built, and attests, is the derivation resolved from it", path);
        } else
            err = add_input(build, inputs, output->path, output->hash.len > 0 ? INPUT_FIXED : INPUT_OUTPUT, path, why);
    }
    drv_free(&drv);
    buf_free(&text);
    free(path);
    return err;
}

static int by_path(const void *a, const void *b)
{
    return span_cmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

/* Two input derivations may give one path: it is listed once. */
static void sort_and_merge(struct build_inputs *inputs)
{
    size_t n = 0;
    if (inputs->n > 0)
        qsort(inputs->items, inputs->n, sizeof *inputs->items, by_path);
    for (size_t i = 0; i < inputs->n; i++) {
        if (n > 0 && span_eq(inputs->items[n - 1].path, inputs->items[i].path))
            free(inputs->items[i].references);
        else
            inputs->items[n++] = inputs->items[i];
    }
    inputs->n = n;
}

static enum err digest_closure(const struct build *build, struct build_inputs *inputs, struct why *why)
{
    struct nixdb_paths closure = { 0 };
    struct sha256 state;
    const char **paths = calloc(inputs->n + 1, sizeof *paths);
    if (paths == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < inputs->n; i++)
        paths[i] = (const char *)inputs->items[i].path.data; /* kept strings: they end in a NUL */
    enum err err = nixdb_closure(build->db, paths, inputs->n, &closure, why);
    sha256_start(&state);
    for (size_t i = 0; i < closure.n && err == OK; i++)
        closure_digest_add(&state, span_str(closure.items[i]), &closure.hashes[i]);
    inputs->closure = sha256_end(&state);
    nixdb_paths_free(&closure);
    free(paths);
    return err;
}

enum err build_inputs_load(const struct build *build, const struct drv *drv, struct build_inputs *out, enum build_refusal *refusal,
                           struct why *why)
{
    enum err err = OK;
    *out = (struct build_inputs){ 0 };
    *refusal = REFUSAL_INPUT_UNKNOWN;
    for (size_t i = 0; i < drv->sources_n && err == OK; i++)
        err = add_input(build, out, drv->sources[i], INPUT_SOURCE, NULL, why);
    for (size_t i = 0; i < drv->inputs_n && err == OK; i++)
        err = add_derivation(build, out, &drv->inputs[i], refusal, why);
    sort_and_merge(out);
    if (err == OK)
        err = digest_closure(build, out, why);
    if (err != OK)
        build_inputs_free(out);
    return err;
}

void build_inputs_free(struct build_inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++)
        free(inputs->items[i].references);
    free(inputs->items);
    for (size_t i = 0; i < inputs->strings_n; i++)
        free(inputs->strings[i]);
    free(inputs->strings);
    *inputs = (struct build_inputs){ 0 };
}
