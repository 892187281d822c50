/*
 * Where proofs come from: the client's own store (STATE/proofs/<hash part>.tlog-proof), a cache's sidecar, the log.
 */
#ifndef STELE_CLIENT_PROOFS_H
#define STELE_CLIENT_PROOFS_H

#include "client/config.h"
#include "lib/proof.h"
#include "lib/sys/http_client.h"
#include "lib/trust.h"

/* Appends the own store's bundle for a hash part; nothing where there is none. */
enum err proofs_own(const struct client_config *config, struct span hash_part, struct buf *bundles, struct why *why);
/* Is there any? */
bool proofs_has(const struct client_config *config, struct span hash_part);
/* Puts one proof into the own store, in place of an older one of the same origin and index. `durable`: written and synced anew also
 * where the store has it already. */
enum err proofs_keep(const struct client_config *config, struct span hash_part, const struct proof *proof, bool durable,
                     struct why *why);
/* The same, but where it is the first of its hash part not durable, nor whole, before proofs_sync (client/proofs_sync.h): what is
 * found in part until then is no proof, and put again it takes the place of that. Not for two threads with one hash part, and
 * after proofs_make, which makes the folder. */
enum err proofs_make(const struct client_config *config, struct why *why);
enum err proofs_put(const struct client_config *config, struct span hash_part, const struct proof *proof, struct why *why);
/* Appends a cache's sidecar, BASE_URL/<hash part>.tlog-proof; nothing where it has none (404 or 403). */
enum err proofs_sidecar(struct http_client *client, const char *base_url, struct span hash_part, struct buf *bundles,
                        struct why *why);
/* The two halves of it, for who asks for it together with something else: its URL, NUL included, and what the answer held. */
void proofs_sidecar_url(struct buf *out, const char *base_url, struct span hash_part);
enum err proofs_take(const struct http_response *response, const char *url, struct buf *bundles, struct why *why);
/* Lines "builder HEX" for every builder of the trust file, as POST /outputs takes them. */
void proofs_builders(struct buf *out, const struct trust *trust);
/* Appends what log number `log` of the policy answers to GET /output/<hash part>; nothing where it has none or no URL. Of
 * `builders`, such lines or none, all that they attested of it (client/proofs_rest.h). ERR_ENV where that cannot be had. */
enum err proofs_log(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                    struct span hash_part, struct span builders, struct buf *bundles, struct why *why);
/* Many at once: POST /outputs to that log, as often as its answers are cut (spec/log.md). `take` gets each answer's bundles, maybe
 * none, and the hash parts that it answers for; an error of it ends all. ERR_ENV too where the log gives no answer. A hash part of
 * which it does not give all that is wanted of `builders` is not among those, and takes no other with it: `missed` is told of it
 * and why; where that is NULL, it is an ERR_ENV in the end. Of anybody what is missing is told on stderr: no one of them shall
 * keep the others' from who asks. Nothing is asked where it has no URL: then `take` is not called. */
struct proofs_asked {
    struct span hash_parts; /* lines, at most 10,000 */
    struct span builders;   /* lines of whom all is wanted, as above; may be empty, or PROOFS_OF_ANYBODY (client/proofs_rest.h) */
    bool alone;             /* and nothing of anybody else */
};
struct proofs_taker {
    enum err (*take)(void *ctx, struct span hash_parts, struct span bundles, struct why *why);
    void (*missed)(void *ctx, struct span hash_part, const struct why *why);
    void *ctx;
};
enum err proofs_log_many(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                         const struct proofs_asked *asked, const struct proofs_taker *taker, struct why *why);
/* The base URL of that log, without a final slash: `log` of the configuration, else the policy's; false where there is none. */
bool proofs_log_url(const struct client_config *config, const struct policy *policy, size_t log, struct span *url);

#endif
