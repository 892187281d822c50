#include "client/gate_signer.h"

#include <stdlib.h>

#include "lib/sys/key.h"
#include "lib/wire.h"

struct gate_signer {
    struct child *child;
    char *public_key;
};

/* The child's side. */
struct gate_signer_state {
    const struct client_config *config;
    const char *dir;
    struct judge judge;
    struct evidence_heads heads; /* checkpoints that were verified: a closure's proofs share them */
    struct nix_secret_key *key;
};

enum { SOURCES_MAX = 64, HEADS_KEPT_MAX = 256, FLAG_PASSES = 1, FLAG_BY_WARNING = 2 };

static enum err start(void *ctx, struct buf *hello, struct why *why)
{
    struct gate_signer_state *state = ctx;
    if (state->config->signing_key_file == NULL)
        return fail(why, ERR_ENV,
                    "no `signing-key` in the configuration: make one with "
                    "`nix-store --generate-binary-cache-key NAME SECRET PUBLIC` and name SECRET there");
    enum err err = nix_secret_key_load(&state->key, state->config->signing_key_file, why);
    if (err == OK)
        err = client_policy_load(state->config, &state->judge.policy, why);
    if (err == OK)
        err = client_trust_load(state->config, &state->judge.trust, why);
    if (err != OK)
        return err;
    state->judge.warn = state->config->warn;
    struct nix_key key = nix_secret_key_public(state->key);
    buf_span(hello, key.name);
    buf_byte(hello, ':');
    base64_encode(hello, span_of(key.key, sizeof key.key));
    return buf_done(hello, why);
}

void gate_nar_url(struct buf *out, struct span hash_part, const struct hash *nar_hash)
{
    buf_str(out, "nar/");
    buf_span(out, hash_part);
    buf_byte(out, '-');
    nix32_encode(out, span_of(nar_hash->b, sizeof nar_hash->b));
    buf_str(out, ".nar");
}

/* The narinfo that the gate vouches for: the attested deriver, its own URL, no compression, its own signature first, and
 * beside it the upstream signatures that verified under a `cache` line. */
static enum err render(struct gate_signer_state *state, const struct judge_verdict *verdict, struct buf *out, struct why *why)
{
    struct buf url = BUF_EMPTY, fingerprint = BUF_EMPTY;
    struct nix_sig sigs[NARINFO_SIGS_MAX + 1];
    struct narinfo info = verdict->info;
    size_t n = 0;
    enum err err = OK;
    if (verdict->sign) {
        narinfo_fingerprint(&fingerprint, &info);
        err = buf_done(&fingerprint, why);
        if (err == OK)
            err = nix_secret_key_sign(state->key, span_buf(&fingerprint), &sigs[n++], why);
    }
    for (size_t i = 0; i < verdict->sigs_n; i++)
        sigs[n++] = verdict->sigs[i];
    gate_nar_url(&url, info.path.hash_part, &info.nar_hash);
    info.url = span_buf(&url);
    info.compression = span_str("none");
    info.deriver = verdict->deriver;
    info.sigs = sigs;
    info.sigs_n = n;
    if (err == OK)
        err = buf_done(&url, why);
    if (err == OK)
        narinfo_render(out, &info);
    buf_free(&url);
    buf_free(&fingerprint);
    return err == OK ? buf_done(out, why) : err;
}

static enum err answer(struct gate_signer_state *state, const struct judge_verdict *verdict, struct buf *reply, struct why *why)
{
    struct buf narinfo = BUF_EMPTY, summary = BUF_EMPTY, proofs = BUF_EMPTY;
    enum err err = verdict->passes ? render(state, verdict, &narinfo, why) : OK;
    judge_summary(&summary, &state->judge, verdict);
    for (size_t i = 0; verdict->counts != NULL && i < verdict->evidence.n; i++)
        if (verdict->counts[i])
            buf_add(&proofs, verdict->evidence.items[i]->proof_text, verdict->evidence.items[i]->proof_len);
    if (err == OK) {
        wire_put_u64(reply, (verdict->passes ? FLAG_PASSES : 0) | (verdict->by_warning ? FLAG_BY_WARNING : 0));
        wire_put(reply, span_of(verdict->info.nar_hash.b, 32));
        wire_put_u64(reply, verdict->info.nar_size);
        wire_put(reply, span_str(verdict->why.text));
        wire_put(reply, span_buf(&verdict->tree));
        wire_put(reply, span_buf(&summary));
        wire_put(reply, span_buf(&narinfo));
        wire_put(reply, span_buf(&proofs));
        err = narinfo.failed || summary.failed || proofs.failed ? fail(why, ERR_ENV, "out of memory") : buf_done(reply, why);
    }
    buf_free(&narinfo);
    buf_free(&summary);
    buf_free(&proofs);
    return err;
}

