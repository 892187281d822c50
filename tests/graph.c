#include "tests/graph.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/dsse.h"
#include "lib/storepath.h"
#include "tests/must.h"

enum { NAR_BYTES = 4096 };

static void *must_have(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "the graph: out of memory\n");
        exit(1);
    }
    return memory;
}

static uint32_t *copy_of(const uint32_t *numbers, size_t n)
{
    uint32_t *copy = must_have(malloc((n + 1) * sizeof *copy));
    if (n > 0)
        memcpy(copy, numbers, n * sizeof *copy);
    return copy;
}

uint32_t graph_add(struct graph *graph, enum input_kind kind, const uint32_t *inputs, size_t inputs_n, const uint32_t *references,
                   size_t references_n)
{
    if (graph->n == graph->cap) {
        graph->cap = 2 * graph->cap + 64;
        graph->nodes = must_have(realloc(graph->nodes, graph->cap * sizeof *graph->nodes));
    }
    struct graph_node *node = &graph->nodes[graph->n];
    struct buf part = BUF_EMPTY;
    char name[64];
    int len = snprintf(name, sizeof name, "node %zu", graph->n);
    struct hash hash = sha256_of(span_of(name, (size_t)len));
    nix32_encode(&part, span_of(hash.b, 20));
    *node = (struct graph_node){ .kind = kind,
                                 .nar_hash = sha256_of(span_of(hash.b, sizeof hash.b)),
                                 .inputs = copy_of(inputs, inputs_n),
                                 .references = copy_of(references, references_n),
                                 .inputs_n = inputs_n,
                                 .references_n = references_n };
    snprintf(node->base, sizeof node->base, "%.*s-node-%zu", SPAN_FMT(span_buf(&part)), graph->n);
    snprintf(node->path, sizeof node->path, "/nix/store/%s", node->base);
    snprintf(node->derivation, sizeof node->derivation, "%s.drv", node->path);
    buf_free(&part);
    return (uint32_t)graph->n++;
}

void graph_free(struct graph *graph)
{
    for (size_t i = 0; i < graph->n; i++) {
        free(graph->nodes[i].inputs);
        free(graph->nodes[i].references);
    }
    free(graph->nodes);
}

static int by_text(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

static int by_path(const void *a, const void *b)
{
    return span_cmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static int by_node_path(const void *a, const void *b)
{
    const struct graph_node *x = *(const struct graph_node *const *)a, *y = *(const struct graph_node *const *)b;
    return strcmp(x->path, y->path);
}

static struct span *names_of(const struct graph *graph, const struct graph_node *node)
{
    struct span *names = must_have(calloc(node->references_n + 1, sizeof *names));
    for (size_t i = 0; i < node->references_n; i++)
        names[i] = span_str(graph->nodes[node->references[i]].base);
    qsort(names, node->references_n, sizeof *names, by_text);
    return names;
}

static struct hash closure_of(const struct graph *graph, const struct graph_node *node)
{
    const struct graph_node **members = must_have(calloc(graph->n + 1, sizeof *members));
    bool *seen = must_have(calloc(graph->n + 1, sizeof *seen));
    size_t n = 0;
    struct sha256 state;
    for (size_t i = 0; i < node->inputs_n; i++)
        if (!seen[node->inputs[i]]) {
            seen[node->inputs[i]] = true;
            members[n++] = &graph->nodes[node->inputs[i]];
        }
    for (size_t m = 0; m < n; m++)
        for (size_t r = 0; r < members[m]->references_n; r++)
            if (!seen[members[m]->references[r]]) {
                seen[members[m]->references[r]] = true;
                members[n++] = &graph->nodes[members[m]->references[r]];
            }
    qsort(members, n, sizeof *members, by_node_path);
    sha256_start(&state);
    for (size_t m = 0; m < n; m++)
        closure_digest_add(&state, span_str(members[m]->path), &members[m]->nar_hash);
    free(members);
    free(seen);
    return sha256_end(&state);
}

static void sign(const struct statement *statement, const struct secret_key *key, struct buf *lines)
{
    struct buf payload = BUF_EMPTY, list = BUF_EMPTY, pae = BUF_EMPTY;
    struct vkey vkey = secret_key_vkey(key);
    struct why why = { "" };
    uint8_t sig[64];
    must(statement_render(&payload, statement, &list, &why), &why);
    dsse_pae(&pae, span_str(IN_TOTO_TYPE), span_buf(&payload));
    must(secret_key_sign(key, span_buf(&pae), sig, &why), &why);
    if (list.len > 0) {
        buf_str(lines, "{\"inputs\":\"");
        base64_encode(lines, span_buf(&list));
        buf_str(lines, "\"}\n");
    }
    envelope_render(lines, span_buf(&payload), &vkey, sig);
    buf_byte(lines, '\n');
    buf_free(&payload);
    buf_free(&list);
    buf_free(&pae);
}

void graph_attest(const struct graph *graph, uint32_t number, const struct secret_key *key, struct buf *lines)
{
    const struct graph_node *node = &graph->nodes[number];
    struct vkey vkey = secret_key_vkey(key);
    struct span output = span_str("out"), *names = names_of(graph, node);
    struct input *inputs = must_have(calloc(node->inputs_n + 1, sizeof *inputs));
    for (size_t i = 0; i < node->inputs_n; i++) {
        const struct graph_node *input = &graph->nodes[node->inputs[i]];
        inputs[i] = (struct input){ .path = span_str(input->path), .nar_hash = input->nar_hash, .kind = input->kind };
        if (input->kind != INPUT_SOURCE)
            inputs[i].derivation = span_str(input->derivation);
        else if (input->references_n > 0) {
            inputs[i].references = names_of(graph, input);
            inputs[i].references_n = input->references_n;
        }
    }
    qsort(inputs, node->inputs_n, sizeof *inputs, by_path);
    struct subject subject = { .path = span_str(node->path),
                               .nar_hash = node->nar_hash,
                               .output = output,
                               .nar_size = NAR_BYTES,
                               .references = names,
                               .references_n = node->references_n,
                               .references_digest = references_digest(names, node->references_n) };
    struct statement statement = { .subjects = &subject,
                                   .subjects_n = 1,
                                   .derivation = span_str(node->derivation),
                                   .outputs = &output,
                                   .outputs_n = 1,
                                   .claim = CLAIM_BUILD,
                                   .system = span_str("x86_64-linux"),
                                   .store_dir = span_str("/nix/store"),
                                   .inputs_recorded = !node->unrecorded,
                                   .closure = closure_of(graph, node),
                                   .inputs = inputs,
                                   .inputs_n = node->inputs_n,
                                   .key_name = vkey.name,
                                   .stele_version = span_str(STELE_VERSION) };
    sign(&statement, key, lines);
    for (size_t i = 0; i < node->inputs_n; i++)
        free(inputs[i].references);
    free(inputs);
    free(names);
}
