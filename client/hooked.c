#include "client/hooked.h"

#include "client/builder_state.h"
#include "client/built.h"
#include "client/rebuild.h"
#include "client/ticket.h"

static enum err put(const struct client_config *config, const struct build *build, const struct attestation *attestation,
                    struct why *why)
{
    for (size_t i = 0; i < attestation->subjects_n; i++)
        if (outbox_skips(config, attestation->subjects[i]))
            return OK;
    return attestation->postponed ? ticket_put(config, build, attestation, why)
                                  : outbox_put(config, build->drv_path, attestation, why);
}

enum err hooked_attest(const struct client_config *config, const struct secret_key *key, const struct hooked *hooked,
                       enum build_refusal *refusal, struct why *why)
{
    struct attestation attestation = { 0 };
    struct nix_env env = { 0 };
    struct nixdb *db = NULL;
    *refusal = REFUSAL_NONE;
    enum err err = nix_env_load(&env, NULL, why);
    if (err == OK)
        err = nixdb_open(&db, &env, why);
    if (err == OK)
        err = nixdb_freeze(db, why);
    if (err == OK)
        err = builder_state_start(config, why);
    struct build build = {
        .db = db,
        .env = &env,
        .key = key,
        .claim = hooked->check != NULL ? CLAIM_REBUILD : CLAIM_BUILD,
        .drv_path = hooked->drv_path,
        .outputs = hooked->outputs,
        .outputs_n = hooked->outputs_n,
        .pass_over = true,
        .sandbox = hooked->sandbox,
        .hash_bytes_max = config->hook_hash_max_bytes,
    };
    if (err == OK) {
        err = hooked->check != NULL ? rebuild_attest(&build, hooked->check, &attestation, why)
                                    : build_attest(&build, &attestation, why);
        *refusal = attestation.refusal;
    }
    if (err == OK)
        err = put(config, &build, &attestation, why);
    if (err != OK)
        fail_in(why, err, "%s is not attested", hooked->drv_path);
    else
        err = built_add(config, &attestation, why);
    attestation_free(&attestation);
    nixdb_close(db);
    nix_env_free(&env);
    return err;
}
