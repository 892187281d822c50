#include "tests/bastion_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <nghttp2/nghttp2.h>
#include <sodium.h>

#include "lib/sys/clock.h"

enum { PATIENCE_MS = 20000, ROUND_MS = 100 };

struct bastion_peer {
    int listen_fd, fd;
    unsigned port, window, pings;
    char alpn[32];
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t tls;
    nghttp2_session *http2;
    bool over;
    struct peer_answer answers[PEER_ANSWERS_MAX];
    struct span bodies[PEER_ANSWERS_MAX];
    bool whole[PEER_ANSWERS_MAX];
    size_t n;
};

static _Noreturn void die(const char *what, int code)
{
    printf("# the test's bastion: %s: %s\n", what, code == 0 ? strerror(errno) : gnutls_strerror(code));
    fflush(stdout);
    abort();
}

static void must(int code, const char *what)
{
    if (code < 0)
        die(what, code);
}

static gnutls_x509_crt_t make_cert(gnutls_x509_privkey_t key, const char *name, bool ca)
{
    gnutls_x509_crt_t cert;
    time_t now = time(NULL);
    uint8_t serial[8] = { 1, (uint8_t)ca };
    must(gnutls_x509_crt_init(&cert), "a certificate");
    must(gnutls_x509_crt_set_version(cert, 3), "version");
    must(gnutls_x509_crt_set_serial(cert, serial, sizeof serial), "serial");
    must(gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)), "name");
    must(gnutls_x509_crt_set_activation_time(cert, now - 60), "time");
    must(gnutls_x509_crt_set_expiration_time(cert, now + 3600), "time");
    must(gnutls_x509_crt_set_basic_constraints(cert, ca, -1), "constraints");
    must(gnutls_x509_crt_set_key_usage(cert, ca ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE), "usage");
    if (!ca)
        must(gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), 0), "name");
    must(gnutls_x509_crt_set_key(cert, key), "key");
    return cert;
}

static gnutls_x509_privkey_t make_key(void)
{
    gnutls_x509_privkey_t key;
    must(gnutls_x509_privkey_init(&key), "a key");
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), "a key");
    return key;
}

static void make_credentials(struct bastion_peer *peer, const char *ca_file, const char *host)
{
    gnutls_x509_privkey_t ca_key = make_key(), key = make_key();
    gnutls_x509_crt_t ca = make_cert(ca_key, "an authority", true), cert = make_cert(key, host, false);
    gnutls_datum_t pem;
    must(gnutls_x509_crt_sign2(ca, ca, ca_key, GNUTLS_DIG_SHA256, 0), "signing");
    must(gnutls_x509_crt_sign2(cert, ca, ca_key, GNUTLS_DIG_SHA256, 0), "signing");
    must(gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &pem), "PEM");
    FILE *file = fopen(ca_file, "w");
    if (file == NULL || fwrite(pem.data, 1, pem.size, file) != pem.size || fclose(file) != 0)
        die(ca_file, 0);
    gnutls_free(pem.data);
    must(gnutls_certificate_allocate_credentials(&peer->credentials), "credentials");
    must(gnutls_certificate_set_x509_key(peer->credentials, &cert, 1, key), "credentials");
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_x509_privkey_deinit(key);
}

struct bastion_peer *bastion_peer_new(const char *ca_file, const char *host, const char *alpn)
{
    struct bastion_peer *peer = calloc(1, sizeof *peer);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    if (peer == NULL)
        die("memory", 0);
    peer->fd = -1;
    peer->window = NGHTTP2_INITIAL_WINDOW_SIZE;
    snprintf(peer->alpn, sizeof peer->alpn, "%s", alpn);
    make_credentials(peer, ca_file, host);
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->listen_fd < 0 || bind(peer->listen_fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(peer->listen_fd, 16) != 0 ||
        getsockname(peer->listen_fd, (struct sockaddr *)&at, &len) != 0)
        die("listening", 0);
    peer->port = ntohs(at.sin_port);
    return peer;
}

unsigned bastion_peer_port(const struct bastion_peer *peer)
{
    return peer->port;
}

void bastion_peer_hang_up(struct bastion_peer *peer)
{
    if (peer->http2 != NULL)
        nghttp2_session_del(peer->http2);
    if (peer->tls != NULL)
        gnutls_deinit(peer->tls);
    if (peer->fd >= 0)
        close(peer->fd);
    for (size_t i = 0; i < peer->n; i++)
        buf_free(&peer->answers[i].body);
    memset(peer->answers, 0, sizeof peer->answers);
    memset(peer->bodies, 0, sizeof peer->bodies);
    peer->http2 = NULL;
    peer->tls = NULL;
    peer->fd = -1;
    peer->n = peer->pings = 0;
    peer->over = true;
}

