/* The NAR request: the upstream's bytes, decompressed, counted and hashed on their way. */
#include <stdio.h>
#include <stdlib.h>

#include "client/gate.h"
#include "lib/sys/decompress.h"
#include "lib/sys/http_stream.h"
#include "lib/sys/report.h"

struct nar_sending {
    struct gate *gate;
    struct gate_path path;
    struct http_stream *stream;
    enum gate_idle kind; /* of the stream */
    struct decompressor *decompressor;
    struct sha256 hash;
    uint64_t done;  /* bytes of the NAR that were decompressed and hashed */
    uint64_t start; /* where the answer begins: what is before it is only hashed */
    struct span in; /* not yet decompressed */
    bool in_ended, ended;
};

/* Decompresses up to `max` bytes; none only at the end of everything. ERR_ENV where the upstream broke off. */
static enum err pull(struct nar_sending *sending, uint8_t *out, size_t max, size_t *put, struct why *why)
{
    enum err err = OK;
    *put = 0;
    while (err == OK && *put == 0 && !sending->ended) {
        if (sending->in.len == 0 && !sending->in_ended) {
            err = http_stream_next(sending->stream, &sending->in, why);
            sending->in_ended = sending->in.len == 0;
        }
        if (err == OK)
            err = decompressor_run(sending->decompressor, &sending->in, sending->in_ended, out, max, put, &sending->ended, why);
    }
    return err;
}

/* The archive has been seen whole: is it the one that was attested, and over? */
static enum err check_end(struct nar_sending *sending, struct why *why)
{
    uint8_t more;
    size_t excess;
    struct hash hash = sha256_end(&sending->hash);
    enum err err = pull(sending, &more, 1, &excess, why);
    if (err == OK && excess > 0)
        err = fail(why, ERR_REFUSED, "the cache's NAR is longer than what was attested");
    if (err == OK && !hash_eq(&hash, &sending->path.nar_hash))
        err = fail(why, ERR_REFUSED, "the cache's NAR has other bytes than what was attested");
    return err;
}

/* The next bytes of the archive, at least one while it lasts. Its last byte comes only when the whole is known to be what was
 * attested: nobody ever gets a complete NAR with other bytes. */
static enum err next_bytes(struct nar_sending *sending, uint8_t *out, size_t max, size_t *put, struct why *why)
{
    uint64_t left = sending->path.nar_size - sending->done;
    enum err err = pull(sending, out, max < left ? max : (size_t)left, put, why);
    if (err == OK && *put == 0)
        err = fail(why, ERR_REFUSED, "the cache's NAR ends after %llu of %llu bytes", (unsigned long long)sending->done,
                   (unsigned long long)sending->path.nar_size);
    if (err != OK)
        return err;
    sha256_add(&sending->hash, out, *put);
    sending->done += *put;
    return sending->done == sending->path.nar_size ? check_end(sending, why) : OK;
}

static void report_broken(struct nar_sending *sending, enum err err, const struct why *why)
{
    report(REPORT_WARN, "nar-broken", "hash-part=%s upstream=%s why=%s", sending->path.hash_part,
           sending->gate->upstreams[sending->path.upstream].url, report_quote(why->text));
    gate_shun(sending->gate, &sending->path, err != ERR_ENV);
}

static ptrdiff_t read_nar(void *ctx, uint8_t *out, size_t max)
{
    struct nar_sending *sending = ctx;
    struct why why;
    while (sending->done < sending->path.nar_size) {
        uint64_t before = sending->done;
        size_t put;
        enum err err = next_bytes(sending, out, max, &put, &why);
        if (err != OK) {
            report_broken(sending, err, &why);
            return -1;
        }
        if (sending->done <= sending->start)
            continue;
        size_t skip = before < sending->start ? (size_t)(sending->start - before) : 0;
        if (skip > 0)
            memmove(out, out + skip, put - skip);
        return (ptrdiff_t)(put - skip);
    }
    return 0;
}

static void end_nar(void *ctx)
{
    struct nar_sending *sending = ctx;
    gate_give(sending->gate, sending->kind, sending->stream);
    decompressor_free(sending->decompressor);
    gate_path_free(&sending->path);
    free(sending);
}

