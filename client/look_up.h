/*
 * What a log has about store paths, once what it shows of itself is right (client/memory.h). One that gives no answer is left alone
 * for as long as it was waited for: who asks it often, as an audit or a trail does, does not wait for it each time.
 */
#ifndef STELE_CLIENT_LOOK_UP_H
#define STELE_CLIENT_LOOK_UP_H

#include "client/proofs.h"

/* As proofs_log and proofs_log_many; also what memory_ask may say, and ERR_ENV at once while the log is left alone. */
enum err look_up(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                 struct span hash_part, struct span builders, struct buf *bundles, struct why *why);
enum err look_up_many(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                      const struct proofs_asked *asked, const struct proofs_taker *taker, struct why *why);

#endif
