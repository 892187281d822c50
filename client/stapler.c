#include "client/stapler.h"

#include "client/proofs.h"
#include "client/proofs_rest.h"
#include "lib/sys/key.h"

enum err stapler_open(struct stapler *out, const char *config_file, struct why *why)
{
    *out = (struct stapler){ 0 };
    enum err err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&out->config, config_file, why);
    if (err == OK)
        err = client_policy_load(&out->config, &out->policy, why);
    if (err == OK && out->config.trust_file != NULL) {
        err = client_trust_load(&out->config, &out->trust_file, why);
        out->trust = &out->trust_file;
        proofs_builders(&out->builders, &out->trust_file);
    }
    if (err == OK)
        err = buf_done(&out->builders, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK)
        err = http_client_new(&out->client, &(struct http_client_config){ .netrc_file = out->config.netrc_file }, why);
    return err;
}

void stapler_close(struct stapler *stapler)
{
    http_client_free(stapler->client);
    evidence_heads_free(&stapler->heads);
    trust_free(&stapler->trust_file);
    buf_free(&stapler->builders);
    policy_free(&stapler->policy);
    client_config_free(&stapler->config);
}

struct span stapler_builders(const struct stapler *stapler)
{
    return stapler->trust != NULL ? span_buf(&stapler->builders) : PROOFS_OF_ANYBODY;
}