static enum err serve(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    struct gate_signer_state *state = ctx;
    struct judge_source sources[SOURCES_MAX];
    char *names[SOURCES_MAX];
    struct judge_question question = { .dir = span_str(state->dir), .sources = sources, .heads = &state->heads };
    uint64_t looked_up = 0, n = 0, i = 0;
    enum err err = OK;
    struct judge_verdict verdict = { 0 };
    if (!wire_take(&request, &question.narinfo) || !wire_take(&request, &question.hash_part) ||
        !wire_take_u64(&request, &looked_up) || !wire_take_u64(&request, &n) || n > SOURCES_MAX)
        return fail(why, ERR_MALFORMED, "a request to the gate's signer is cut");
    for (; i < n && err == OK; i++) {
        struct span name;
        if (!wire_take(&request, &name) || !wire_take(&request, &sources[i].bundles))
            err = fail(why, ERR_MALFORMED, "a request to the gate's signer is cut");
        else if ((sources[i].name = names[i] = span_dup_str(name)) == NULL)
            err = fail(why, ERR_ENV, "out of memory");
        if (err != OK)
            break;
    }
    question.looked_up = looked_up != 0;
    question.n = n;
    if (err == OK)
        err = judge_narinfo(&state->judge, &question, &verdict, why);
    if (err == OK)
        err = answer(state, &verdict, reply, why);
    judge_verdict_free(&verdict);
    evidence_heads_trim(&state->heads, HEADS_KEPT_MAX);
    while (i > 0)
        free(names[--i]);
    return err;
}

enum err gate_signer_start(struct gate_signer **out, const struct client_config *config, const char *dir, struct why *why)
{
    struct gate_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return fail(why, ERR_ENV, "out of memory");
    struct gate_signer_state state = { .config = config, .dir = dir };
    struct child_role role = { .name = "stele gate: signer", .start = start, .serve = serve, .ctx = &state };
    struct buf hello = BUF_EMPTY;
    enum err err = child_start(&signer->child, &role, &hello, why);
    if (err == OK && (signer->public_key = span_dup_str(span_buf(&hello))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    buf_free(&hello);
    if (err != OK) {
        gate_signer_stop(signer);
        return err;
    }
    *out = signer;
    return OK;
}

void gate_signer_stop(struct gate_signer *signer)
{
    if (signer == NULL)
        return;
    if (signer->child != NULL)
        child_stop(signer->child);
    free(signer->public_key);
    free(signer);
}

const char *gate_signer_public_key(const struct gate_signer *signer)
{
    return signer->public_key;
}

static bool take_answer(struct span rest, struct gate_answer *out)
{
    uint64_t flags;
    struct span hash;
    if (!wire_take_u64(&rest, &flags) || !wire_take(&rest, &hash) || hash.len != sizeof out->nar_hash.b ||
        !wire_take_u64(&rest, &out->nar_size) || !wire_take(&rest, &out->why) || !wire_take(&rest, &out->tree) ||
        !wire_take(&rest, &out->summary) || !wire_take(&rest, &out->narinfo) || !wire_take(&rest, &out->proofs))
        return false;
    memcpy(out->nar_hash.b, hash.data, hash.len);
    out->passes = flags & FLAG_PASSES;
    out->by_warning = flags & FLAG_BY_WARNING;
    return true;
}

enum err gate_signer_judge(struct gate_signer *signer, const struct judge_question *question, struct gate_answer *out,
                           struct why *why)
{
    *out = (struct gate_answer){ 0 };
    struct buf request = BUF_EMPTY;
    wire_put(&request, question->narinfo);
    wire_put(&request, question->hash_part);
    wire_put_u64(&request, question->looked_up);
    wire_put_u64(&request, question->n);
    for (size_t i = 0; i < question->n; i++) {
        wire_put(&request, span_str(question->sources[i].name));
        wire_put(&request, question->sources[i].bundles);
    }
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(signer->child, span_buf(&request), &out->storage, why);
    if (err == OK && !take_answer(span_buf(&out->storage), out))
        err = fail(why, ERR_ENV, "the gate's signer gave a cut answer");
    buf_free(&request);
    return err;
}

void gate_answer_free(struct gate_answer *answer)
{
    buf_free(&answer->storage);
}
