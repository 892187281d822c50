/*
 * Where proofs come from: the client's own store (STATE/proofs/<hash part>.tlog-proof), a cache's sidecar, the log.
 */
#ifndef STELE_CLIENT_PROOFS_H
#define STELE_CLIENT_PROOFS_H

#include "client/config.h"
#include "lib/proof.h"
#include "lib/sys/http_client.h"

/* Appends the own store's bundle for a hash part; nothing where there is none. */
enum err proofs_own(const struct client_config *config, struct span hash_part, struct buf *bundles, struct why *why);
/* Puts one proof into the own store, in place of an older one of the same origin and index. Durable. */
enum err proofs_keep(const struct client_config *config, struct span hash_part, const struct proof *proof, struct why *why);
/* Appends a cache's sidecar, BASE_URL/<hash part>.tlog-proof; nothing where it has none (404 or 403). */
enum err proofs_sidecar(struct http_client *client, const char *base_url, struct span hash_part, struct buf *bundles,
                        struct why *why);
/* Appends what log number `log` of the policy answers to GET /output/<hash part>; nothing where it has none or no URL. */
enum err proofs_log(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                    struct span hash_part, struct buf *bundles, struct why *why);
/* The base URL of that log, without a final slash: `log` of the configuration, else the policy's; false where there is none. */
bool proofs_log_url(const struct client_config *config, const struct policy *policy, size_t log, struct span *url);

#endif
