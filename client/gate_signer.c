#include "client/gate_signer.h"

#include <stdlib.h>

#include <pthread.h>

#include "client/gate_heads.h"
#include "client/judge_trail.h"
#include "client/trail_follow.h"
#include "client/trail_memory.h"
#include "lib/sys/key.h"
#include "lib/wire.h"

/* The child's side. */
struct gate_signer_state {
    const struct client_config *config;
    const char *dir;
    struct judge judge;
    struct evidence_heads heads; /* checkpoints that were verified: a closure's proofs share them */
    size_t told;                 /* so many of them the front knows */
    struct nix_secret_key *key;
    struct trail_memory *trails; /* where `inputs attested` holds */
    struct judge_trail trail;    /* of the path asked about last */
};

struct gate_signer {
    struct child *child;
    char *public_key;
    const struct client_config *config;
    pthread_mutex_t following; /* one trail at a time */
    struct buf wants;          /* of its last step */
    pthread_mutex_t judging;   /* no verdict is used before the heads of those before it are remembered */
    bool tell_again;           /* a head could not be */
    struct gate_signer_state state;
};

/* What the front asks. Requests begin with one of these; all but OP_JUDGE are of the trail that OP_TRAIL began. */
enum { OP_JUDGE, OP_TRAIL, OP_STEP, OP_PROOFS, OP_LIST, OP_INFO, OP_NOT_ASKED };

enum { SOURCES_MAX = 64, HEADS_KEPT_MAX = 256, FLAG_PASSES = 1, FLAG_BY_WARNING = 2, FLAG_WANTS_TRAIL = 4 };

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

static void end(void *ctx)
{
    struct gate_signer_state *state = ctx;
    judge_trail_free(&state->trail);
    trail_memory_close(state->trails);
    evidence_heads_free(&state->heads);
    nix_secret_key_free(state->key);
    policy_free(&state->judge.policy);
    trust_free(&state->judge.trust);
    *state = (struct gate_signer_state){ .config = state->config, .dir = state->dir };
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
    struct buf narinfo = BUF_EMPTY, summary = BUF_EMPTY, proofs = BUF_EMPTY, origins = BUF_EMPTY, heads = BUF_EMPTY;
    enum err err = verdict->passes ? render(state, verdict, &narinfo, why) : OK;
    judge_summary(&summary, &state->judge, verdict);
    for (size_t i = 0; verdict->counts != NULL && i < verdict->evidence.n; i++)
        if (verdict->counts[i]) {
            buf_add(&proofs, verdict->evidence.items[i]->proof_text, verdict->evidence.items[i]->proof_len);
            buf_fmt(&origins, "%s\n", verdict->evidence.items[i]->origin);
        }
    gate_heads_put(&heads, &state->heads, state->told);
    state->told = state->heads.n;
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

/* Begins a trail; where none could be begun, no step follows. */
static enum err begin_trail(struct gate_signer_state *state, struct span request, struct buf *reply, struct why *why)
{
    struct span narinfo;
    if (!wire_take(&request, &narinfo))
        return cut(why);
    enum err err = judge_trail_start(&state->trail, &state->judge, state->trails, narinfo, span_str(state->dir), why);
    wire_put_u64(reply, state->trail.trail != NULL);
    return err;
}

static enum err step_trail(struct gate_signer_state *state, struct buf *reply, struct why *why)
{
    struct trail_wants wants;
    enum err err = trail_step(state->trail.trail, &wants, why);
    if (err != OK)
        return err;
    if (state->trails != NULL && wants.state != TRAIL_WANTS)
        trail_memory_flush(state->trails);
    wire_put_u64(reply, wants.state);
    wire_put(reply, wants.outputs);
    wire_put(reply, wants.lists);
    wire_put(reply, wants.infos);
    return buf_done(reply, why);
}

static enum err feed_trail(struct gate_signer_state *state, uint64_t op, struct span request, struct why *why)
{
    struct span first, second, source;
    if (!wire_take(&request, &first) || !wire_take(&request, &second) || !wire_take(&request, &source))
        return cut(why);
    char *name = span_dup_str(source);
    enum err err = name == NULL      ? fail(why, ERR_ENV, "out of memory")
                   : op == OP_PROOFS ? trail_feed_proofs(state->trail.trail, first, second, name, why)
                   : op == OP_LIST   ? trail_feed_list(state->trail.trail, first, second, why)
                                     : trail_feed_info(state->trail.trail, first, second, why);
    free(name);
    return err;
}

static enum err judge(struct gate_signer_state *state, struct span request, struct buf *reply, struct why *why)
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
    state->judge.inputs = judge_trail_inputs(&state->trail, question.narinfo);
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
    evidence_heads_trim(&state->heads, HEADS_KEPT_MAX);
    if (state->told > state->heads.n)
        state->told = 0;
    while (i > 0)
        free(names[--i]);
    return err;
}

