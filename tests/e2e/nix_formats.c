/*
 * What our parsers make of Nix's formats, for test_nix_formats.sh to hold against Nix's own tools:
 *   nix_formats nar FILE...           "ok FILE", or "no FILE: why", for each
 *   nix_formats hash PATH             hex SHA-256 and length of the path's NAR
 *   nix_formats mutants FILE DIR N    N damaged forms of FILE, always the same ones, into DIR
 *   nix_formats narinfo DIR FILE      as `nix path-info --json` shows it
 *   nix_formats drv DIR FILE          as `nix show-derivation` shows it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/drv.h"
#include "lib/encode.h"
#include "lib/nar.h"
#include "lib/narinfo.h"
#include "lib/sys/file.h"
#include "lib/sys/narfs.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static struct why why;

static void must(enum err err)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s\n", why.text);
    exit(1);
}

static void judge_nar(const char *path)
{
    struct buf text = BUF_EMPTY;
    struct nar_parser *parser = nar_parser_new();
    must(file_read(path, FILE_BYTES_MAX, &text, &why));
    enum err err = nar_parser_feed(parser, span_buf(&text), &why);
    if (err == OK)
        err = nar_parser_end(parser, &why);
    if (err == OK)
        printf("ok %s\n", path);
    else
        printf("no %s: %s\n", path, why.text);
    nar_parser_free(parser);
    buf_free(&text);
}

static uint64_t chance = 1;

static size_t below(size_t n)
{
    chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((chance >> 33) % n);
}

/* A bit turned, a byte given, a piece cut out or said twice, the end cut off or more behind it. */
static void damage(struct buf *out, struct span file)
{
    size_t at = below(file.len), n = 8 * (1 + below(4)), rest = file.len - at;
    struct span head = span_cut(file, 0, at), tail = span_cut(file, at, rest);
    n = n < rest ? n : rest;
    buf_clear(out);
    switch (below(6)) {
    case 0:
        buf_span(out, file);
        out->data[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        buf_span(out, file);
        out->data[at] = (uint8_t)below(256);
        break;
    case 2:
        buf_span(out, head);
        buf_span(out, span_cut(tail, n, rest - n));
        break;
    case 3:
        buf_span(out, head);
        buf_span(out, span_cut(tail, 0, n));
        buf_span(out, tail);
        break;
    case 4: buf_span(out, head); break;
    default: buf_span(out, file); buf_span(out, span_cut(tail, 0, n));
    }
}

static void make_mutants(const char *path, const char *dir, unsigned n)
{
    struct buf text = BUF_EMPTY, out = BUF_EMPTY;
    char name[512];
    must(file_read(path, FILE_BYTES_MAX, &text, &why));
    for (unsigned i = 0; i < n; i++) {
        damage(&out, span_buf(&text));
        snprintf(name, sizeof name, "%s/%u", dir, i);
        must(file_create(name, 0644, span_buf(&out), &why));
    }
    buf_free(&text);
    buf_free(&out);
}

static json_t *text_of(struct span text)
{
    return json_stringn((const char *)text.data, text.len);
}

static json_t *path_in(const char *dir, struct span base)
{
    return json_sprintf("%s/%.*s", dir, SPAN_FMT(base));
}

static void show(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(value);
}

static json_t *sri(const struct hash *hash)
{
    struct buf text = BUF_EMPTY;
    buf_str(&text, "sha256-");
    base64_encode(&text, span_of(hash->b, sizeof hash->b));
    json_t *out = text_of(span_buf(&text));
    buf_free(&text);
    return out;
}

static void show_narinfo(const char *dir, struct span text)
{
    struct narinfo info;
    must(narinfo_parse(&info, text, span_str(dir), &why));
    json_t *out = json_object(), *references = json_array(), *signatures = json_array();
    json_object_set_new(out, "path", text_of(info.path.path));
    json_object_set_new(out, "narHash", sri(&info.nar_hash));
    json_object_set_new(out, "narSize", json_integer((json_int_t)info.nar_size));
    for (size_t i = 0; i < info.references_n; i++)
        json_array_append_new(references, path_in(dir, info.references[i]));
    for (size_t i = 0; i < info.sigs_n; i++) {
        struct buf sig = BUF_EMPTY;
        buf_span(&sig, info.sigs[i].name);
        buf_byte(&sig, ':');
        base64_encode(&sig, span_of(info.sigs[i].sig, sizeof info.sigs[i].sig));
        json_array_append_new(signatures, text_of(span_buf(&sig)));
        buf_free(&sig);
    }
    json_object_set_new(out, "references", references);
    json_object_set_new(out, "signatures", signatures);
    if (info.deriver.len > 0)
        json_object_set_new(out, "deriver", path_in(dir, info.deriver));
    if (info.ca.len > 0)
        json_object_set_new(out, "ca", text_of(info.ca));
    json_object_set_new(out, "url", text_of(info.url));
    narinfo_free(&info);
    show(out);
}

static json_t *list_of(const struct span *items, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(out, text_of(items[i]));
    return out;
}

static void set(json_t *object, struct span name, json_t *value)
{
    json_object_setn_new(object, (const char *)name.data, name.len, value);
}

static void show_drv(const char *dir, struct span text)
{
    struct drv drv;
    must(drv_parse(&drv, text, span_str(dir), &why));
    json_t *out = json_object(), *outputs = json_object(), *inputs = json_object(), *env = json_object();
    for (size_t i = 0; i < drv.outputs_n; i++) {
        const struct drv_output *output = &drv.outputs[i];
        json_t *one = json_object();
        if (output->path.len > 0)
            json_object_set_new(one, "path", text_of(output->path));
        if (output->hash_algo.len > 0)
            json_object_set_new(one, "hashAlgo", text_of(output->hash_algo));
        if (output->hash.len > 0)
            json_object_set_new(one, "hash", text_of(output->hash));
        set(outputs, output->name, one);
    }
    for (size_t i = 0; i < drv.inputs_n; i++)
        set(inputs, drv.inputs[i].path, list_of(drv.inputs[i].outputs, drv.inputs[i].outputs_n));
    for (size_t i = 0; i < drv.env_n; i++)
        set(env, drv.env[i].name, text_of(drv.env[i].value));
    json_object_set_new(out, "outputs", outputs);
    json_object_set_new(out, "inputDrvs", inputs);
    json_object_set_new(out, "inputSrcs", list_of(drv.sources, drv.sources_n));
    json_object_set_new(out, "args", list_of(drv.args, drv.args_n));
    json_object_set_new(out, "env", env);
    json_object_set_new(out, "system", text_of(drv.system));
    json_object_set_new(out, "builder", text_of(drv.builder));
    drv_free(&drv);
    show(out);
}

int main(int argc, char **argv)
{
    struct buf text = BUF_EMPTY;
    if (argc >= 3 && strcmp(argv[1], "nar") == 0) {
        for (int i = 2; i < argc; i++)
            judge_nar(argv[i]);
    } else if (argc == 3 && strcmp(argv[1], "hash") == 0) {
        struct hash hash;
        uint64_t size;
        must(nar_hash_path(argv[2], &hash, &size, &why));
        hex_encode(&text, span_of(hash.b, sizeof hash.b));
        printf("%.*s %llu\n", SPAN_FMT(span_buf(&text)), (unsigned long long)size);
    } else if (argc == 5 && strcmp(argv[1], "mutants") == 0) {
        make_mutants(argv[2], argv[3], (unsigned)atoi(argv[4]));
    } else if (argc == 4 && (strcmp(argv[1], "narinfo") == 0 || strcmp(argv[1], "drv") == 0)) {
        must(file_read(argv[3], FILE_BYTES_MAX, &text, &why));
        if (argv[1][0] == 'n')
            show_narinfo(argv[2], span_buf(&text));
        else
            show_drv(argv[2], span_buf(&text));
    } else {
        return 2;
    }
    buf_free(&text);
    return 0;
}
