/*
 * What `stele staple` and `stele proofs` hand proofs on by: the policy that they verify under, whose are wanted first of all, and
 * who asks the logs.
 */
#ifndef STELE_CLIENT_STAPLER_H
#define STELE_CLIENT_STAPLER_H

#include "client/config.h"
#include "client/evidence.h"
#include "lib/sys/http_client.h"

struct stapler {
    struct client_config config;
    struct policy policy;
    const struct trust *trust; /* where the configuration names one: its builders' are wanted first of all */
    struct trust trust_file;
    struct buf builders; /* of it, as proofs_builders has them */
    struct http_client *client;
    struct evidence_heads heads; /* of the sidecars that were met lately */
};

/* `config_file` as for client_config_load. Close it in any case. */
enum err stapler_open(struct stapler *out, const char *config_file, struct why *why);
void stapler_close(struct stapler *stapler);
/* Whose attestations are wanted to the last, for `struct proofs_asked`: whom the trust file names, and anybody where there is
 * none. */
struct span stapler_builders(const struct stapler *stapler);

#endif
