#include "client/local.h"

#include <stdlib.h>

#include "client/memory.h"
#include "lib/sys/key.h"

enum err local_open(struct local *out, const char *config_file, const char *root, bool look_up, struct why *why)
{
    *out = (struct local){ 0 };
    enum err err = key_system_start(why);
    if (err == OK)
        err = client_config_load(&out->config, config_file, why);
    if (err == OK)
        err = client_policy_load(&out->config, &out->policy, why);
    if (err == OK)
        err = client_trust_load(&out->config, &out->trust, why);
    if (err == OK)
        err = nix_env_load(&out->env, root, why);
    if (err == OK)
        err = nixdb_open(&out->db, &out->env, why);
    if (err == OK)
        err = http_client_system_start(why);
    if (err == OK && look_up)
        err = http_client_new(&out->client, &(struct http_client_config){ .netrc_file = out->config.netrc_file }, why);
    return err;
}

void local_close(struct local *local)
{
    http_client_free(local->client);
    nixdb_close(local->db);
    nix_env_free(&local->env);
    trust_free(&local->trust);
    policy_free(&local->policy);
    client_config_free(&local->config);
}

/* The database's references as base names, and the references without the path itself for its content address. */
struct reference_lists {
    struct span *bases, *others;
    size_t bases_n, others_n;
    bool self;
};

static enum err split_references(const struct nixdb_info *info, struct reference_lists *out, struct why *why)
{
    *out = (struct reference_lists){ .bases = calloc(info->references_n + 1, sizeof *out->bases),
                                     .others = calloc(info->references_n + 1, sizeof *out->others) };
    if (out->bases == NULL || out->others == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < info->references_n; i++) {
        const char *slash = strrchr(info->references[i], '/');
        out->bases[out->bases_n++] = span_str(slash == NULL ? info->references[i] : slash + 1);
        if (strcmp(info->references[i], info->path) == 0)
            out->self = true;
        else
            out->others[out->others_n++] = span_str(info->references[i]);
    }
    return OK;
}

static bool address_fits(const struct nixdb_info *info, const struct storepath *path, const struct reference_lists *lists)
{
    struct buf made = BUF_EMPTY;
    bool fits = info->ca != NULL &&
                storepath_from_ca(&made, path->dir, path->name, span_str(info->ca), lists->others, lists->others_n, lists->self,
                                  NULL) == OK &&
                span_eq(span_buf(&made), path->path);
    buf_free(&made);
    return fits;
}

/* Which `cache` lines' keys signed the path, by the signatures in the database. */
static void check_signatures(const struct local *local, const struct nixdb_info *info, const struct storepath *path,
                             const struct reference_lists *lists, bool *cache_signed)
{
    struct nix_key keys[TRUST_BUILDERS_MAX];
    uint32_t parties[TRUST_BUILDERS_MAX];
    struct nix_sig sig;
    bool by[TRUST_BUILDERS_MAX];
    size_t n = trust_cache_keys(&local->trust, keys, parties, TRUST_BUILDERS_MAX);
    struct narinfo narinfo = {
        .path = *path,
        .nar_hash = info->nar_hash,
        .nar_size = info->nar_size,
        .references = lists->bases,
        .references_n = lists->bases_n,
        .sigs = &sig,
        .sigs_n = 1,
    };
    struct span rest = span_str(info->sigs == NULL ? "" : info->sigs), word;
    while (n > 0 && span_word(&rest, &word)) {
        ptrdiff_t colon = span_find(word, ':');
        if (colon <= 0 ||
            !base64_decode_to(span_cut(word, (size_t)colon + 1, word.len - (size_t)colon - 1), sig.sig, sizeof sig.sig))
            continue;
        sig.name = span_cut(word, 0, (size_t)colon);
        narinfo_verify(&narinfo, keys, n, by);
        for (size_t i = 0; i < n; i++)
            cache_signed[parties[i]] |= by[i];
    }
}

static enum err find_evidence(struct local *local, const struct storepath *path, struct local_verdict *out, bool *looked_up,
                              struct why *why)
{
    struct gathered gathered = { 0 };
    enum err err = gather_near(&gathered, local->client, &local->config, NULL, path->hash_part, why);
    if (err == OK && local->client != NULL)
        err = gather_logs(&gathered, local->client, &local->config, &local->policy, path->hash_part, why);
    for (size_t i = 0; i < gathered.n && err == OK; i++)
        err = evidence_add(&out->evidence, gathered.sources[i].bundles, gathered.sources[i].name, &local->policy, path, why);
    memory_show(&local->config, &out->evidence.own_heads, &out->evidence);
    buf_span(&out->troubles, span_buf(&gathered.troubles));
    *looked_up = gathered.looked_up;
    gathered_free(&gathered);
    return err == OK ? buf_done(&out->troubles, why) : err;
}

static enum err weigh(struct local *local, const struct trust_path *path, struct local_verdict *out, struct why *why)
{
    struct trust_evidence *evidence = NULL;
    enum trust_reason *reasons = NULL;
    size_t n;
    enum err err = evidence_for_trust(&out->evidence, &evidence, &n, NULL, why);
    if (err == OK && (reasons = calloc(n + 1, sizeof *reasons)) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = trust_judge(&local->trust, path, evidence, n, local->inputs.attested != NULL ? &local->inputs : NULL, reasons,
                          &out->result, why);
    for (size_t i = 0; i < n && err == OK; i++)
        out->contradicted |= (reasons[i] == OTHER_BYTES || reasons[i] == OTHER_REFERENCES) && out->result.verdict == TRUST_REFUSED;
    free(evidence);
    free(reasons);
    return err;
}

enum err local_judge(struct local *local, const struct nixdb_info *info, struct local_verdict *out, struct why *why)
{
    struct reference_lists lists = { 0 };
    struct trust_path path = { .nar_hash = info->nar_hash, .nar_size = info->nar_size };
    bool cache_signed[TRUST_BUILDERS_MAX] = { false };
    *out = (struct local_verdict){ .result.verdict = TRUST_REFUSED };
    enum err err = storepath_parse(&path.path, span_str(info->path), why);
    if (err == OK)
        err = split_references(info, &lists, why);
    if (err == OK) {
        path.references_digest = references_digest(lists.bases, lists.bases_n);
        path.content_addressed = out->content_addressed = address_fits(info, &path.path, &lists);
        path.cache_signed = cache_signed;
        check_signatures(local, info, &path.path, &lists, cache_signed);
        err = find_evidence(local, &path.path, out, &path.looked_up, why);
    }
    if (err == OK)
        err = weigh(local, &path, out, why);
    free(lists.bases);
    free(lists.others);
    return err;
}

void local_verdict_free(struct local_verdict *verdict)
{
    evidence_free(&verdict->evidence);
    buf_free(&verdict->troubles);
}
