/* A request over HTTP/2 outside its session: its fields, and its answer's way back to the session's thread. */
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "lib/sys/http_internal.h"

struct http2_inbox *http2_inbox_new(int wake_fd)
{
    struct http2_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL)
        return NULL;
    pthread_mutex_init(&inbox->lock, NULL);
    atomic_init(&inbox->references, 1);
    inbox->end = &inbox->first;
    inbox->wake_fd = wake_fd;
    return inbox;
}

void http2_inbox_release(struct http2_inbox *inbox)
{
    if (inbox == NULL || atomic_fetch_sub(&inbox->references, 1) > 1)
        return;
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

void http2_request_free(struct http_request *request)
{
    atomic_fetch_sub(&request->inbox->bodies_bytes, request->body.len);
    http2_inbox_release(request->inbox);
    buf_free(&request->fields);
    buf_free(&request->reply);
    buf_free(&request->reply_fields);
}

/* The request has its answer: puts it before the session's thread, whose hold it becomes. */
static void give(struct http_request *request)
{
    struct http2_inbox *inbox = request->inbox;
    uint64_t one = 1;
    pthread_mutex_lock(&inbox->lock);
    bool closed = inbox->closed;
    if (!closed) {
        request->next = NULL;
        *inbox->end = request;
        inbox->end = &request->next;
        ssize_t woken = write(inbox->wake_fd, &one, sizeof one);
        (void)woken; /* an eventfd that is full wakes as well */
    }
    pthread_mutex_unlock(&inbox->lock);
    if (closed)
        http_request_release(request);
}

void http2_put_field(struct buf *out, struct span name, struct span value)
{
    buf_span(out, name);
    buf_byte(out, '\0');
    buf_span(out, value);
    buf_byte(out, '\0');
}

bool http2_next_field(struct span *rest, const char **name, const char **value)
{
    if (rest->len == 0)
        return false;
    *name = (const char *)rest->data;
    *value = *name + strlen(*name) + 1;
    size_t len = strlen(*name) + strlen(*value) + 2;
    *rest = span_cut(*rest, len, rest->len - len);
    return true;
}

const char *http2_field(const struct buf *fields, const char *wanted, bool last)
{
    struct span rest = span_buf(fields);
    const char *name, *value, *found = NULL;
    while ((found == NULL || last) && http2_next_field(&rest, &name, &value))
        if (strcasecmp(name, wanted) == 0)
            found = value;
    return found;
}

void http2_reply(struct http_request *request, unsigned status, const struct http_header *headers, struct buf *body)
{
    request->status = status;
    request->reply = *body;
    *body = BUF_EMPTY;
    for (; headers != NULL && headers->name != NULL; headers++)
        http2_put_field(&request->reply_fields, span_str(headers->name), span_str(headers->value));
    give(request);
}
