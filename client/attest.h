/*
 * What `stele attest PATH…` and `stele attest --all` share: a backfill, signed by hand.
 */
#ifndef STELE_CLIENT_ATTEST_H
#define STELE_CLIENT_ATTEST_H

#include "client/outbox.h"
#include "lib/flakeref.h"

struct attesting {
    struct client_config config;
    struct secret_key *key;
    struct nix_env env;
    struct nixdb *db;
    uint64_t since_s; /* when this key began to build here; 0 where the caller vouches for all */
    struct flakeref source;
    const char *revision, *attribute; /* NULL: what the flake reference says */
};

/* Attests some outputs of one derivation, and puts that into the outbox. Safe from several threads, each with its own `db`. */
enum err attest_outputs(const struct attesting *attesting, struct nixdb *db, const char *drv_path, const char *const *paths,
                        size_t n, struct why *why);
/* Every path of the store that is marked as built here since the key builds here; those done before are passed over. ERR_REFUSED
 * where one had to be refused; the others are done all the same. */
enum err attest_all(struct attesting *attesting, struct why *why);

#endif
