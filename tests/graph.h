/*
 * Made-up builds that depend on each other, and their attestations: for tests and benchmarks of trails.
 */
#ifndef STELE_TESTS_GRAPH_H
#define STELE_TESTS_GRAPH_H

#include "lib/statement.h"
#include "lib/sys/key.h"

struct graph_node {
    char path[96], base[80], derivation[100];
    struct hash nar_hash;
    enum input_kind kind;
    uint32_t *inputs, *references; /* numbers of nodes */
    size_t inputs_n, references_n;
    bool unrecorded; /* its attestation records no inputs */
};

struct graph {
    struct graph_node *nodes;
    size_t n, cap;
};

/* A path with these direct inputs, and these references; its number. */
uint32_t graph_add(struct graph *graph, enum input_kind kind, const uint32_t *inputs, size_t inputs_n, const uint32_t *references,
                   size_t references_n);
void graph_free(struct graph *graph);
/* Appends the attestation of a node, as the log takes it: its input list where needed, and the envelope, a line each. Its inputs
 * and its closure are what the graph says now: who alters a hash before, and puts it back afterwards, has a builder whose store
 * was tampered with. Ends the process where it fails. */
void graph_attest(const struct graph *graph, uint32_t node, const struct secret_key *key, struct buf *lines);

#endif
