/* Output paths: hashDerivationModulo, and the paths of fixed outputs. */
#include <stdlib.h>

#include "lib/drv.h"

/* Nix escapes the builder, the arguments and the environment, and nothing else. */
static void put_plain(struct buf *out, struct span text)
{
    buf_byte(out, '"');
    buf_span(out, text);
    buf_byte(out, '"');
}

static void put_escaped(struct buf *out, struct span text)
{
    buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            buf_byte(out, '\\');
        if (c == '\n' || c == '\r' || c == '\t')
            buf_str(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else
            buf_byte(out, c);
    }
    buf_byte(out, '"');
}

/* An input's modulo hash and one of its outputs. */
struct modulo_input {
    struct hash hash;
    struct span output;
};

static int by_hash(const void *a, const void *b)
{
    const struct modulo_input *x = a, *y = b;
    int order = memcmp(x->hash.b, y->hash.b, sizeof x->hash.b);
    return order != 0 ? order : span_cmp(x->output, y->output);
}

/* Sorted and without doubles: ("HASH",["out","dev"]), … */
static void put_inputs(struct buf *out, struct modulo_input *inputs, size_t n)
{
    if (n > 0)
        qsort(inputs, n, sizeof *inputs, by_hash);
    for (size_t i = 0; i < n; i++) {
        bool same = i > 0 && hash_eq(&inputs[i].hash, &inputs[i - 1].hash);
        if (same && span_eq(inputs[i].output, inputs[i - 1].output))
            continue;
        if (same) {
            buf_byte(out, ',');
        } else {
            buf_str(out, i > 0 ? "]),(\"" : "(\"");
            hex_encode(out, span_of(inputs[i].hash.b, sizeof inputs[i].hash.b));
            buf_str(out, "\",[");
        }
        put_plain(out, inputs[i].output);
    }
    if (n > 0)
        buf_str(out, "])");
}

static enum err modulo_inputs(const struct drv *drv, const struct drv_modulo *modulo, struct modulo_input **out, size_t *n,
                              struct why *why)
{
    *n = 0;
    for (size_t i = 0; i < drv->inputs_n; i++)
        *n += drv->inputs[i].outputs_n;
    *out = calloc(*n + 1, sizeof **out);
    if (*out == NULL)
        return fail(why, ERR_ENV, "out of memory");
    size_t at = 0;
    enum err err = OK;
    for (size_t i = 0; i < drv->inputs_n && err == OK; i++)
        for (size_t k = 0; k < drv->inputs[i].outputs_n && err == OK; k++) {
            (*out)[at].output = drv->inputs[i].outputs[k];
            err = modulo == NULL ? fail(why, ERR_ENV, "no way to know the derivation %.*s", SPAN_FMT(drv->inputs[i].path))
                                 : modulo->of(modulo->ctx, drv->inputs[i].path, (*out)[at].output, &(*out)[at].hash, why);
            at++;
        }
    return err;
}

static void put_outputs(struct buf *out, const struct drv *drv, bool masked)
{
    for (size_t i = 0; i < drv->outputs_n; i++) {
        const struct drv_output *output = &drv->outputs[i];
        buf_str(out, i > 0 ? ",(" : "(");
        put_plain(out, output->name);
        buf_byte(out, ',');
        put_plain(out, masked ? span_of(NULL, 0) : output->path);
        buf_byte(out, ',');
        put_plain(out, output->hash_algo);
        buf_byte(out, ',');
        put_plain(out, output->impure ? span_str("impure") : output->hash);
        buf_byte(out, ')');
    }
}

static void put_env(struct buf *out, const struct drv *drv, bool masked)
{
    for (size_t i = 0; i < drv->env_n; i++) {
        const struct drv_env *env = &drv->env[i];
        buf_str(out, i > 0 ? ",(" : "(");
        put_escaped(out, env->name);
        buf_byte(out, ',');
        put_escaped(out, masked && drv_output_find(drv, env->name) != NULL ? span_of(NULL, 0) : env->value);
        buf_byte(out, ')');
    }
}

static void put_list(struct buf *out, const struct span *items, size_t n, void (*put)(struct buf *out, struct span text))
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_byte(out, ',');
        put(out, items[i]);
    }
}

enum err drv_hash_modulo(const struct drv *drv, bool masked, const struct drv_modulo *modulo, struct hash *out, struct why *why)
{
    struct buf text = BUF_EMPTY;
    struct modulo_input *inputs = NULL;
    size_t inputs_n;
    enum err err = modulo_inputs(drv, modulo, &inputs, &inputs_n, why);
    if (err == OK) {
        buf_str(&text, "Derive([");
        put_outputs(&text, drv, masked);
        buf_str(&text, "],[");
        put_inputs(&text, inputs, inputs_n);
        buf_str(&text, "],[");
        put_list(&text, drv->sources, drv->sources_n, put_plain);
        buf_str(&text, "],");
        put_plain(&text, drv->system);
        buf_byte(&text, ',');
        put_escaped(&text, drv->builder);
        buf_str(&text, ",[");
        put_list(&text, drv->args, drv->args_n, put_escaped);
        buf_str(&text, "],[");
        put_env(&text, drv, masked);
        buf_str(&text, "])");
        *out = sha256_of(span_buf(&text));
        err = buf_done(&text, why);
    }
    free(inputs);
    buf_free(&text);
    return err;
}