void bastion_peer_free(struct bastion_peer *peer)
{
    bastion_peer_hang_up(peer);
    close(peer->listen_fd);
    gnutls_certificate_free_credentials(peer->credentials);
    free(peer);
}

static int take(struct bastion_peer *peer)
{
    struct pollfd wait = { .fd = peer->listen_fd, .events = POLLIN };
    if (poll(&wait, 1, PATIENCE_MS) <= 0)
        die("nobody connects", 0);
    return accept(peer->listen_fd, NULL, NULL);
}

void bastion_peer_refuse(struct bastion_peer *peer)
{
    close(take(peer));
}

static struct peer_answer *answer_of(struct bastion_peer *peer, int32_t id)
{
    size_t number = (size_t)(id - 1) / 2;
    return id % 2 == 1 && number < peer->n ? &peer->answers[number] : NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct peer_answer *answer = answer_of(ctx, frame->hd.stream_id);
    (void)session, (void)flags, (void)value_len;
    if (answer != NULL && span_is(span_of(name, name_len), ":status"))
        answer->status = (unsigned)atoi((const char *)value);
    if (answer != NULL && span_is(span_of(name, name_len), "content-type"))
        snprintf(answer->type, sizeof answer->type, "%s", (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx)
{
    (void)session, (void)flags;
    buf_add(&answer_of(ctx, id)->body, data, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct bastion_peer *peer = ctx;
    (void)session;
    peer->pings += frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct peer_answer *answer = answer_of(ctx, id);
    (void)session;
    if (answer != NULL) {
        answer->done = true;
        answer->error = code;
    }
    return 0;
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags, void *ctx)
{
    struct bastion_peer *peer = ctx;
    (void)session, (void)flags;
    ssize_t put = gnutls_record_send(peer->tls, data, len);
    return put >= 0 ? put : gnutls_error_is_fatal((int)put) ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_WOULDBLOCK;
}

static ssize_t on_recv(nghttp2_session *session, uint8_t *out, size_t max, int flags, void *ctx)
{
    struct bastion_peer *peer = ctx;
    (void)session, (void)flags;
    ssize_t got = gnutls_record_recv(peer->tls, out, max);
    return got > 0                           ? got
           : got == 0                        ? NGHTTP2_ERR_EOF
           : gnutls_error_is_fatal((int)got) ? NGHTTP2_ERR_CALLBACK_FAILURE
                                             : NGHTTP2_ERR_WOULDBLOCK;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t max, uint32_t *flags,
                         nghttp2_data_source *source, void *ctx)
{
    struct bastion_peer *peer = ctx;
    size_t number = (size_t)(id - 1) / 2;
    struct span *rest = &peer->bodies[number];
    (void)session, (void)source;
    if (rest->len == 0 && !peer->whole[number])
        return NGHTTP2_ERR_DEFERRED;
    if (max > rest->len)
        max = rest->len;
    if (max > 0)
        memcpy(out, rest->data, max);
    *rest = span_cut(*rest, max, rest->len - max);
    if (rest->len == 0 && peer->whole[number])
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)max;
}

static void start_http2(struct bastion_peer *peer)
{
    const nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, peer->window };
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    must(nghttp2_session_callbacks_new(&callbacks), "callbacks");
    must(nghttp2_option_new(&option), "options");
    nghttp2_option_set_peer_max_concurrent_streams(option, PEER_ANSWERS_MAX); /* until it says otherwise */
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_recv_callback(callbacks, on_recv);
    must(nghttp2_session_client_new2(&peer->http2, callbacks, peer, option), "HTTP/2");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    must(nghttp2_submit_settings(peer->http2, NGHTTP2_FLAG_NONE, &window, 1), "settings");
}

static void name_of(struct bastion_peer *peer, char name[65])
{
    unsigned n = 0;
    const gnutls_datum_t *certs = gnutls_certificate_get_peers(peer->tls, &n);
    gnutls_x509_crt_t cert;
    gnutls_pubkey_t key;
    gnutls_datum_t point;
    uint8_t hash[32];
    if (n != 1)
        die("the backend shows no certificate, or several", 0);
    must(gnutls_x509_crt_init(&cert), "a certificate");
    must(gnutls_x509_crt_import(cert, &certs[0], GNUTLS_X509_FMT_DER), "the backend's certificate");
    must(gnutls_pubkey_init(&key), "a key");
    must(gnutls_pubkey_import_x509(key, cert, 0), "the backend's key");
    must(gnutls_pubkey_export_ecc_raw(key, NULL, &point, NULL), "the backend's key");
    crypto_hash_sha256(hash, point.data, point.size);
    sodium_bin2hex(name, 65, hash, sizeof hash);
    gnutls_free(point.data);
    gnutls_pubkey_deinit(key);
    gnutls_x509_crt_deinit(cert);
}

bool bastion_peer_accept(struct bastion_peer *peer, char name[65])
{
    gnutls_datum_t protocol = { (unsigned char *)peer->alpn, (unsigned)strlen(peer->alpn) };
    int code;
    bastion_peer_hang_up(peer);
    peer->fd = take(peer);
    must(gnutls_init(&peer->tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL), "TLS");
    must(gnutls_priority_set_direct(peer->tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), "TLS 1.3");
    must(gnutls_credentials_set(peer->tls, GNUTLS_CRD_CERTIFICATE, peer->credentials), "credentials");
    must(gnutls_alpn_set_protocols(peer->tls, &protocol, 1, 0), "ALPN");
    gnutls_certificate_server_set_request(peer->tls, GNUTLS_CERT_REQUIRE);
    gnutls_transport_set_int(peer->tls, peer->fd);
    gnutls_handshake_set_timeout(peer->tls, PATIENCE_MS);
    while ((code = gnutls_handshake(peer->tls)) < 0 && !gnutls_error_is_fatal(code))
        continue;
    if (code < 0)
        return false;
    name_of(peer, name);
    if (fcntl(peer->fd, F_SETFL, O_NONBLOCK) != 0)
        die("the socket", 0);
    start_http2(peer);
    peer->over = false;
    return true;
}

size_t bastion_peer_ask(struct bastion_peer *peer, const char *method, const char *path, const char *const *headers,
                        struct span body, bool whole)
{
    nghttp2_nv nv[512];
    const nghttp2_data_provider provider = { .read_callback = read_body };
    size_t n = 0, number = peer->n++;
    const char *const pseudo[] = { ":method", method, ":scheme", "https", ":authority", "bastion.example", ":path", path, NULL };
    const char *const *lists[] = { pseudo, headers };
    if (number >= PEER_ANSWERS_MAX)
        die("too many requests", 0);
    for (size_t list = 0; list < 2; list++)
        for (const char *const *at = lists[list]; at != NULL && *at != NULL; at += 2)
            nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)at[0], (uint8_t *)(uintptr_t)at[1], strlen(at[0]), strlen(at[1]), 0 };
    peer->bodies[number] = body;
    peer->whole[number] = whole;
    int32_t id = nghttp2_submit_request(peer->http2, NULL, nv, n, body.len > 0 || !whole ? &provider : NULL, NULL);
    if (id != (int32_t)(2 * number + 1))
        die("a request", 0);
    return number;
}

