#include "log/published.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/sys/clock.h"

struct published {
    pthread_mutex_t lock;
    struct published_view shown;
    uint64_t at_ms;
};

struct published *published_new(void)
{
    struct published *published = calloc(1, sizeof *published);
    if (published != NULL)
        pthread_mutex_init(&published->lock, NULL);
    return published;
}

static void release(struct published_head *head)
{
    if (head == NULL || atomic_fetch_sub(&head->refs, 1) > 1)
        return;
    buf_free(&head->note);
    http_shared_release(head->answer);
    free(head);
}

void published_free(struct published *published)
{
    if (published == NULL)
        return;
    published_release(&published->shown);
    pthread_mutex_destroy(&published->lock);
    free(published);
}

static struct http_shared *make_answer(const struct published_head *head)
{
    const struct http_header headers[] = {
        { "Content-Type", "text/plain; charset=utf-8" },
        { "Cache-Control", PUBLISHED_CACHE },
        { "ETag", head->etag },
        { NULL, NULL },
    };
    struct buf body = BUF_EMPTY;
    buf_span(&body, span_buf(&head->note));
    return http_shared_new(200, headers, &body);
}

static struct published_head *render(const struct signed_head *signed_head)
{
    struct published_head *head = calloc(1, sizeof *head);
    if (head == NULL)
        return NULL;
    atomic_init(&head->refs, 1);
    head->head = signed_head->head;
    head->cosignatures = signed_head->n;
    signed_head_render(&head->note, signed_head);
    struct hash hash = sha256_of(span_buf(&head->note));
    struct buf etag = BUF_EMPTY;
    buf_byte(&etag, '"');
    hex_encode(&etag, span_of(hash.b, 16));
    buf_byte(&etag, '"');
    if (head->note.failed || etag.failed) {
        buf_free(&etag);
        release(head);
        return NULL;
    }
    memcpy(head->etag, etag.data, etag.len);
    buf_free(&etag);
    if ((head->answer = make_answer(head)) != NULL)
        return head;
    release(head);
    return NULL;
}

static void swap(struct published *published, struct published_view shown)
{
    pthread_mutex_lock(&published->lock);
    struct published_view before = published->shown;
    published->shown = shown;
    if (shown.newest != NULL)
        published->at_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&published->lock);
    published_release(&before);
}

enum err published_show(struct published *published, const struct signed_head *newest, const struct signed_head *fullest,
                        struct why *why)
{
    struct published_view shown = { .newest = render(newest) };
    if (shown.newest == NULL)
        return fail(why, ERR_ENV, "out of memory");
    if (fullest != NULL && fullest != newest && fullest->n > newest->n) {
        shown.fullest = render(fullest);
    } else {
        atomic_fetch_add(&shown.newest->refs, 1);
        shown.fullest = shown.newest;
    }
    if (shown.fullest == NULL) {
        release(shown.newest);
        return fail(why, ERR_ENV, "out of memory");
    }
    swap(published, shown);
    return OK;
}

void published_hide(struct published *published)
{
    swap(published, (struct published_view){ NULL, NULL });
}

struct published_view published_take(struct published *published)
{
    pthread_mutex_lock(&published->lock);
    struct published_view view = published->shown;
    if (view.newest != NULL) {
        atomic_fetch_add(&view.newest->refs, 1);
        atomic_fetch_add(&view.fullest->refs, 1);
    }
    pthread_mutex_unlock(&published->lock);
    return view;
}

void published_release(struct published_view *view)
{
    release(view->newest);
    release(view->fullest);
    *view = (struct published_view){ NULL, NULL };
}

const struct published_head *published_head_for(const struct published_view *view, uint64_t index)
{
    return index < view->fullest->head.size ? view->fullest : view->newest;
}

uint64_t published_at_ms(struct published *published)
{
    pthread_mutex_lock(&published->lock);
    uint64_t at_ms = published->at_ms;
    pthread_mutex_unlock(&published->lock);
    return at_ms;
}