/* SCHEME://HOST:PORT of a URL. */
static struct span origin_of(struct span url)
{
    size_t len = 0;
    for (unsigned slashes = 0; len < url.len && (slashes += url.data[len] == '/') < 3; len++)
        continue;
    return span_cut(url, 0, len);
}

/* May a NAR request be led there although it is no https, or not the public Internet? To where the upstream itself is, or a
 * `redirect-to`. */
static bool configured(const struct gate *gate, size_t upstream, struct span url)
{
    if (span_eq(origin_of(url), origin_of(span_str(gate->upstreams[upstream].url))))
        return true;
    for (size_t i = 0; i < gate->config->redirects.n; i++) {
        struct span rest = url;
        if (span_skip(&rest, gate->config->redirects.items[i]) && (rest.len == 0 || rest.data[0] == '/' || rest.data[0] == '?'))
            return true;
    }
    return false;
}

/* Opens the upstream's NAR, wherever its redirects lead. */
static enum err open_nar(struct nar_sending *sending, struct why *why)
{
    struct gate *gate = sending->gate;
    struct http_stream_head head = { 0 };
    char url[sizeof head.redirect];
    enum err err = decompressor_new(&sending->decompressor, span_str(sending->path.compression), why);
    const char *to = sending->path.nar_url;
    for (unsigned redirects = 0; err == OK; redirects++) {
        sending->kind =
            redirects == 0 || configured(gate, sending->path.upstream, span_str(to)) ? GATE_STREAMS : GATE_PUBLIC_STREAMS;
        sending->stream = gate_take_stream(gate, sending->kind == GATE_PUBLIC_STREAMS, why);
        err = sending->stream == NULL ? ERR_ENV : http_stream_open(sending->stream, to, &head, why);
        if (err != OK || head.redirect[0] == '\0')
            break;
        if (redirects == GATE_REDIRECTS_MAX)
            err = fail(why, ERR_REFUSED, "the cache redirects the NAR request more than %d times", GATE_REDIRECTS_MAX);
        memcpy(url, head.redirect, sizeof url);
        to = url;
        gate_give(gate, sending->kind, sending->stream);
        sending->stream = NULL;
    }
    if (err == OK && head.status != 200)
        err = fail(why, head.status >= 500 || head.status == 408 || head.status == 429 ? ERR_ENV : ERR_REFUSED,
                   "the cache answered the NAR request with status %u", head.status);
    return err;
}

/* What of an archive is asked for, and what the answer's head says of that. */
struct portion {
    uint64_t start;
    unsigned status;
    char range[96];
    struct http_header headers[4];
};

/* A Range of "bytes=N-" alone, which is what resumes a download. Any other may be answered with the whole, and HEAD has none (RFC
 * 9110 section 14.2). False where N is no byte of it: then the head is all of the answer. */
static bool take_portion(const struct http_request *request, uint64_t size, struct portion *out)
{
    const char *range = span_is(http_method(request), "GET") ? http_request_header(request, "Range") : NULL;
    struct span text = span_str(range != NULL ? range : "");
    *out =
        (struct portion){ .status = 200, .headers = { { "Content-Type", "application/x-nix-nar" }, { "Accept-Ranges", "bytes" } } };
    if (http_request_header(request, "If-Range") != NULL || !span_skip(&text, "bytes=") || text.len < 2 ||
        text.data[text.len - 1] != '-' || !span_decimal(span_cut(text, 0, text.len - 1), INT64_MAX, &out->start)) {
        out->start = 0;
        return true;
    }
    bool within = out->start < size;
    out->status = within ? 206 : 416;
    out->headers[within ? 2 : 0] = (struct http_header){ "Content-Range", out->range };
    if (within) {
        snprintf(out->range, sizeof out->range, "bytes %llu-%llu/%llu", (unsigned long long)out->start,
                 (unsigned long long)size - 1, (unsigned long long)size);
    } else {
        out->headers[1] = (struct http_header){ NULL, NULL };
        snprintf(out->range, sizeof out->range, "bytes */%llu", (unsigned long long)size);
    }
    return within;
}

