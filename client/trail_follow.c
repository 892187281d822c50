#include "client/trail_follow.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/troubles.h"

enum {
    PORTION_PARTS = 128,   /* hash parts in one question: while it is verified the next is answered */
    FULL_BYTES = 16 << 20, /* fetched, and not taken */
};

enum kind { PROOFS, LIST, INFO, NOT_ASKED };

/* Something for the sink. */
struct delivery {
    struct delivery *next;
    enum kind kind;
    struct buf first, second;
    char *source;
};

struct following {
    const struct trail_sources *sources;
    const struct trail_elsewhere *end;
    pthread_t asker;
    bool started;
    struct buf troubles;  /* the asker's own until it has ended */
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t wanted, room, changed;
    struct buf outputs, lists, infos; /* lines that the asker is to ask for */
    struct delivery *first, *last;
    size_t bytes;
    bool stopping, verified;
    enum err err; /* the asker's */
    struct why why;
};

static void free_delivery(struct delivery *delivery)
{
    if (delivery == NULL)
        return;
    buf_free(&delivery->first);
    buf_free(&delivery->second);
    free(delivery->source);
    free(delivery);
}

/* By the asker: waits where too much was not taken yet. */
static enum err deliver(struct following *following, enum kind kind, struct span first, struct span second, const char *source,
                        struct why *why)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    bool made = delivery != NULL && (delivery->source = span_dup_str(span_str(source))) != NULL;
    if (made) {
        delivery->kind = kind;
        buf_span(&delivery->first, first);
        buf_span(&delivery->second, second);
    }
    if (!made || delivery->first.failed || delivery->second.failed) {
        free_delivery(delivery);
        return fail(why, ERR_ENV, "out of memory");
    }
    pthread_mutex_lock(&following->lock);
    while (following->bytes >= FULL_BYTES && !following->stopping)
        pthread_cond_wait(&following->room, &following->lock);
    if (following->first == NULL)
        following->first = delivery;
    else
        following->last->next = delivery;
    following->last = delivery;
    following->bytes += second.len;
    pthread_cond_signal(&following->changed);
    pthread_mutex_unlock(&following->lock);
    return OK;
}

static enum err deliver_proofs(void *ctx, struct span asked, struct span bundles, const char *source, struct why *why)
{
    return asked.len + bundles.len == 0 ? OK : deliver(ctx, PROOFS, asked, bundles, source, why);
}

static enum err deliver_list(void *ctx, struct span hex, struct span list, struct why *why)
{
    return deliver(ctx, LIST, hex, list, "", why);
}

static enum err deliver_info(void *ctx, struct span hash_part, struct span narinfo, struct why *why)
{
    return deliver(ctx, INFO, hash_part, narinfo, "", why);
}

static void deliver_not_asked(void *ctx)
{
    struct following *following = ctx;
    struct why why;
    if (deliver(following, NOT_ASKED, span_str(""), span_str(""), "", &why) == OK)
        return;
    pthread_mutex_lock(&following->lock);
    following->err = fail(&following->why, ERR_ENV, "%s", why.text);
    pthread_mutex_unlock(&following->lock);
}

/* Moves at most `most` lines to the end of `to`. */
static void move_lines(struct buf *from, struct buf *to, size_t most)
{
    struct span rest = span_buf(from), line;
    while (most-- > 0 && span_line(&rest, &line)) {
    }
    size_t len = from->len - rest.len;
    buf_clear(to);
    buf_span(to, span_cut(span_buf(from), 0, len));
    if (len > 0)
        memmove(from->data, from->data + len, rest.len);
    from->len = rest.len;
}

static enum err ask(struct following *following, struct buf *outputs, struct buf *lists, struct buf *infos, struct why *why)
{
    const struct trail_sink sink = { deliver_proofs, deliver_list, deliver_info, deliver_not_asked, following };
    struct trail_wants wants = { TRAIL_WANTS, span_buf(outputs), span_buf(lists), span_buf(infos) };
    if (outputs->failed || lists->failed || infos->failed)
        return fail(why, ERR_ENV, "out of memory");
    return trail_fetch(following->sources, &wants, &sink, &following->troubles, why);
}

static void *ask_all(void *ctx)
{
    struct following *following = ctx;
    struct buf outputs = BUF_EMPTY, lists = BUF_EMPTY, infos = BUF_EMPTY;
    pthread_mutex_lock(&following->lock);
    while (!following->stopping) {
        if (following->outputs.len + following->lists.len + following->infos.len == 0) {
            pthread_cond_wait(&following->wanted, &following->lock);
            continue;
        }
        move_lines(&following->outputs, &outputs, PORTION_PARTS);
        move_lines(&following->lists, &lists, PORTION_PARTS);
        move_lines(&following->infos, &infos, PORTION_PARTS);
        pthread_mutex_unlock(&following->lock);
        struct why why;
        enum err err = ask(following, &outputs, &lists, &infos, &why);
        pthread_mutex_lock(&following->lock);
        if (err != OK && following->err == OK)
            following->err = fail(&following->why, err, "%s", why.text);
        pthread_cond_signal(&following->changed);
    }
    pthread_mutex_unlock(&following->lock);
    buf_free(&outputs);
    buf_free(&lists);
    buf_free(&infos);
    return NULL;
}

/* Has the asker ask for these, too. */
static enum err want(struct following *following, const struct trail_wants *wants, struct why *why)
{
    if (!following->started && pthread_create(&following->asker, NULL, ask_all, following) != 0)
        return fail(why, ERR_ENV, "cannot start a thread");
    following->started = true;
    pthread_mutex_lock(&following->lock);
    buf_span(&following->outputs, wants->outputs);
    buf_span(&following->lists, wants->lists);
    buf_span(&following->infos, wants->infos);
    pthread_cond_signal(&following->wanted);
    bool failed = following->outputs.failed || following->lists.failed || following->infos.failed;
    pthread_mutex_unlock(&following->lock);
    return failed ? fail(why, ERR_ENV, "out of memory") : OK;
}

