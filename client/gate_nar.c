/* The NAR request: the upstream's bytes, decompressed, counted and hashed on their way. */
#include <stdlib.h>

#include "client/gate.h"
#include "lib/sys/decompress.h"
#include "lib/sys/http_client.h"
#include "lib/sys/report.h"

struct nar_sending {
    struct gate_path path;
    struct http_stream *stream;
    struct decompressor *decompressor;
    struct sha256 hash;
    uint64_t sent;
    uint8_t in_bytes[GATE_BUFFER_BYTES];
    struct span in; /* of in_bytes, not yet decompressed */
    bool in_ended, ended;
};

static ptrdiff_t broken(const struct nar_sending *sending, const struct why *why)
{
    report(REPORT_WARN, "nar-broken", "hash-part=%s why=%s", sending->path.hash_part, report_quote(why->text));
    return -1;
}

/* Decompresses up to `max` bytes; 0 only at the end of everything. */
static ptrdiff_t pull(struct nar_sending *sending, uint8_t *out, size_t max, struct why *why)
{
    size_t put = 0;
    while (put == 0 && !sending->ended) {
        if (sending->in.len == 0 && !sending->in_ended) {
            ptrdiff_t got = http_stream_read(sending->stream, sending->in_bytes, sizeof sending->in_bytes, why);
            if (got < 0)
                return -1;
            sending->in = span_of(sending->in_bytes, (size_t)got);
            sending->in_ended = got == 0;
        }
        if (decompressor_run(sending->decompressor, &sending->in, sending->in_ended, out, max, &put, &sending->ended, why) != OK)
            return -1;
    }
    return (ptrdiff_t)put;
}

/* The last byte goes out only when the whole archive is known to be what was attested: nobody ever gets a complete NAR
 * with other bytes. */
static ptrdiff_t read_nar(void *ctx, uint8_t *out, size_t max)
{
    struct nar_sending *sending = ctx;
    struct why why;
    if (sending->sent == sending->path.nar_size)
        return 0;
    uint64_t left = sending->path.nar_size - sending->sent;
    size_t want = max < left ? max : (size_t)left;
    ptrdiff_t got = pull(sending, out, want, &why);
    if (got < 0)
        return broken(sending, &why);
    if (got == 0) {
        fail(&why, ERR_REFUSED, "the cache's NAR ends after %llu of %llu bytes", (unsigned long long)sending->sent,
             (unsigned long long)sending->path.nar_size);
        return broken(sending, &why);
    }
    sha256_add(&sending->hash, out, (size_t)got);
    sending->sent += (uint64_t)got;
    if (sending->sent < sending->path.nar_size)
        return got;
    uint8_t more;
    struct hash hash = sha256_end(&sending->hash);
    ptrdiff_t excess = pull(sending, &more, 1, &why);
    if (excess < 0)
        return broken(sending, &why);
    if (excess > 0 || !hash_eq(&hash, &sending->path.nar_hash)) {
        fail(&why, ERR_REFUSED,
             excess > 0 ? "the cache's NAR is longer than what was attested"
                        : "the cache's NAR has other bytes than what was attested");
        return broken(sending, &why);
    }
    return got;
}

static void end_nar(void *ctx)
{
    struct nar_sending *sending = ctx;
    if (sending->stream != NULL)
        http_stream_close(sending->stream);
    decompressor_free(sending->decompressor);
    gate_path_free(&sending->path);
    free(sending);
}

void gate_send_nar(const struct gate *gate, struct http_request *request, struct gate_path *path)
{
    struct nar_sending *sending = calloc(1, sizeof *sending);
    struct http_client_config config = { .total_timeout_ms = GATE_NAR_TIMEOUT_MS,
                                         .netrc_file = gate->config->netrc_file,
                                         .allow_file = true };
    struct why why = { "out of memory" };
    unsigned status = 0;
    uint64_t length;
    if (sending == NULL) {
        gate_path_free(path);
        http_reply_problem(request, 404, 0, "%s", why.text);
        return;
    }
    sending->path = *path;
    *path = (struct gate_path){ 0 };
    sha256_start(&sending->hash);
    enum err err = decompressor_new(&sending->decompressor, span_str(sending->path.compression), &why);
    if (err == OK)
        err = http_stream_open(&sending->stream, &config, sending->path.nar_url, &status, &length, &why);
    if (err == OK && status != 200)
        err = fail(&why, ERR_ENV, "the cache answered the NAR request with status %u", status);
    if (err != OK) {
        broken(sending, &why);
        http_reply_problem(request, 404, 0, "%s", why.text);
        end_nar(sending);
        return;
    }
    static const struct http_header headers[] = { { "Content-Type", "application/x-nix-nar" }, { NULL, NULL } };
    struct http_source source = { read_nar, end_nar, sending };
    http_reply_stream(request, 200, headers, sending->path.nar_size, &source);
}
