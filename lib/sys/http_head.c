/*
 * Two parties that frame a request differently can be made to see different requests (RFC 9112 section 11.2). libmicrohttpd
 * takes much that others do not, or take otherwise: lines that end in a bare LF, folded lines, which it joins to the header's
 * *name*, NULs, which end a value for us and not for it, spaces before a colon. It shows none of that, but the parts of a head lie
 * where they came in, and it says how long all of it was: each must begin where it does in the one form.
 *
 * Of line ends libmicrohttpd makes NULs, and of a colon that begins a line. So what that does not show are a line that ends in NUL
 * LF, and a head that ends in four bytes other than CR LF CR LF of which each is CR, LF, NUL or such a colon: as NUL NUL LF LF, or
 * CR LF, colon, LF. Mostly any reader who takes the NUL for a space (RFC 9110 section 5.5) and the LF alone for the end of the line
 * (RFC 9112 section 2.2) sees the same. Lines before a request that start with a NUL are passed over as if they were empty. No
 * client or proxy sends any of these, and one that refuses or drops what is no HTTP passes none on.
 */
#include "lib/sys/http_internal.h"

#include <strings.h>

enum { BLANKS_MAX = 64, VERSION_LEN = 8 };

struct reading {
    struct http_head *head;
    unsigned hosts, lengths, encodings;
    bool bad_bytes, bad_length, bad_encoding, bad_place;
    uintptr_t next; /* where the next line begins */
};

void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    (void)cls;
    struct http_connection *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (peer == NULL)
        return NULL;
    peer->target_at = (uintptr_t)uri;
    peer->target_len = uri == NULL ? 0 : strlen(uri);
    peer->target_wrong = peer->target_len == 0;
    for (size_t i = 0; i < peer->target_len; i++)
        peer->target_wrong |= (unsigned char)uri[i] <= ' ' || (unsigned char)uri[i] >= 0x7f;
    return NULL;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
              strchr("!#$%&'*+-.^_`|~", *at) != NULL))
            return false;
    return *text != '\0';
}

static bool is_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

/* Mostly a NUL is left of it. */
static bool was_line_end(char byte)
{
    return byte == '\0' || byte == '\r' || byte == '\n';
}

static enum MHD_Result read_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct reading *reading = cls;
    (void)kind;
    if (value == NULL || !is_token(name) || !is_value(value)) {
        reading->bad_bytes = true;
        return MHD_NO;
    }
    /* Both lie in the line as it came, with nothing but blanks between them and the colon; elsewhere in a folded one. */
    size_t name_len = strlen(name), blanks = (size_t)((uintptr_t)value - (uintptr_t)name) - name_len - 1;
    if (blanks > BLANKS_MAX) {
        reading->bad_bytes = true;
        return MHD_NO;
    }
    reading->bad_place |= (uintptr_t)name != reading->next || !was_line_end(value[strlen(value) + 1]);
    reading->next = (uintptr_t)value + strlen(value) + 2;
    if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        reading->hosts++;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        reading->lengths++;
        reading->bad_length |= !span_decimal(span_str(value), INT64_MAX, &reading->head->length);
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        reading->encodings++;
        reading->bad_encoding |= strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

/* METHOD TARGET VERSION, with one space each. */
static bool right_line(const char *method, const char *version, const struct http_connection *peer)
{
    return peer->target_at == (uintptr_t)method + strlen(method) + 1 &&
           (uintptr_t)version == peer->target_at + peer->target_len + 1 && strlen(version) == VERSION_LEN;
}

static const char *what_is_wrong(const struct reading *reading, const char *method, const char *version,
                                 const struct http_connection *peer, size_t head_bytes)
{
    if (!is_token(method))
        return "the method is no token (RFC 9112 section 3.1)";
    if (peer->target_wrong)
        return "the request target is empty or has characters that no URI has (RFC 9112 section 3.2)";
    if (reading->bad_bytes)
        return "a header is folded, its name is no token, or its value has a control character (RFC 9112 section 5)";
    if (reading->hosts != 1)
        return "a request has exactly one Host header (RFC 9112 section 3.2)";
    if (reading->lengths > 1 || reading->bad_length)
        return "a request has at most one Content-Length, a plain number (RFC 9112 section 6.3)";
    if (reading->encodings > 0 && reading->lengths > 0)
        return "a request has not both Content-Length and Transfer-Encoding (RFC 9112 section 6.1)";
    if (reading->encodings > 1 || reading->bad_encoding || (reading->encodings == 1 && strcmp(version, MHD_HTTP_VERSION_1_1) != 0))
        return "the only Transfer-Encoding is chunked, once, in HTTP/1.1 (RFC 9112 section 6.1)";
    if (reading->bad_place || !right_line(method, version, peer) || reading->next + 2 != (uintptr_t)method + head_bytes ||
        !was_line_end(((const char *)reading->next)[0]) || !was_line_end(((const char *)reading->next)[1]))
        return "the head has spaces, line ends or NULs where none may be (RFC 9112 sections 2.2, 3 and 5)";
    return NULL;
}

void http_head_read(struct http_head *out, struct MHD_Connection *connection, const struct http_connection *peer,
                    const char *method, const char *version)
{
    struct reading reading = { .head = out, .next = (uintptr_t)version + strlen(version) + 2 };
    *out = (struct http_head){ 0 };
    MHD_get_connection_values(connection, MHD_HEADER_KIND, read_header, &reading);
    size_t bytes = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    out->wrong = what_is_wrong(&reading, method, version, peer, bytes);
    out->chunked = reading.encodings > 0;
    out->has_length = reading.lengths > 0;
}