static ptrdiff_t read_nothing(void *ctx, uint8_t *out, size_t max)
{
    (void)ctx, (void)out, (void)max;
    return -1;
}

static void end_nothing(void *ctx)
{
    (void)ctx;
}

/* Begins a try at the upstream that the verdict is about; takes what is in *path. */
static enum err start(struct nar_sending **out, struct gate *gate, struct gate_path *path, struct why *why)
{
    struct nar_sending *sending = calloc(1, sizeof *sending);
    if (sending == NULL) {
        gate_path_free(path);
        return fail(why, ERR_ENV, "out of memory");
    }
    *sending = (struct nar_sending){ .gate = gate, .path = *path };
    *path = (struct gate_path){ 0 };
    sha256_start(&sending->hash);
    enum err err = open_nar(sending, why);
    if (err == OK) {
        *out = sending;
    } else {
        report_broken(sending, err, why);
        end_nar(sending);
    }
    return err;
}

enum err gate_fetch_nar(struct gate *gate, struct gate_path *path, struct buf *whole, struct why *why)
{
    struct nar_sending *sending;
    enum err err = start(&sending, gate, path, why);
    if (err != OK)
        return err;
    size_t size = (size_t)sending->path.nar_size;
    uint8_t *out = buf_grow(whole, size);
    if (out == NULL)
        err = fail(why, ERR_ENV, "out of memory");
    for (size_t put; err == OK && sending->done < size;)
        err = next_bytes(sending, out + sending->done, size - (size_t)sending->done, &put, why);
    if (err != OK) {
        report_broken(sending, err, why);
        buf_free(whole);
    }
    end_nar(sending);
    return err;
}

/* One try, at the upstream that the verdict is about, where it was not read ahead: whole and checked where it is small, piece by
 * piece otherwise. ERR_ENV and ERR_REFUSED where nothing was answered. */
static enum err send_from(struct gate *gate, struct http_request *request, struct gate_path *path, const struct portion *portion,
                          struct why *why)
{
    struct buf whole = BUF_EMPTY;
    struct nar_sending *sending;
    uint64_t size = path->nar_size;
    enum err err = OK;
    if (gate_ahead_take(gate->ahead, path, &whole)) {
        gate_path_free(path);
    } else if (size <= GATE_WHOLE_BYTES_MAX) {
        err = gate_fetch_nar(gate, path, &whole, why);
    } else {
        err = start(&sending, gate, path, why);
        if (err == OK) {
            sending->start = portion->start;
            http_reply_stream(request, portion->status, portion->headers, size - portion->start,
                              &(struct http_source){ read_nar, end_nar, sending });
        }
        return err;
    }
    if (err != OK)
        return err;
    memmove(whole.data, whole.data + portion->start, (size_t)(size - portion->start));
    whole.len = (size_t)(size - portion->start);
    http_reply_take(request, portion->status, portion->headers, &whole);
    return OK;
}

void gate_send_nar(struct gate *gate, struct http_request *request, struct span hash_part, const struct hash *nar_hash)
{
    struct why why = { "" };
    bool known;
    /* An upstream that does not deliver is shunned: the next one is tried at once, where nothing has gone out yet. */
    for (size_t tries = 0; tries <= gate->config->upstreams.n; tries++) {
        struct gate_path path = { 0 };
        struct portion portion;
        struct why refusal;
        if (gate_resolve(gate, hash_part, nar_hash, &path, &known, &refusal) != OK) {
            gate_refuse(gate, request, known || tries > 0, tries > 0 ? &why : &refusal);
            return;
        }
        bool within = take_portion(request, path.nar_size, &portion), head = span_is(http_method(request), "HEAD");
        if (!within)
            http_reply(request, portion.status, portion.headers, span_str(""));
        else if (head)
            http_reply_stream(request, portion.status, portion.headers, path.nar_size,
                              &(struct http_source){ read_nothing, end_nothing, NULL });
        if (!within || head) {
            gate_path_free(&path);
            return;
        }
        if (send_from(gate, request, &path, &portion, &why) == OK)
            return;
    }
    gate_refuse(gate, request, true, &why);
}
