#include "client/gate_signer.h"

#include <stdlib.h>

#include <pthread.h>

#include "client/gate_heads.h"
#include "client/gate_signer_child.h"
#include "client/memory.h"
#include "client/trail_follow.h"
#include "lib/wire.h"

struct gate_signer {
    struct child *child;
    char *public_key;
    const struct client_config *config;
    struct buf origins;      /* the policy's logs, a line each */
    struct gate_turns turns; /* of the trails */
    pthread_mutex_t judging; /* no verdict is used before the heads of those before it are remembered */
    bool tell_again;         /* a head could not be */
    struct buf forked;       /* the logs that the signer knows to have forked, a line each */
    struct gate_signer_state state;
};

void gate_nar_url(struct buf *out, struct span hash_part, const struct hash *nar_hash)
{
    buf_str(out, "nar/");
    buf_span(out, hash_part);
    buf_byte(out, '-');
    nix32_encode(out, span_of(nar_hash->b, sizeof nar_hash->b));
    buf_str(out, ".nar");
}

static enum err list_origins(struct gate_signer *signer, struct why *why)
{
    struct policy policy = { 0 };
    enum err err = client_policy_read(signer->config, &policy, why);
    for (size_t i = 0; err == OK && i < policy.logs_n; i++)
        buf_fmt(&signer->origins, "%.*s\n", SPAN_FMT(policy.logs[i].key.name));
    policy_free(&policy);
    return err == OK ? buf_done(&signer->origins, why) : err;
}

