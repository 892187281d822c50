#include "client/look_up.h"

#include "client/memory.h"
#include "lib/sys/clock.h"

enum err look_up(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                 struct span hash_part, struct span builders, struct buf *bundles, struct why *why)
{
    enum err err = memory_ask(config, policy, log, client, why);
    uint64_t from_ms = clock_monotonic_ms();
    if (err != OK)
        return err;
    err = proofs_log(client, config, policy, log, hash_part, builders, bundles, why);
    if (err == ERR_ENV)
        memory_silent(policy, log, from_ms, why);
    return err;
}

enum err look_up_many(struct http_client *client, const struct client_config *config, const struct policy *policy, size_t log,
                      const struct proofs_asked *asked, const struct proofs_taker *taker, struct why *why)
{
    enum err err = memory_ask(config, policy, log, client, why);
    uint64_t from_ms = clock_monotonic_ms();
    if (err != OK)
        return err;
    err = proofs_log_many(client, config, policy, log, asked, taker, why);
    if (err == ERR_ENV)
        memory_silent(policy, log, from_ms, why);
    return err;
}
