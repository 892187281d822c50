/*
 * `stele gate`: a substituter for unmodified Nix that hands out only what the trust file lets pass (spec/gate.md). This is its
 * front: it speaks HTTP with Nix, the upstream caches and the logs; its signer (client/gate_signer.h) judges and signs.
 */
#ifndef STELE_CLIENT_GATE_H
#define STELE_CLIENT_GATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/gate_ahead.h"
#include "client/gate_keep.h"
#include "client/gate_lookups.h"
#include "client/gate_signer.h"
#include "client/gather.h"
#include "lib/sys/http_server.h"

/* The gate's limits; those on what it parses stand in lib/limits.h. */
enum {
    GATE_PATHS_MAX = 65536,           /* verdicts remembered */
    GATE_VERDICT_S = 60,              /* for so long, between a narinfo and its NAR */
    GATE_CONNECTIONS_MAX = 256,       /* Nix opens 25 */
    GATE_WHOLE_BYTES_MAX = 256 << 10, /* a NAR up to this size is checked before its first byte goes out */
    GATE_REDIRECTS_MAX = 3,           /* of a NAR request */
    GATE_AHEAD_MAX = 1024,            /* NARs of that size that are read ahead, or may be */
    GATE_AHEAD_BYTES_MAX = 16 << 20,  /* of those that are there or come */
    GATE_AHEAD_THREADS = 8,           /* that fetch them: Nix fetches one at a time, or a few */
    GATE_AHEAD_FOR_MS = 2000,         /* after the last NAR request */
    GATE_TRIES = 3,                   /* where no upstream that answered has it */
    GATE_TRY_AGAIN_MS = 250,          /* before the second, and four times that before the third */
    GATE_FAILURES_MAX = 3,            /* in a row, then an upstream is left alone */
    GATE_DOWN_MS = 10000,             /* for so long; then one request tries it */
    GATE_SIDECARS_MISSED = 8,         /* none seen by then: asked for one only where nothing else suffices, */
    GATE_SIDECARS_EVERY = 32,         /* and with one path in so many */
    GATE_SHUNNED_MAX = 1024,          /* NARs that an upstream failed to deliver */
    GATE_SHUNNED_MS = 60 * 1000,      /* not asked for them again, or last, for so long: Nix comes again in seconds */
};

/* A store path that passed. */
struct gate_path {
    struct gate_path *next; /* in its bucket */
    char hash_part[HASH_PART_LEN + 1];
    uint64_t until_ms; /* monotonic */
    struct hash nar_hash;
    uint64_t nar_size;
    size_t upstream;
    char *nar_url; /* the upstream's */
    char *compression;
    struct buf narinfo; /* the gate's */
};

struct gate_upstream {
    const char *url;
    unsigned failures; /* in a row */
    uint64_t down_until_ms;
    bool has_proofs;        /* a sidecar was seen: then it is asked for one with every narinfo, and the logs are not asked ahead */
    uint64_t found, missed; /* paths that it had, and those of them without a sidecar where one was asked for */
};

/* An upstream did not deliver this NAR as attested. */
struct gate_shunned {
    char hash_part[HASH_PART_LEN + 1];
    size_t upstream;
    bool wrong; /* not cut off, but other bytes */
    uint64_t until_ms;
};

/* What was used and may be used again: an idle object of its kind keeps its connections. */
enum gate_idle { GATE_CLIENTS, GATE_STREAMS, GATE_PUBLIC_STREAMS, GATE_IDLE_KINDS };

struct gate {
    const struct client_config *config;
    const char *dir; /* the store folder */
    struct policy policy;
    struct gate_signer *signer;
    struct gate_keeper *keeper;
    struct gate_lookups *lookups;
    struct gate_ahead *ahead;
    atomic_bool stopping; /* no upstream and no log is waited for any more */
    int listen_fd;        /* the service manager's socket, or 0 */
    struct http_server *server;
    pthread_mutex_t lock; /* of what follows */
    struct gate_upstream *upstreams;
    struct gate_path *buckets[4096];
    size_t paths_n;
    struct gate_shunned shunned[GATE_SHUNNED_MAX];
    size_t shunned_n, shunned_next;
    void *idle[GATE_IDLE_KINDS][GATE_CONNECTIONS_MAX];
    size_t idle_n[GATE_IDLE_KINDS];
};

/* client/gate_paths.c. Looks a hash part up in the upstreams in order, and judges it. For a NAR request `nar_hash` is what its URL
 * names: then a verdict of the last GATE_VERDICT_S is good enough, and another NAR does not pass. A copy of what passed comes in
 * *out (free it with gate_path_free), and `refusal` says in a sentence why nothing did. ERR_REFUSED where no upstream has it or none
 * passes (*known tells the two apart), ERR_ENV only where the gate itself is broken. */
enum err gate_resolve(struct gate *gate, struct span hash_part, const struct hash *nar_hash, struct gate_path *out, bool *known,
                      struct why *refusal);

/* client/gate_verdicts.c. The verdict of the last GATE_VERDICT_S; false where there is none. */
bool gate_remembers(struct gate *gate, struct span hash_part, const struct hash *nar_hash, struct gate_path *out);
void gate_remember(struct gate *gate, const struct gate_path *path); /* best effort: what is not remembered is judged again */
void gate_path_free(struct gate_path *path);
void gate_forget(struct gate *gate); /* all verdicts */
/* The upstream did not deliver the NAR of this verdict, which is forgotten. */
void gate_shun(struct gate *gate, const struct gate_path *path, bool wrong);
enum gate_shunning { NOT_SHUNNED, SHUNNED, SHUNNED_WRONG } gate_shuns(struct gate *gate, struct span hash_part, size_t upstream);

/* client/gate_upstreams.c. May this upstream be asked? Where it has failed too often, one request in GATE_DOWN_MS may. */
bool gate_upstream_up(struct gate *gate, size_t upstream);
void gate_upstream_answered(struct gate *gate, size_t upstream);
void gate_upstream_failed(struct gate *gate, size_t upstream, const struct why *why);
/* It has a path: should it be asked for the sidecar before anything else is tried? And what came of that. */
bool gate_upstream_found(struct gate *gate, size_t upstream);
void gate_upstream_sidecar(struct gate *gate, size_t upstream, bool has_one);
bool gate_upstream_has_proofs(struct gate *gate, size_t upstream);
/* NULL with `why` where memory is short. */
struct http_client *gate_take_client(struct gate *gate, struct why *why);
struct http_stream *gate_take_stream(struct gate *gate, bool public_only, struct why *why);
void gate_give(struct gate *gate, enum gate_idle kind, void *idle);
void gate_close_idle(struct gate *gate);

/* An http_server's `handle`; ctx is the gate, whose server is set. */
void gate_handle(void *ctx, struct http_request *request);
/* Answers a NAR request with the uncompressed archive, or the rest of it. */
void gate_send_nar(struct gate *gate, struct http_request *request, struct span hash_part, const struct hash *nar_hash);
/* All of an archive of at most GATE_WHOLE_BYTES_MAX, checked, in *whole (empty before); takes what is in *path. ERR_ENV or
 * ERR_REFUSED where its upstream did not deliver it, which is reported, and shunned for it. */
enum err gate_fetch_nar(struct gate *gate, struct gate_path *path, struct buf *whole, struct why *why);
/* 404, or 451 where the user wants that; 404 for what no upstream has (`known` false). */
void gate_refuse(const struct gate *gate, struct http_request *request, bool known, const struct why *why);

#endif