enum err gate_signer_start(struct gate_signer **out, const struct client_config *config, const char *dir, struct why *why)
{
    struct gate_signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL)
        return fail(why, ERR_ENV, "out of memory");
    signer->config = config;
    gate_turns_start(&signer->turns);
    pthread_mutex_init(&signer->judging, NULL);
    signer->state = (struct gate_signer_state){ .config = config, .dir = dir };
    struct child_role role = {
        .name = "stele gate: signer",
        .start = gate_signer_child_start,
        .serve = gate_signer_child_serve,
        .end = gate_signer_child_end,
        .ctx = &signer->state,
    };
    struct buf hello = BUF_EMPTY;
    enum err err = child_start(&signer->child, &role, &hello, why);
    if (err == OK && (signer->public_key = span_dup_str(span_buf(&hello))) == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    if (err == OK)
        err = list_origins(signer, why);
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
    gate_turns_end(&signer->turns);
    pthread_mutex_destroy(&signer->judging);
    buf_free(&signer->origins);
    buf_free(&signer->forked);
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
static enum err ask_to_judge(struct gate_signer *signer, const struct judge_question *question, size_t place,
                             struct gate_answer *out, struct why *why)
{
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, gate_signer_op(OP_JUDGE, place));
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

/* Those of `origins` (lines) that forked, and of which the signer does not know it. */
static enum err list_news(const struct gate_signer *signer, struct span origins, struct buf *out, struct why *why)
{
    struct span origin;
    while (span_line(&origins, &origin)) {
        struct span rest = span_buf(&signer->forked), line = { 0 };
        while (span_line(&rest, &line) && !span_eq(line, origin))
            continue;
        if (!span_eq(line, origin) && memory_forked(signer->config, origin))
            buf_fmt(out, "%.*s\n", SPAN_FMT(origin));
    }
    return buf_done(out, why);
}

/* Once it knows, nothing of these logs counts in the signer, and no trail that it found complete before. */
static enum err tell_forks(struct gate_signer *signer, struct why *why)
{
    struct buf news = BUF_EMPTY, request = BUF_EMPTY;
    enum err err = list_news(signer, span_buf(&signer->origins), &news, why);
    if (err == OK && news.len > 0) {
        wire_put_u64(&request, gate_signer_op(OP_FORKED, 0));
        wire_put(&request, span_buf(&news));
        err = buf_done(&request, why);
        if (err == OK)
            err = child_call(signer->child, span_buf(&request), NULL, why);
        if (err == OK)
            buf_span(&signer->forked, span_buf(&news));
    }
    buf_free(&news);
    buf_free(&request);
    return err == OK ? buf_done(&signer->forked, why) : err;
}

/* A trail begins with what is known of forks; what it brought to light by its end speaks against itself. */
static enum err mind_forks(struct gate_signer *signer, bool at_end, struct why *why)
{
    struct buf news = BUF_EMPTY;
    pthread_mutex_lock(&signer->judging);
    enum err err = at_end ? list_news(signer, span_buf(&signer->origins), &news, why) : tell_forks(signer, why);
    pthread_mutex_unlock(&signer->judging);
    if (err == OK)
        err = gate_heads_check(signer->config, span_buf(&news), why);
    buf_free(&news);
    return err;
}

/* Where what counted is of a log that forked, once more: what another log has may do. */
static enum err judge_again(struct gate_signer *signer, const struct judge_question *question, size_t place,
                            struct gate_answer *out, struct why *why)
{
    enum err err = tell_forks(signer, why);
    gate_answer_free(out);
    *out = (struct gate_answer){ 0 };
    return err == OK ? ask_to_judge(signer, question, place, out, why) : err;
}

static enum err judge_at(struct gate_signer *signer, const struct judge_question *question, size_t place, struct gate_answer *out,
                         struct why *why)
{
    *out = (struct gate_answer){ 0 };
    pthread_mutex_lock(&signer->judging);
    enum err err = ask_to_judge(signer, question, place, out, why);
    if (err == OK && out->passes && gate_heads_check(signer->config, out->origins, why) != OK)
        err = judge_again(signer, question, place, out, why);
    pthread_mutex_unlock(&signer->judging);
    return err != OK || !out->passes ? err : gate_heads_check(signer->config, out->origins, why);
}

enum err gate_signer_judge(struct gate_signer *signer, const struct judge_question *question, struct gate_answer *out,
                           struct why *why)
{
    return judge_at(signer, question, NO_TRAIL, out, why);
}

/* The front's side of a trail: what was fetched goes to the signer. */
struct front_trail {
    struct gate_signer *signer;
    size_t place;
    struct buf wants; /* of its last step */
};

static enum err feed(struct front_trail *trail, uint64_t op, struct span first, struct span second, const char *source,
                     struct why *why)
{
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, gate_signer_op(op, trail->place));
    wire_put(&request, first);
    wire_put(&request, second);
    wire_put(&request, span_str(source));
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(trail->signer->child, span_buf(&request), NULL, why);
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

/* One call whose reply is numbers and spans in trail->wants. */
static enum err ask(struct front_trail *trail, uint64_t op, struct span argument, struct why *why)
{
    struct buf request = BUF_EMPTY;
    wire_put_u64(&request, gate_signer_op(op, trail->place));
    if (op == OP_TRAIL)
        wire_put(&request, argument);
    buf_clear(&trail->wants);
    enum err err = buf_done(&request, why);
    if (err == OK)
        err = child_call(trail->signer->child, span_buf(&request), &trail->wants, why);
    buf_free(&request);
    return err;
}

static enum err cut_answer(struct why *why)
{
    return fail(why, ERR_ENV, "the gate's signer gave a cut answer");
}

/* Begins the trail anew, with the proofs at hand; *begun is false where none could be. */
static enum err begin(struct front_trail *trail, const struct judge_question *question, bool *begun, struct why *why)
{
    uint64_t is_begun = 0;
    enum err err = ask(trail, OP_TRAIL, question->narinfo, why);
    struct span rest = span_buf(&trail->wants);
    if (err == OK && !wire_take_u64(&rest, &is_begun))
        err = cut_answer(why);
    *begun = is_begun != 0;
    for (size_t i = 0; err == OK && *begun && i < question->n; i++)
        err = feed_proofs(trail, span_str(""), question->sources[i].bundles, question->sources[i].name, why);
    return err;
}

static enum err go_on(struct front_trail *trail, uint64_t op, struct trail_wants *wants, struct why *why)
{
    struct span heads = { 0 };
    uint64_t state = TRAIL_BROKEN;
    enum err err = ask(trail, op, span_str(""), why);
    struct span rest = span_buf(&trail->wants);
    if (err == OK && (!wire_take_u64(&rest, &state) || !wire_take(&rest, &wants->outputs) || !wire_take(&rest, &wants->lists) ||
                      !wire_take(&rest, &wants->infos) || !wire_take(&rest, &heads)))
        err = cut_answer(why);
    /* Where one cannot be remembered, the next trail that rests on it tells it again. */
    if (err == OK)
        gate_heads_show(trail->signer->config, heads);
    wants->state = (enum trail_state)state;
    return err;
}

static enum err step(void *ctx, struct trail_wants *wants, struct why *why)
{
    return go_on(ctx, OP_STEP, wants, why);
}

/* As far as it goes without asking anybody. */
static enum err recall(struct front_trail *trail, const struct judge_question *question, enum trail_state *out, struct why *why)
{
    struct trail_wants wants = { .state = TRAIL_BROKEN };
    bool begun;
    enum err err = begin(trail, question, &begun, why);
    if (err == OK && begun)
        err = go_on(trail, OP_RECALL, &wants, why);
    *out = wants.state;
    return err;
}

/* To its verdict, once it has its turn: begun anew, since those before it may have found what it wants. */
static enum err follow(struct front_trail *trail, const struct judge_question *question, const struct trail_sources *sources,
                       struct buf *troubles, struct why *why)
{
    const struct trail_elsewhere end = { step, { feed_proofs, feed_list, feed_info, feed_not_asked, trail } };
    enum trail_state state;
    bool begun;
    gate_turn_take(&trail->signer->turns);
    enum err err = begin(trail, question, &begun, why);
    if (err == OK && begun)
        err = trail_follow_elsewhere(sources, &end, &state, troubles, why);
    gate_turn_give(&trail->signer->turns);
    return err;
}

enum err gate_signer_follow(struct gate_signer *signer, const struct judge_question *question, const struct trail_sources *sources,
                            struct gate_answer *out, struct buf *troubles, struct why *why)
{
    struct front_trail trail = { .signer = signer, .place = gate_place_take(&signer->turns) };
    enum trail_state state = TRAIL_BROKEN;
    enum err err = mind_forks(signer, false, why);
    if (err == OK)
        err = recall(&trail, question, &state, why);
    *out = (struct gate_answer){ .wants_trail = true };
    if (err == OK && state != TRAIL_COMPLETE && sources != NULL)
        err = follow(&trail, question, sources, troubles, why);
    if (err == OK && (state == TRAIL_COMPLETE || sources != NULL))
        err = judge_at(signer, question, trail.place, out, why);
    if (err == OK && out->passes)
        err = mind_forks(signer, true, why);
    gate_place_give(&signer->turns, trail.place);
    buf_free(&trail.wants);
    return err;
}

void gate_answer_free(struct gate_answer *answer)
{
    buf_free(&answer->storage);
}
