#include "client/gate_signer_child.h"

#include <stdlib.h>

#include "client/gate_heads.h"
#include "client/gate_signer.h"
#include "lib/wire.h"

enum { SOURCES_MAX = 64, HEADS_KEPT_MAX = 256 };

enum err gate_signer_child_start(void *ctx, struct buf *hello, struct why *why)
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
    if (state->judge.trust.inputs_attested)
        err = trail_memory_open(&state->trails, state->config, &state->judge.policy, &state->judge.trust, why);
    if (err != OK)
        return err;
    struct nix_key key = nix_secret_key_public(state->key);
    buf_span(hello, key.name);
    buf_byte(hello, ':');
    base64_encode(hello, span_of(key.key, sizeof key.key));
    return buf_done(hello, why);
}

void gate_signer_child_end(void *ctx)
{
    struct gate_signer_state *state = ctx;
    for (size_t i = 0; i < GATE_TRAILS_MAX; i++)
        judge_trail_free(&state->at[i]);
    trail_memory_close(state->trails);
    evidence_heads_free(&state->heads);
    nix_secret_key_free(state->key);
    policy_free(&state->judge.policy);
    trust_free(&state->judge.trust);
    *state = (struct gate_signer_state){ .config = state->config, .dir = state->dir };
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
    struct buf narinfo = BUF_EMPTY, summary = BUF_EMPTY, proofs = BUF_EMPTY, origins = BUF_EMPTY, heads = BUF_EMPTY;
    enum err err = verdict->passes ? render(state, verdict, &narinfo, why) : OK;
    judge_summary(&summary, &state->judge, verdict);
    for (size_t i = 0; verdict->counts != NULL && i < verdict->evidence.n; i++)
        if (verdict->counts[i]) {
            buf_add(&proofs, verdict->evidence.items[i]->proof_text, verdict->evidence.items[i]->proof_len);
            buf_fmt(&origins, "%s\n", verdict->evidence.items[i]->origin);
        }
    for (; state->told < state->heads.n; state->told++)
        gate_heads_put(&heads, state->heads.items[state->told]);
    if (err == OK) {
        bool wants_trail = state->judge.inputs.attested == NULL && verdict->result.trail.text[0] != '\0';
        wire_put_u64(reply, (verdict->passes ? FLAG_PASSES : 0) | (verdict->by_warning ? FLAG_BY_WARNING : 0) |
                                (wants_trail ? FLAG_WANTS_TRAIL : 0));
        wire_put(reply, span_of(verdict->info.nar_hash.b, 32));
        wire_put_u64(reply, verdict->info.nar_size);
        wire_put(reply, span_str(verdict->why.text));
        wire_put(reply, span_buf(&verdict->tree));
        wire_put(reply, span_buf(&summary));
        wire_put(reply, span_buf(&narinfo));
        wire_put(reply, span_buf(&proofs));
        wire_put(reply, span_buf(&origins));
        wire_put(reply, span_buf(&heads));
        bool failed = narinfo.failed || summary.failed || proofs.failed || origins.failed || heads.failed;
        err = failed ? fail(why, ERR_ENV, "out of memory") : buf_done(reply, why);
    }
    buf_free(&narinfo);
    buf_free(&summary);
    buf_free(&proofs);
    buf_free(&origins);
    buf_free(&heads);
    return err;
}

static enum err cut(struct why *why)
{
    return fail(why, ERR_MALFORMED, "a request to the gate's signer is cut");
}

/* Logs that forked, by what the front remembers: from now on nothing in them counts here either. */
static enum err learn_forks(struct gate_signer_state *state, struct span request, struct why *why)
{
    struct policy *policy = &state->judge.policy;
    struct span origins, origin;
    bool news = false;
    if (!wire_take(&request, &origins))
        return cut(why);
    while (span_line(&origins, &origin))
        for (size_t i = 0; i < policy->logs_n; i++)
            if (!policy->logs[i].forked && span_eq(policy->logs[i].key.name, origin))
                news = policy->logs[i].forked = true;
    if (!news)
        return OK;
    /* What was verified or found complete before may rest on them. */
    for (size_t i = 0; i < GATE_TRAILS_MAX; i++)
        judge_trail_free(&state->at[i]);
    evidence_heads_free(&state->heads);
    state->told = 0;
    trail_memory_close(state->trails);
    state->trails = NULL;
    return state->judge.trust.inputs_attested ? trail_memory_open(&state->trails, NULL, NULL, NULL, why) : OK;
}

/* Begins a trail; where none could be begun, no step follows. */
static enum err begin_trail(struct gate_signer_state *state, struct judge_trail *at, struct span request, struct buf *reply,
                            struct why *why)
{
    struct span narinfo;
    if (!wire_take(&request, &narinfo))
        return cut(why);
    enum err err = judge_trail_start(at, &state->judge, state->trails, NULL, narinfo, span_str(state->dir), why);
    wire_put_u64(reply, at->trail != NULL);
    return err;
}

