#include "lib/drv.h"

#include <stdlib.h>

/* A walk over the text. Strings that need no unescaping are borrowed; the others lie in drv->storage, which has room for
 * them all from the start, so that it never moves. */
struct walk {
    struct drv *drv;
    struct span text, dir;
    size_t at;
    struct why *why;
};

static enum err wrong(const struct walk *walk, const char *wanted)
{
    return fail(walk->why, ERR_MALFORMED, "the derivation is malformed at byte %zu: wanted %s", walk->at, wanted);
}

static bool next_is(const struct walk *walk, char c)
{
    return walk->at < walk->text.len && walk->text.data[walk->at] == (uint8_t)c;
}

static enum err skip(struct walk *walk, const char *word)
{
    struct span rest = span_cut(walk->text, walk->at, walk->text.len - walk->at);
    if (!span_skip(&rest, word))
        return wrong(walk, word);
    walk->at += strlen(word);
    return OK;
}

static uint8_t unescaped(uint8_t c)
{
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

static enum err take_string(struct walk *walk, struct span *out)
{
    enum err err = skip(walk, "\"");
    if (err != OK)
        return err;
    size_t from = walk->at;
    bool escaped = false;
    while (walk->at < walk->text.len && walk->text.data[walk->at] != '"') {
        if (walk->text.data[walk->at] == '\\') {
            escaped = true;
            walk->at++;
        }
        walk->at++;
    }
    if (walk->at >= walk->text.len)
        return wrong(walk, "the end of a string");
    *out = span_cut(walk->text, from, walk->at - from);
    walk->at++;
    if (!escaped)
        return OK;
    struct buf *storage = &walk->drv->storage;
    size_t start = storage->len;
    for (size_t i = 0; i < out->len; i++) {
        bool escape = out->data[i] == '\\';
        i += escape;
        buf_byte(storage, escape ? unescaped(out->data[i]) : out->data[i]);
    }
    *out = span_of(storage->data + start, storage->len - start);
    return buf_done(storage, walk->why);
}

/* A store path of the derivation's own store folder. */
static enum err take_path(struct walk *walk, struct span *out)
{
    struct storepath path;
    size_t at = walk->at;
    enum err err = take_string(walk, out);
    if (err != OK)
        return err;
    err = storepath_parse_in(&path, *out, walk->dir, walk->why);
    return err == OK ? OK : fail_in(walk->why, err, "the derivation is malformed at byte %zu", at);
}

/* "[" items "]": `one` takes an item into place number n of an array that grows. */
static enum err take_list(struct walk *walk, void **items, size_t *n, size_t item_bytes,
                          enum err (*one)(struct walk *walk, void *item))
{
    enum err err = skip(walk, "[");
    if (err == OK && next_is(walk, ']'))
        return skip(walk, "]");
    while (err == OK) {
        void *grown = array_more(*items, *n, item_bytes);
        if (grown == NULL)
            return fail(walk->why, ERR_ENV, "out of memory");
        *items = grown;
        void *item = (char *)*items + *n * item_bytes;
        memset(item, 0, item_bytes);
        ++*n;
        err = one(walk, item);
        if (err == OK && next_is(walk, ']'))
            return skip(walk, "]");
        if (err == OK)
            err = skip(walk, ",");
    }
    return err;
}

/* Every item of a list starts with what it is called by. */
static int by_name(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* A list whose order says nothing, so that it is sorted. Of items called alike Nix keeps the first here and the last
 * there: such a text has two readings. */
static enum err take_set(struct walk *walk, void **items, size_t *n, size_t item_bytes,
                         enum err (*one)(struct walk *walk, void *item))
{
    enum err err = take_list(walk, items, n, item_bytes, one);
    if (err != OK || *n == 0)
        return err;
    qsort(*items, *n, item_bytes, by_name);
    for (size_t i = 1; i < *n; i++) {
        const char *item = (const char *)*items + i * item_bytes;
        if (by_name(item, item - item_bytes) == 0)
            return wrong(walk, "a list without repeated items before it");
    }
    return OK;
}

static enum err one_string(struct walk *walk, void *item)
{
    return take_string(walk, item);
}

static enum err one_source(struct walk *walk, void *item)
{
    return take_path(walk, item);
}

static bool algo_ok(struct span algo, size_t *hash_len)
{
    static const struct {
        const char *name;
        size_t len;
    } algos[] = { { "md5", 16 }, { "sha1", 20 }, { "sha256", 32 }, { "sha512", 64 } };
    span_skip(&algo, "r:");
    for (size_t i = 0; i < sizeof algos / sizeof *algos; i++)
        if (span_is(algo, algos[i].name)) {
            *hash_len = algos[i].len;
            return true;
        }
    return false;
}

static enum err one_output(struct walk *walk, void *item)
{
    struct drv_output *output = item;
    uint8_t hash[64];
    size_t len = 0;
    enum err err = skip(walk, "(");
    if (err == OK)
        err = take_string(walk, &output->name);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = walk->at + 1 < walk->text.len && walk->text.data[walk->at + 1] == '"' ? take_string(walk, &output->path)
                                                                                    : take_path(walk, &output->path);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_string(walk, &output->hash_algo);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_string(walk, &output->hash);
    if (err == OK)
        err = skip(walk, ")");
    if (err == OK && span_is(output->hash, "impure")) {
        output->impure = true;
        output->hash = span_of(NULL, 0);
    }
    if (err == OK && output->impure && output->hash_algo.len == 0)
        err = wrong(walk, "the hash algorithm of an impure output before it");
    if (err == OK && output->hash_algo.len > 0 && !algo_ok(output->hash_algo, &len))
        err = wrong(walk, "a hash algorithm that Nix knows before it");
    if (err == OK && output->hash.len > 0 && !hex_decode(output->hash, hash, len))
        err = wrong(walk, "a hash of that algorithm before it");
    if (err == OK && output->hash_algo.len > 0 && (output->path.len == 0) != (output->hash.len == 0))
        err = wrong(walk, "both the path and the hash of a content-addressed output before it, or neither");
    return err;
}

static enum err one_input(struct walk *walk, void *item)
{
    struct drv_input *input = item;
    enum err err = skip(walk, "(");
    void *outputs = NULL;
    if (err == OK)
        err = take_path(walk, &input->path);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_set(walk, &outputs, &input->outputs_n, sizeof *input->outputs, one_string);
    input->outputs = outputs;
    return err == OK ? skip(walk, ")") : err;
}

static enum err one_env(struct walk *walk, void *item)
{
    struct drv_env *env = item;
    enum err err = skip(walk, "(");
    if (err == OK)
        err = take_string(walk, &env->name);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_string(walk, &env->value);
    return err == OK ? skip(walk, ")") : err;
}

static enum err take_all(struct walk *walk)
{
    struct drv *drv = walk->drv;
    void *outputs = NULL, *inputs = NULL, *sources = NULL, *args = NULL, *env = NULL;
    enum err err = skip(walk, "Derive(");
    if (err == OK)
        err = take_set(walk, &outputs, &drv->outputs_n, sizeof *drv->outputs, one_output);
    drv->outputs = outputs;
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_set(walk, &inputs, &drv->inputs_n, sizeof *drv->inputs, one_input);
    drv->inputs = inputs;
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_set(walk, &sources, &drv->sources_n, sizeof *drv->sources, one_source);
    drv->sources = sources;
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_string(walk, &drv->system);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_string(walk, &drv->builder);
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_list(walk, &args, &drv->args_n, sizeof *drv->args, one_string);
    drv->args = args;
    if (err == OK)
        err = skip(walk, ",");
    if (err == OK)
        err = take_set(walk, &env, &drv->env_n, sizeof *drv->env, one_env);
    drv->env = env;
    if (err == OK)
        err = skip(walk, ")");
    if (err == OK && walk->at != walk->text.len)
        err = wrong(walk, "the end: bytes follow the last parenthesis");
    if (err == OK && drv->outputs_n == 0)
        err = wrong(walk, "an output");
    return err;
}

enum err drv_parse(struct drv *out, struct span text, struct span dir, struct why *why)
{
    *out = (struct drv){ 0 };
    struct walk walk = { .drv = out, .text = text, .dir = dir, .why = why };
    if (text.len > DRV_BYTES_MAX)
        return fail(why, ERR_MALFORMED, "the derivation has more than %d bytes", DRV_BYTES_MAX);
    buf_grow(&out->storage, text.len + 1);
    out->storage.len = 0;
    enum err err = buf_done(&out->storage, why);
    if (err == OK)
        err = take_all(&walk);
    if (err != OK)
        drv_free(out);
    return err;
}

void drv_free(struct drv *drv)
{
    for (size_t i = 0; i < drv->inputs_n && drv->inputs != NULL; i++)
        free(drv->inputs[i].outputs);
    free(drv->outputs);
    free(drv->inputs);
    free(drv->sources);
    free(drv->args);
    free(drv->env);
    buf_free(&drv->storage);
    *drv = (struct drv){ 0 };
}

const struct drv_output *drv_output_find(const struct drv *drv, struct span name)
{
    return bsearch(&name, drv->outputs, drv->outputs_n, sizeof *drv->outputs, by_name);
}

bool drv_is_fixed(const struct drv *drv)
{
    return drv->outputs_n == 1 && drv->outputs[0].hash.len > 0;
}

bool drv_is_floating(const struct drv *drv)
{
    for (size_t i = 0; i < drv->outputs_n; i++)
        if (drv->outputs[i].hash_algo.len > 0 && drv->outputs[i].hash.len == 0)
            return true;
    return false;
}
