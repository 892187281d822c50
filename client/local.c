#include "client/local.h"

#include <stdlib.h>

#include "client/local_trail.h"
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
    if (err == OK)
        err = http_client_new(&out->client,
                              &(struct http_client_config){ .netrc_file = out->config.netrc_file, .allow_file = true }, why);
    out->look_up = look_up;
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

/* The references without the path itself, for its content address; *self where it is among them. */
static struct span *other_references(const struct nixdb_info *info, size_t *n, bool *self)
{
    struct span *others = calloc(info->references_n + 1, sizeof *others);
    *n = 0;
    *self = false;
    for (size_t i = 0; i < info->references_n && others != NULL; i++)
        if (strcmp(info->references[i], info->path) == 0)
            *self = true;
        else
            others[(*n)++] = span_str(info->references[i]);
    return others;
}

/* Does `ca` give the path, and where it is the hash of a NAR that does not name itself, the NAR hash as well? */
static bool address_fits(const struct nixdb_info *info, const struct storepath *path)
{
    struct buf made = BUF_EMPTY;
    struct span ca = span_str(info->ca == NULL ? "" : info->ca);
    struct content_address address;
    size_t n;
    bool self;
    struct span *others = other_references(info, &n, &self);
    bool fits = others != NULL && content_address_parse(&address, ca) &&
                storepath_from_ca(&made, path->dir, path->name, ca, others, n, self, NULL) == OK &&
                span_eq(span_buf(&made), path->path);
    if (fits && !self && address.recursive && span_is(address.algo, "sha256"))
        fits = memcmp(address.hash, info->nar_hash.b, sizeof info->nar_hash.b) == 0;
    buf_free(&made);
    free(others);
    return fits;
}

/* The next well-formed signature of the database's list. */
static bool next_sig(struct span *rest, struct nix_sig *out)
{
    struct span word;
    while (span_word(rest, &word)) {
        ptrdiff_t colon = span_find(word, ':');
        if (colon > 0 &&
            base64_decode_to(span_cut(word, (size_t)colon + 1, word.len - (size_t)colon - 1), out->sig, sizeof out->sig)) {
            out->name = span_cut(word, 0, (size_t)colon);
            return true;
        }
    }
    return false;
}

void local_signed_by(const struct nixdb_info *info, const struct local_path *path, const struct nix_key *keys, size_t n, bool *by)
{
    struct nix_sig sig;
    bool one[TRUST_BUILDERS_MAX];
    struct narinfo narinfo = {
        .path = path->path.path,
        .nar_hash = info->nar_hash,
        .nar_size = info->nar_size,
        .references = path->references,
        .references_n = path->references_n,
        .sigs = &sig,
        .sigs_n = 1,
    };
    struct span rest = span_str(info->sigs == NULL ? "" : info->sigs);
    while (n > 0 && next_sig(&rest, &sig)) {
        narinfo_verify(&narinfo, keys, n, one);
        for (size_t i = 0; i < n; i++)
            by[i] |= one[i];
    }
}

/* Which `cache` lines' keys signed the path. */
static void check_signatures(const struct trust *trust, const struct nixdb_info *info, struct local_path *out)
{
    struct nix_key keys[TRUST_BUILDERS_MAX];
    uint32_t parties[TRUST_BUILDERS_MAX];
    bool by[TRUST_BUILDERS_MAX] = { false };
    size_t n = trust_cache_keys(trust, keys, parties, TRUST_BUILDERS_MAX);
    if (n > 0 && info->sigs != NULL)
        local_signed_by(info, out, keys, n, by);
    for (size_t i = 0; i < n; i++)
        out->cache_signed[parties[i]] = by[i];
}

static enum err base_names(const struct nixdb_info *info, struct local_path *out, struct why *why)
{
    out->references = calloc(info->references_n + 1, sizeof *out->references);
    if (out->references == NULL)
        return fail(why, ERR_ENV, "out of memory");
    for (size_t i = 0; i < info->references_n; i++) {
        const char *slash = strrchr(info->references[i], '/');
        out->references[out->references_n++] = span_str(slash == NULL ? info->references[i] : slash + 1);
    }
    return OK;
}