static enum err step_trail(struct gate_signer_state *state, struct trail *trail, struct buf *reply, struct why *why)
{
    struct trail_wants wants;
    struct buf heads = BUF_EMPTY;
    enum err err = trail_step(trail, &wants, why);
    if (err != OK)
        return err;
    trail_heads(trail, &heads);
    if (state->trails != NULL && wants.state != TRAIL_WANTS)
        trail_memory_flush(state->trails);
    wire_put_u64(reply, wants.state);
    wire_put(reply, wants.outputs);
    wire_put(reply, wants.lists);
    wire_put(reply, wants.infos);
    wire_put(reply, span_buf(&heads));
    err = heads.failed ? fail(why, ERR_ENV, "out of memory") : buf_done(reply, why);
    buf_free(&heads);
    return err;
}

/* A step for which the proofs of the path itself that were fed are all there are, with what is remembered of its inputs. */
static enum err recall_trail(struct gate_signer_state *state, const struct judge_trail *at, struct buf *reply, struct why *why)
{
    char line[HASH_PART_LEN + 1];
    memcpy(line, at->info.path.hash_part.data, HASH_PART_LEN);
    line[HASH_PART_LEN] = '\n';
    enum err err = trail_feed_proofs(at->trail, span_of(line, sizeof line), span_str(""), "", why);
    if (err == OK)
        err = trail_absorb(at->trail, why);
    return err == OK ? step_trail(state, at->trail, reply, why) : err;
}

static enum err feed_trail(struct trail *trail, uint64_t op, struct span request, struct why *why)
{
    struct span first, second, source;
    if (!wire_take(&request, &first) || !wire_take(&request, &second) || !wire_take(&request, &source))
        return cut(why);
    char *name = span_dup_str(source);
    enum err err = name == NULL      ? fail(why, ERR_ENV, "out of memory")
                   : op == OP_PROOFS ? trail_feed_proofs(trail, first, second, name, why)
                   : op == OP_LIST   ? trail_feed_list(trail, first, second, why)
                                     : trail_feed_info(trail, first, second, why);
    free(name);
    return err;
}

static enum err judge(struct gate_signer_state *state, struct judge_trail *at, struct span request, struct buf *reply,
                      struct why *why)
{
    struct judge_source sources[SOURCES_MAX];
    char *names[SOURCES_MAX];
    struct judge_question question = { .dir = span_str(state->dir), .sources = sources, .heads = &state->heads };
    uint64_t looked_up = 0, tell_again = 0, n = 0, i = 0;
    enum err err = OK;
    struct judge_verdict verdict = { 0 };
    if (!wire_take(&request, &question.narinfo) || !wire_take(&request, &question.hash_part) ||
        !wire_take_u64(&request, &looked_up) || !wire_take_u64(&request, &tell_again) || !wire_take_u64(&request, &n) ||
        n > SOURCES_MAX)
        return cut(why);
    if (tell_again)
        state->told = 0;
    state->judge.inputs = at != NULL ? judge_trail_inputs(at, question.narinfo) : (struct trust_inputs){ NULL, NULL };
    for (; i < n && err == OK; i++) {
        struct span name;
        if (!wire_take(&request, &name) || !wire_take(&request, &sources[i].bundles))
            err = cut(why);
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
    if (at != NULL)
        judge_trail_free(at);
    evidence_heads_trim(&state->heads, HEADS_KEPT_MAX);
    if (state->told > state->heads.n)
        state->told = 0;
    while (i > 0)
        free(names[--i]);
    return err;
}

enum err gate_signer_child_serve(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    struct gate_signer_state *state = ctx;
    uint64_t number;
    if (!wire_take_u64(&request, &number))
        return cut(why);
    uint64_t op = number % OPS, place = number / OPS;
    if (place >= GATE_TRAILS_MAX + (op == OP_JUDGE))
        return cut(why);
    struct judge_trail *at = place == NO_TRAIL ? NULL : &state->at[place];
    if (op == OP_FORKED)
        return learn_forks(state, request, why);
    if (op == OP_JUDGE)
        return judge(state, at, request, reply, why);
    if (op == OP_TRAIL)
        return begin_trail(state, at, request, reply, why);
    if (at->trail == NULL)
        return fail(why, ERR_MALFORMED, "the gate's signer was asked about a trail that was not begun, or that a fork ended");
    if (op == OP_RECALL)
        return recall_trail(state, at, reply, why);
    if (op == OP_STEP)
        return step_trail(state, at->trail, reply, why);
    if (op == OP_NOT_ASKED) {
        trail_not_asked(at->trail);
        return OK;
    }
    return feed_trail(at->trail, op, request, why);
}
