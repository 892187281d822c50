/*
 * A complete trail, followed through a log: trace post URL KEY N DEPTH | trace follow CONFIG KEY N DEPTH
 * `post` attests a graph of N paths, DEPTH steps deep, of which each was built from three of the step below, and a top that was
 * built from the highest step; and sends it to the log. `follow` follows the top's trail, as `stele trace` and the gate do, five
 * times, and once more with what is then remembered: prints "paths N", "rounds_max_s" … as "name value" lines, medians.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/prove.h"
#include "client/trail_follow.h"
#include "client/trail_memory.h"
#include "lib/sys/clock.h"
#include "tests/graph.h"
#include "tests/must.h"

enum { BATCH = 1000, RUNS = 5, INPUTS = 3 };

/* The top is the last. The lowest step are sources. */
static void make_graph(struct graph *graph, uint32_t n, uint32_t depth)
{
    uint32_t layer = n / depth, *all = calloc(layer, sizeof *all);
    for (uint32_t i = 0; i < layer * depth; i++) {
        uint32_t inputs[INPUTS];
        for (uint32_t k = 0; i >= layer && k < INPUTS; k++)
            inputs[k] = i / layer * layer - layer + (i % layer + k * (layer / INPUTS)) % layer;
        graph_add(graph, i < layer ? INPUT_SOURCE : INPUT_OUTPUT, inputs, i < layer ? 0 : INPUTS, NULL, 0);
    }
    for (uint32_t k = 0; k < layer; k++)
        all[k] = layer * (depth - 1) + k;
    graph_add(graph, INPUT_OUTPUT, all, layer, NULL, 0);
    free(all);
}

static void post(const struct graph *graph, const char *url, const struct secret_key *key)
{
    struct http_client *client;
    struct http_client_config config = { .total_timeout_ms = 120000 };
    struct http_response response = { 0 };
    struct buf lines = BUF_EMPTY;
    struct why why;
    size_t n = 0;
    must(http_client_new(&client, &config, &why), &why);
    for (uint32_t i = 0; i < graph->n; i++) {
        if (graph->nodes[i].kind == INPUT_OUTPUT) {
            graph_attest(graph, i, key, &lines);
            n++;
        }
        if (n < BATCH && i + 1 < graph->n)
            continue;
        /* A busy disk may keep the witnesses from their quorum in time: the same bytes are sent again. */
        for (int tries = 0; tries == 0 || (response.status == 503 && tries < 100); tries++)
            must(http_post(client, url, "application/jsonl", span_buf(&lines), 64 << 20, &response, &why), &why);
        if (response.status != 200) {
            fprintf(stderr, "trace: %u %.*s\n", response.status, SPAN_FMT(span_buf(&response.body)));
            exit(1);
        }
        buf_clear(&lines);
        n = 0;
    }
    http_response_free(&response);
    http_client_free(client);
    buf_free(&lines);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One question; how long it took, in seconds. */
static double follow(const struct client_config *config, const struct policy *policy, const struct trust *trust,
                     struct http_client *client, const struct graph_node *top, struct trail_memory *memory)
{
    struct trail_config with = { policy, trust, memory, prove_threads(), NULL };
    struct trail_sources sources = { .config = config, .policy = policy, .trust = trust, .client = client };
    struct trust_path path = { .nar_hash = top->nar_hash, .nar_size = 4096, .references_digest = references_digest(NULL, 0) };
    struct trail *trail;
    enum trail_state state;
    struct buf troubles = BUF_EMPTY;
    struct why why;
    uint64_t from_us = clock_monotonic_us();
    must(storepath_parse(&path.path, span_str(top->path), &why), &why);
    must(trail_new(&trail, &with, &why), &why);
    must(trail_ask(trail, &path, &why), &why);
    must(trail_follow(&sources, trail, &state, NULL, &troubles, &why), &why);
    double took = (double)(clock_monotonic_us() - from_us) / 1e6;
    trail_why(trail, &why);
    must(state == TRAIL_COMPLETE ? OK : ERR_REFUSED, &why);
    trail_free(trail);
    buf_free(&troubles);
    return took;
}

static void measure(const struct graph *graph, const char *config_file)
{
    struct client_config config;
    struct policy policy;
    struct trust trust;
    struct http_client *client;
    struct trail_memory *memory;
    struct http_client_config with = { 0 };
    struct why why;
    double took[RUNS];
    const struct graph_node *top = &graph->nodes[graph->n - 1];
    size_t attested = 0;
    must(client_config_load(&config, config_file, &why), &why);
    must(client_policy_load(&config, &policy, &why), &why);
    must(client_trust_load(&config, &trust, &why), &why);
    must(http_client_new(&client, &with, &why), &why);
    for (size_t i = 0; i < graph->n; i++)
        attested += graph->nodes[i].kind == INPUT_OUTPUT;
    for (int i = 0; i < RUNS; i++)
        took[i] = follow(&config, &policy, &trust, client, top, NULL);
    qsort(took, RUNS, sizeof *took, by_value);
    must(trail_memory_open(&memory, NULL, NULL, NULL, &why), &why);
    follow(&config, &policy, &trust, client, top, memory);
    double again = follow(&config, &policy, &trust, client, top, memory);
    printf("attested %zu\nseconds %.3f\nattested_s %.0f\nagain_ms %.1f\n", attested, took[RUNS / 2],
           (double)attested / took[RUNS / 2], 1000 * again);
    trail_memory_close(memory);
    http_client_free(client);
    trust_free(&trust);
    policy_free(&policy);
    client_config_free(&config);
}

int main(int argc, char **argv)
{
    struct secret_key *key;
    struct graph graph = { 0 };
    struct why why;
    if (argc != 6) {
        fprintf(stderr, "usage: trace post URL KEY N DEPTH | trace follow CONFIG KEY N DEPTH\n");
        return 2;
    }
    must(key_system_start(&why), &why);
    must(http_client_system_start(&why), &why);
    must(secret_key_load(&key, argv[3], SIG_ED25519, &why), &why);
    make_graph(&graph, (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10));
    if (strcmp(argv[1], "post") == 0)
        post(&graph, argv[2], key);
    else
        measure(&graph, argv[2]);
    graph_free(&graph);
    secret_key_free(key);
    return 0;
}