enum err drv_fixed_modulo(const struct drv_output *output, struct hash *out, struct why *why)
{
    struct buf text = BUF_EMPTY;
    buf_fmt(&text, "fixed:out:%.*s:%.*s:", SPAN_FMT(output->hash_algo), SPAN_FMT(output->hash));
    buf_span(&text, output->path);
    *out = sha256_of(span_buf(&text));
    enum err err = buf_done(&text, why);
    buf_free(&text);
    return err;
}

/* The path that a fixed output has by its hash. */
static enum err fixed_path(struct buf *out, const struct drv_output *output, struct span dir, struct span name, struct why *why)
{
    struct buf ca = BUF_EMPTY;
    buf_fmt(&ca, "fixed:%.*s:%.*s", SPAN_FMT(output->hash_algo), SPAN_FMT(output->hash));
    enum err err = buf_done(&ca, why);
    if (err == OK)
        err = storepath_from_ca(out, dir, name, span_buf(&ca), NULL, 0, false, why);
    buf_free(&ca);
    return err;
}

static enum err addressed_path(struct buf *out, const struct drv_output *output, struct span dir, struct span name,
                               const struct hash *modulo, struct why *why)
{
    struct buf type = BUF_EMPTY, full_name = BUF_EMPTY;
    buf_str(&type, "output:");
    buf_span(&type, output->name);
    buf_span(&full_name, name);
    if (!span_is(output->name, "out")) {
        buf_byte(&full_name, '-');
        buf_span(&full_name, output->name);
    }
    enum err err = type.failed || full_name.failed ? fail(why, ERR_ENV, "out of memory") : OK;
    if (err == OK)
        storepath_make(out, dir, span_buf(&type), modulo, span_buf(&full_name));
    buf_free(&type);
    buf_free(&full_name);
    return err == OK ? buf_done(out, why) : err;
}

/* Nix's kinds of outputs, which do not mix in one derivation. */
enum kind { ADDRESSED, FIXED, FLOATING, IMPURE, DEFERRED };

static enum kind kind_of(const struct drv_output *output)
{
    if (output->hash_algo.len > 0)
        return output->hash.len > 0 ? FIXED : output->impure ? IMPURE : FLOATING;
    return output->path.len > 0 ? ADDRESSED : DEFERRED;
}

static enum err check_kinds(const struct drv *drv, struct why *why)
{
    for (size_t i = 1; i < drv->outputs_n; i++)
        if (kind_of(&drv->outputs[i]) != kind_of(&drv->outputs[0]))
            return fail(why, ERR_REFUSED, "the derivation's outputs %.*s and %.*s are of different kinds",
                        SPAN_FMT(drv->outputs[0].name), SPAN_FMT(drv->outputs[i].name));
    if (kind_of(&drv->outputs[0]) == FIXED && (drv->outputs_n > 1 || !span_is(drv->outputs[0].name, "out")))
        return fail(why, ERR_REFUSED, "a fixed-output derivation has one output, and its name is out");
    return OK;
}

static int by_env_name(const void *a, const void *b)
{
    return span_cmp(((const struct drv_env *)a)->name, ((const struct drv_env *)b)->name);
}

/* The output's path, and the variable that tells it to the builder: the hash leaves both out. */
static enum err check_path(const struct drv *drv, const struct drv_output *output, struct span path, struct why *why)
{
    struct drv_env key = { .name = output->name };
    const struct drv_env *env = drv->env_n == 0 ? NULL : bsearch(&key, drv->env, drv->env_n, sizeof key, by_env_name);
    if (!span_eq(path, output->path))
        return fail(why, ERR_REFUSED, "the derivation gives its output %.*s the path %.*s, not %.*s", SPAN_FMT(output->name),
                    SPAN_FMT(path), SPAN_FMT(output->path));
    if (env == NULL || !span_eq(env->value, path))
        return fail(why, ERR_REFUSED, "the derivation's variable %.*s is not the path of that output, %.*s", SPAN_FMT(output->name),
                    SPAN_FMT(path));
    return OK;
}

enum err drv_check_outputs(const struct drv *drv, struct span dir, struct span name, const struct drv_modulo *modulo,
                           struct why *why)
{
    struct hash hash;
    enum err err = check_kinds(drv, why);
    enum kind kind = kind_of(&drv->outputs[0]);
    if (err != OK || kind == FLOATING || kind == IMPURE || kind == DEFERRED)
        return err; /* these paths are known only once they are built */
    if (kind == ADDRESSED)
        err = drv_hash_modulo(drv, true, modulo, &hash, why);
    for (size_t i = 0; i < drv->outputs_n && err == OK; i++) {
        const struct drv_output *output = &drv->outputs[i];
        struct buf path = BUF_EMPTY;
        err = kind == FIXED ? fixed_path(&path, output, dir, name, why) : addressed_path(&path, output, dir, name, &hash, why);
        if (err == OK)
            err = check_path(drv, output, span_buf(&path), why);
        buf_free(&path);
    }
    return err;
}