void bastion_peer_reset(struct bastion_peer *peer, size_t number)
{
    peer->over |= nghttp2_session_send(peer->http2) != 0;
    nghttp2_submit_rst_stream(peer->http2, NGHTTP2_FLAG_NONE, (int32_t)(2 * number + 1), NGHTTP2_CANCEL);
}

void bastion_peer_window(struct bastion_peer *peer, unsigned bytes)
{
    peer->window = bytes;
}

/* One round; false where the connection is over. */
static bool turn(struct bastion_peer *peer)
{
    struct pollfd wait = { .fd = peer->fd, .events = POLLIN };
    if (peer->over)
        return false;
    peer->over = nghttp2_session_send(peer->http2) != 0;
    poll(&wait, 1, ROUND_MS);
    peer->over |= nghttp2_session_recv(peer->http2) != 0 || nghttp2_session_send(peer->http2) != 0;
    return !peer->over;
}

bool bastion_peer_wait(struct bastion_peer *peer, size_t number)
{
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (!peer->answers[number].done && turn(peer))
        if (clock_monotonic_ms() > until_ms)
            die("no answer", 0);
    return peer->answers[number].done;
}

void bastion_peer_wait_end(struct bastion_peer *peer)
{
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (turn(peer))
        if (clock_monotonic_ms() > until_ms)
            die("the backend keeps the connection", 0);
}

const struct peer_answer *bastion_peer_answer(const struct bastion_peer *peer, size_t number)
{
    return &peer->answers[number];
}

void bastion_peer_wait_ping(struct bastion_peer *peer)
{
    uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (peer->pings == 0)
        if (!turn(peer) || clock_monotonic_ms() > until_ms)
            die("no PING", 0);
}

void bastion_peer_deaf(struct bastion_peer *peer, unsigned ms)
{
    uint8_t bytes[4096];
    uint64_t until_ms = clock_monotonic_ms() + ms;
    while (clock_monotonic_ms() < until_ms) {
        struct pollfd wait = { .fd = peer->fd, .events = POLLIN };
        ssize_t got = poll(&wait, 1, ROUND_MS) > 0 ? gnutls_record_recv(peer->tls, bytes, sizeof bytes) : GNUTLS_E_AGAIN;
        if (got >= 0 || gnutls_error_is_fatal((int)got)) {
            if (got > 0)
                continue;
            peer->over = true;
            return;
        }
    }
}