enum err local_path_load(const struct trust *trust, const struct nixdb_info *info, struct local_path *out, struct why *why)
{
    *out = (struct local_path){ .path = { .nar_hash = info->nar_hash, .nar_size = info->nar_size } };
    enum err err = storepath_parse(&out->path.path, span_str(info->path), why);
    if (err != OK)
        return fail_in(why, err, "Nix's database has the path %s", info->path);
    err = base_names(info, out, why);
    if (err != OK)
        return err;
    out->path.references_digest = references_digest(out->references, out->references_n);
    out->path.content_addressed = address_fits(info, &out->path.path);
    out->false_address = info->ca != NULL && !out->path.content_addressed;
    check_signatures(trust, info, out);
    out->path.cache_signed = out->cache_signed;
    return OK;
}

void local_path_free(struct local_path *path)
{
    free(path->references);
}

enum err local_narinfo(const struct nixdb_info *info, struct buf *out, struct why *why)
{
    static const struct trust nobody;
    struct local_path path;
    struct nix_sig sigs[NARINFO_SIGS_MAX];
    struct span rest = span_str(info->sigs == NULL ? "" : info->sigs);
    enum err err = local_path_load(&nobody, info, &path, why);
    struct narinfo narinfo = {
        .path = path.path.path,
        .url = span_str("none"),
        .compression = span_str("none"),
        .nar_hash = info->nar_hash,
        .nar_size = info->nar_size,
        .references = path.references,
        .references_n = path.references_n,
        .ca = span_str(info->ca == NULL || path.false_address ? "" : info->ca),
        .sigs = sigs,
    };
    while (narinfo.sigs_n < NARINFO_SIGS_MAX && next_sig(&rest, &sigs[narinfo.sigs_n]))
        narinfo.sigs_n++;
    if (err == OK) {
        narinfo_render(out, &narinfo);
        err = buf_done(out, why);
    }
    local_path_free(&path);
    return err;
}

static enum err find_evidence(struct local *local, const struct storepath *path, struct local_verdict *out, bool *looked_up,
                              struct why *why)
{
    struct gathered gathered = { 0 };
    enum err err = gather_own(&gathered, &local->config, path->hash_part, why);
    if (err == OK && local->look_up)
        err = gather_logs(&gathered, local->client, &local->config, &local->policy, &local->trust, path->hash_part, why);
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
    struct local_trail trail = { .local = local, .path = path, .troubles = &out->troubles };
    struct trust_inputs inputs = local_trail_inputs(&trail);
    struct trust_evidence *evidence = NULL;
    enum trust_reason *reasons = NULL;
    struct span *proofs = calloc(out->evidence.n + 1, sizeof *proofs);
    size_t n;
    enum err err = evidence_for_trust(&out->evidence, &evidence, &n, NULL, why);
    if (err == OK && (proofs == NULL || (reasons = calloc(n + 1, sizeof *reasons)) == NULL))
        err = fail(why, ERR_ENV, "out of memory");
    for (trail.proofs = proofs; err == OK && trail.proofs_n < out->evidence.n; trail.proofs_n++) {
        const struct evidence_item *item = out->evidence.items[trail.proofs_n];
        proofs[trail.proofs_n] = span_of(item->proof_text, item->proof_len);
    }
    if (err == OK)
        err = trust_judge(&local->trust, path, evidence, n, &inputs, reasons, &out->result, why);
    for (size_t i = 0; i < n && err == OK; i++)
        out->contradicted |= (reasons[i] == OTHER_BYTES || reasons[i] == OTHER_REFERENCES) && out->result.verdict == TRUST_REFUSED;
    local_trail_free(&trail);
    free(proofs);
    free(evidence);
    free(reasons);
    return err;
}

enum err local_judge(struct local *local, const struct nixdb_info *info, struct local_verdict *out, struct why *why)
{
    struct local_path path;
    *out = (struct local_verdict){ .result.verdict = TRUST_REFUSED };
    enum err err = local_path_load(&local->trust, info, &path, why);
    out->content_addressed = path.path.content_addressed;
    if (err == OK)
        err = find_evidence(local, &path.path.path, out, &path.path.looked_up, why);
    if (err == OK)
        err = weigh(local, &path.path, out, why);
    local_path_free(&path);
    return err;
}

void local_verdict_free(struct local_verdict *verdict)
{
    evidence_free(&verdict->evidence);
    buf_free(&verdict->troubles);
}
