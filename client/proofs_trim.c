#include "client/proofs_trim.h"

#include "client/gather.h"
#include "lib/dsse.h"
#include "lib/hash.h"
#include "lib/proof.h"
#include "lib/sys/frame.h"

static bool has_builder(struct span builders, struct span hex)
{
    struct span line;
    while (span_line(&builders, &line))
        if (span_skip(&line, "builder ") && span_eq(line, hex))
            return true;
    return false;
}

/* The key is the envelope's word: who signed it is for whoever verifies it. */
static bool by_builder(struct span text, struct span builders)
{
    struct buf entry = BUF_EMPTY, payload = BUF_EMPTY, key = BUF_EMPTY, hex = BUF_EMPTY;
    struct envelope envelope;
    struct proof proof;
    bool named = false;
    if (proof_next(&proof, &text, NULL) == OK && proof_extra(&proof, &entry) &&
        envelope_parse(&envelope, span_buf(&entry), &payload, NULL) == OK) {
        vkey_render(&key, &envelope.key);
        struct hash builder = sha256_of(span_buf(&key));
        hex_encode(&hex, span_of(builder.b, sizeof builder.b));
        named = has_builder(builders, span_buf(&hex));
    }
    buf_free(&entry);
    buf_free(&payload);
    buf_free(&key);
    buf_free(&hex);
    return named;
}

enum err proofs_trim(struct buf *bundles, struct span builders, size_t bytes_max, struct why *why)
{
    struct buf named = BUF_EMPTY, others = BUF_EMPTY;
    struct proof_outline outline;
    if (bundles->len <= bytes_max)
        return OK;
    for (struct span rest = span_buf(bundles); rest.len > 0 && proof_outline_next(&outline, &rest);)
        buf_span(by_builder(outline.text, builders) ? &named : &others, outline.text);
    buf_clear(bundles);
    buf_span(bundles, span_buf(&named));
    for (struct span rest = span_buf(&others); rest.len > 0 && proof_outline_next(&outline, &rest);)
        if (bundles->len + outline.text.len <= bytes_max)
            buf_span(bundles, outline.text);
    bundles->failed |= named.failed || others.failed;
    buf_free(&named);
    buf_free(&others);
    return buf_done(bundles, why);
}

size_t proofs_room(size_t logs_n)
{
    enum { OTHERS = NARINFO_BYTES_MAX + 2 * GATHER_SOURCE_BYTES_MAX, NAMES_AND_LENGTHS = 1 << 20 };
    size_t asked = logs_n < GATHER_SOURCES_MAX ? logs_n : GATHER_SOURCES_MAX;
    size_t each = asked == 0 ? GATHER_SOURCE_BYTES_MAX : (FRAME_BYTES_MAX - OTHERS - NAMES_AND_LENGTHS) / asked;
    return each < GATHER_SOURCE_BYTES_MAX ? each : GATHER_SOURCE_BYTES_MAX;
}