static enum err serve(void *ctx, struct span request, struct buf *reply, struct why *why)
{
    struct gate_signer_state *state = ctx;
    uint64_t op;
    if (!wire_take_u64(&request, &op) || op > OP_NOT_ASKED)
        return cut(why);
    if (op == OP_JUDGE)
        return judge(state, request, reply, why);
    if (op == OP_TRAIL)
        return begin_trail(state, request, reply, why);
    if (state->trail.trail == NULL)
        return fail(why, ERR_MALFORMED, "the gate's signer was asked about a trail that was not begun");
    if (op == OP_STEP)
        return step_trail(state, reply, why);
    if (op == OP_NOT_ASKED) {
        trail_not_asked(state->trail.trail);
        return OK;
    }
    return feed_trail(state, op, request, why);
}

enum err gate_signer_start(struct gate_signer **out, const struct client_config *config, const char *dir, struct why *why)
{
    struct gate_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return fail(why, ERR_ENV, "out of memory");
    signer->config = config;
    pthread_mutex_init(&signer->following, NULL);
    pthread_mutex_init(&signer->judging, NULL);
    signer->state = (struct gate_signer_state){ .config = config, .dir = dir };
    struct child_role role = { .name = "stele gate: signer", .start = start, .serve = serve, .end = end, .ctx = &signer->state };
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
    pthread_mutex_destroy(&signer->following);
    buf_free(&signer->wants);
    pthread_mutex_destroy(&signer->judging);
    free(signer->public_key);
    free(signer);
}

enum err gate_signer_lives(const struct gate_signer *signer, struct why *why)
{
    return child_lives(signer->child, why);
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
        !wire_take(&rest, &out->summary) || !wire_take(&rest, &out->narinfo) || !wire_take(&rest, &out->proofs) ||
        !wire_take(&rest, &out->origins) || !wire_take(&rest, &out->heads))
        return false;
    memcpy(out->nar_hash.b, hash.data, hash.len);
    out->passes = flags & FLAG_PASSES;
    out->by_warning = flags & FLAG_BY_WARNING;
    out->wants_trail = flags & FLAG_WANTS_TRAIL;
    return true;
}

/* One question to the signer, and the heads that it met into the memory before the next one is asked. */
static enum err ask_to_judge(struct gate_signer *signer, const struct judge_question *question, struct gate_answer *out,
                             struct why *why)
{
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, OP_JUDGE);
    wire_put(&request, question->narinfo);
    wire_put(&request, question->hash_part);
    wire_put_u64(&request, question->looked_up);
    wire_put_u64(&request, signer->tell_again);
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
    if (err == OK)
        signer->tell_again = !gate_heads_show(signer->config, out->heads);
    buf_free(&request);
    return err;
}

enum err gate_signer_judge(struct gate_signer *signer, const struct judge_question *question, struct gate_answer *out,
                           struct why *why)
{
    *out = (struct gate_answer){ 0 };
    pthread_mutex_lock(&signer->judging);
    enum err err = ask_to_judge(signer, question, out, why);
    pthread_mutex_unlock(&signer->judging);
    return err != OK || !out->passes ? err : gate_heads_check(signer->config, out->origins, why);
}