/* All that was delivered, first things first; with `wait` once there is some, or something was verified. */
static enum err take(struct following *following, bool wait, struct delivery **out, struct why *why)
{
    pthread_mutex_lock(&following->lock);
    while (wait && following->first == NULL && !following->verified && following->err == OK)
        pthread_cond_wait(&following->changed, &following->lock);
    *out = following->first;
    following->first = NULL;
    following->bytes = 0;
    following->verified = false;
    enum err err = following->err == OK ? OK : fail(why, following->err, "%s", following->why.text);
    pthread_cond_signal(&following->room);
    pthread_mutex_unlock(&following->lock);
    return err;
}

static enum err hand_on(const struct trail_sink *sink, const struct delivery *delivery, struct why *why)
{
    struct span first = span_buf(&delivery->first), second = span_buf(&delivery->second);
    switch (delivery->kind) {
    case PROOFS: return sink->proofs(sink->ctx, first, second, delivery->source, why);
    case LIST: return sink->list(sink->ctx, first, second, why);
    case INFO: return sink->info(sink->ctx, first, second, why);
    case NOT_ASKED: sink->not_asked(sink->ctx); break;
    }
    return OK;
}

static enum err hand_on_all(struct following *following, bool wait, struct why *why)
{
    struct delivery *delivery;
    enum err err = take(following, wait, &delivery, why);
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        if (err == OK)
            err = hand_on(&following->end->sink, delivery, why);
        free_delivery(delivery);
        delivery = next;
    }
    return err;
}

static size_t count_lines(struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    return n;
}

static enum err follow(struct following *following, enum trail_state *out, void (*progress)(size_t asked), struct why *why)
{
    size_t asked = 0;
    for (;;) {
        struct trail_wants wants;
        enum err err = following->end->step(following->end->sink.ctx, &wants, why);
        *out = wants.state;
        if (err != OK || wants.state != TRAIL_WANTS)
            return err;
        bool more = wants.outputs.len + wants.lists.len + wants.infos.len > 0;
        asked += count_lines(wants.outputs);
        if (more && progress != NULL)
            progress(asked);
        if (more)
            err = want(following, &wants, why);
        if (err == OK)
            err = hand_on_all(following, !more, why);
        if (err != OK)
            return err;
    }
}

static void stop(struct following *following, struct buf *troubles)
{
    struct why ignored;
    pthread_mutex_lock(&following->lock);
    following->stopping = true;
    pthread_cond_signal(&following->wanted);
    pthread_cond_signal(&following->room);
    pthread_mutex_unlock(&following->lock);
    if (following->started)
        pthread_join(following->asker, NULL);
    struct delivery *delivery = NULL;
    take(following, false, &delivery, &ignored);
    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        free_delivery(delivery);
        delivery = next;
    }
    troubles_join(troubles, span_buf(&following->troubles));
    troubles->failed |= following->troubles.failed;
    buf_free(&following->troubles);
    buf_free(&following->outputs);
    buf_free(&following->lists);
    buf_free(&following->infos);
    pthread_cond_destroy(&following->wanted);
    pthread_cond_destroy(&following->room);
    pthread_cond_destroy(&following->changed);
    pthread_mutex_destroy(&following->lock);
}

static void start(struct following *following, const struct trail_sources *sources, const struct trail_elsewhere *end)
{
    *following = (struct following){ .sources = sources, .end = end };
    pthread_mutex_init(&following->lock, NULL);
    pthread_cond_init(&following->wanted, NULL);
    pthread_cond_init(&following->room, NULL);
    pthread_cond_init(&following->changed, NULL);
}

enum err trail_follow_elsewhere(const struct trail_sources *sources, const struct trail_elsewhere *end, enum trail_state *out,
                                struct buf *troubles, struct why *why)
{
    struct following following;
    start(&following, sources, end);
    enum err err = follow(&following, out, NULL, why);
    stop(&following, troubles);
    return err == OK ? buf_done(troubles, why) : err;
}

static void note_verified(void *ctx)
{
    struct following *following = ctx;
    pthread_mutex_lock(&following->lock);
    following->verified = true;
    pthread_cond_signal(&following->changed);
    pthread_mutex_unlock(&following->lock);
}

static enum err step_here(void *ctx, struct trail_wants *wants, struct why *why)
{
    return trail_step(ctx, wants, why);
}

static enum err feed_proofs(void *ctx, struct span asked, struct span bundles, const char *source, struct why *why)
{
    return trail_feed_proofs(ctx, asked, bundles, source, why);
}

static enum err feed_list(void *ctx, struct span hex, struct span list, struct why *why)
{
    return trail_feed_list(ctx, hex, list, why);
}

static enum err feed_info(void *ctx, struct span hash_part, struct span narinfo, struct why *why)
{
    return trail_feed_info(ctx, hash_part, narinfo, why);
}

static void not_asked(void *ctx)
{
    trail_not_asked(ctx);
}

enum err trail_follow(const struct trail_sources *sources, struct trail *trail, enum trail_state *out,
                      void (*progress)(size_t asked), struct buf *troubles, struct why *why)
{
    const struct trail_elsewhere here = { step_here, { feed_proofs, feed_list, feed_info, not_asked, trail } };
    struct following following;
    start(&following, sources, &here);
    trail_notify(trail, note_verified, &following);
    enum err err = follow(&following, out, progress, why);
    trail_notify(trail, NULL, NULL);
    stop(&following, troubles);
    return err == OK ? buf_done(troubles, why) : err;
}
