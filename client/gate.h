/*
 * `stele gate`: a substituter for unmodified Nix that hands out only what the trust file lets pass. This is its front: it
 * speaks HTTP with Nix and the upstream caches; its signer (client/gate_signer.h) judges and signs.
 */
#ifndef STELE_CLIENT_GATE_H
#define STELE_CLIENT_GATE_H

#include <pthread.h>

#include "client/gate_signer.h"
#include "client/gather.h"
#include "lib/sys/http_server.h"

enum {
    GATE_PATHS_MAX = 65536,     /* verdicts remembered */
    GATE_VERDICT_S = 60,        /* for so long, between a narinfo and its NAR */
    GATE_CONNECTIONS_MAX = 256, /* Nix opens 25 */
    GATE_NAR_TIMEOUT_MS = 3600 * 1000,
    GATE_BUFFER_BYTES = 64 << 10,
};

/* A store path that passed. */
struct gate_path {
    struct gate_path *next; /* in its bucket */
    char hash_part[HASH_PART_LEN + 1];
    uint64_t until_ms; /* monotonic */
    struct hash nar_hash;
    uint64_t nar_size;
    char *nar_url; /* the upstream's */
    char *compression;
    struct buf narinfo; /* the gate's */
};

struct gate {
    const struct client_config *config;
    const char *dir; /* the store folder */
    struct policy policy;
    struct gate_signer *signer;
    int listen_fd; /* the service manager's socket, or 0 */
    unsigned port;
    pthread_mutex_t lock; /* of what follows */
    struct gate_path *buckets[4096];
    size_t paths_n;
    struct http_client *idle[GATE_CONNECTIONS_MAX];
    size_t idle_n;
};

/* Looks a hash part up in the upstreams in order, and judges it; a verdict of the last GATE_VERDICT_S is good enough where
 * `remembered_will_do`: for the NAR that follows a narinfo. A copy of what passed comes in *out (free it with
 * gate_path_free), and `refusal` says in a sentence why nothing did. ERR_REFUSED where no upstream has it or none passes
 * (*known tells the two apart), ERR_ENV only where the gate itself is broken. */
enum err gate_resolve(struct gate *gate, struct span hash_part, bool remembered_will_do, struct gate_path *out, bool *known,
                      struct why *refusal);
void gate_path_free(struct gate_path *path);
void gate_forget(struct gate *gate); /* all verdicts and idle connections */

/* Answers a NAR request with the uncompressed archive; consumes `path`. */
void gate_send_nar(const struct gate *gate, struct http_request *request, struct gate_path *path);

#endif