/* The front's side of a trail: what was fetched goes to the signer. */
static enum err feed(void *ctx, uint64_t op, struct span first, struct span second, const char *source, struct why *why)
{
    struct gate_signer *signer = ctx;
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, op);
    wire_put(&request, first);
    wire_put(&request, second);
    wire_put(&request, span_str(source));
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(signer->child, span_buf(&request), NULL, why);
    buf_free(&request);
    return err;
}

static enum err feed_proofs(void *ctx, struct span asked, struct span bundles, const char *source, struct why *why)
{
    return feed(ctx, OP_PROOFS, asked, bundles, source, why);
}

static enum err feed_list(void *ctx, struct span hex, struct span list, struct why *why)
{
    return feed(ctx, OP_LIST, hex, list, "", why);
}

static enum err feed_info(void *ctx, struct span hash_part, struct span narinfo, struct why *why)
{
    return feed(ctx, OP_INFO, hash_part, narinfo, "", why);
}

static void feed_not_asked(void *ctx)
{
    struct why ignored; /* a signer that died is noticed at the next call */
    feed(ctx, OP_NOT_ASKED, span_str(""), span_str(""), "", &ignored);
}

/* One call whose reply is numbers and spans in `reply`. */
static enum err ask(struct gate_signer *signer, uint64_t op, struct span argument, struct buf *reply, struct why *why)
{
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, op);
    if (op == OP_TRAIL)
        wire_put(&request, argument);
    buf_clear(reply);
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(signer->child, span_buf(&request), reply, why);
    buf_free(&request);
    return err;
}

static enum err step(void *ctx, struct trail_wants *wants, struct why *why)
{
    struct gate_signer *signer = ctx;
    uint64_t state = TRAIL_BROKEN;
    enum err err = ask(signer, OP_STEP, span_str(""), &signer->wants, why);
    struct span rest = span_buf(&signer->wants);
    if (err == OK && (!wire_take_u64(&rest, &state) || !wire_take(&rest, &wants->outputs) || !wire_take(&rest, &wants->lists) ||
                      !wire_take(&rest, &wants->infos)))
        err = fail(why, ERR_ENV, "the gate's signer gave a cut answer");
    wants->state = (enum trail_state)state;
    return err;
}

static enum err follow(struct gate_signer *signer, const struct trail_sources *sources, struct buf *troubles, struct why *why)
{
    const struct trail_elsewhere end = { step, { feed_proofs, feed_list, feed_info, feed_not_asked, signer } };
    enum trail_state state;
    return trail_follow_elsewhere(sources, &end, &state, troubles, why);
}

enum err gate_signer_follow(struct gate_signer *signer, const struct judge_question *question, const struct trail_sources *sources,
                            struct gate_answer *out, struct buf *troubles, struct why *why)
{
    struct buf reply = BUF_EMPTY;
    uint64_t begun = 0;
    pthread_mutex_lock(&signer->following);
    enum err err = ask(signer, OP_TRAIL, question->narinfo, &reply, why);
    struct span rest = span_buf(&reply);
    if (err == OK && !wire_take_u64(&rest, &begun))
        err = fail(why, ERR_ENV, "the gate's signer gave a cut answer");
    for (size_t i = 0; err == OK && begun && i < question->n; i++)
        err = feed_proofs(signer, span_str(""), question->sources[i].bundles, question->sources[i].name, why);
    if (err == OK && begun)
        err = follow(signer, sources, troubles, why);
    if (err == OK)
        err = gate_signer_judge(signer, question, out, why);
    pthread_mutex_unlock(&signer->following);
    buf_free(&reply);
    return err;
}

void gate_answer_free(struct gate_answer *answer)
{
    buf_free(&answer->storage);
}
