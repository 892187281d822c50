/*
 * A path of a local store held against the trust file: what `audit` and `verify PATH` share.
 */
#ifndef STELE_CLIENT_LOCAL_H
#define STELE_CLIENT_LOCAL_H

#include "client/gather.h"
#include "lib/sys/nixdb.h"

struct local {
    struct client_config config;
    struct policy policy;
    struct trust trust;
    struct nix_env env;
    struct nixdb *db;
    struct http_client *client;
    bool look_up; /* logs are asked */
};

/* What the database says of a path, as the trust file is asked about it. Borrows from the info. */
struct local_path {
    struct trust_path path; /* content_addressed: the database's `ca` gives this path, with these bytes where that can be told */
    bool false_address;     /* it has a `ca`, which does not */
    bool cache_signed[TRUST_BUILDERS_MAX];
    struct span *references; /* base names */
    size_t references_n;
};

struct local_verdict {
    struct trust_result result;
    bool content_addressed; /* the database's `ca` gives this path */
    bool contradicted;      /* somebody attested other bytes or references, and nobody these */
    struct evidence evidence;
    struct buf troubles; /* a line for each source that could not be asked */
};

/* `root` is --store's value or NULL; `look_up` says whether logs are asked. ERR_ENV, ERR_MALFORMED. Close in any case. */
enum err local_open(struct local *out, const char *config_file, const char *root, bool look_up, struct why *why);
void local_close(struct local *local);
/* ERR_ENV where memory is short, ERR_MALFORMED for what is no store path. Free it in any case. */
enum err local_path_load(const struct trust *trust, const struct nixdb_info *info, struct local_path *out, struct why *why);
/* Which of n keys signed it, by the database's signatures. */
void local_signed_by(const struct nixdb_info *info, const struct local_path *path, const struct nix_key *keys, size_t n, bool *by);
void local_path_free(struct local_path *path);
/* ERR_ENV where memory is short. Free the verdict in any case. */
enum err local_judge(struct local *local, const struct nixdb_info *info, struct local_verdict *out, struct why *why);
/* The database's word for a path as a narinfo of no URL: its signatures and content address are still to be verified. */
enum err local_narinfo(const struct nixdb_info *info, struct buf *out, struct why *why);
void local_verdict_free(struct local_verdict *verdict);

#endif
