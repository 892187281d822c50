#include "lib/sys/tls.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sodium.h>

#include "lib/sys/clock.h"

/* The certificate is made anew for each connection; the key is what counts. */
enum { CERT_BEFORE_S = 3600, CERT_AFTER_S = 86400, SERIAL_BYTES = 16 };

struct tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fd;
    char remote[NI_MAXHOST];
};

/* GnuTLS's calls for our key. */
static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *ctx, unsigned flags, const gnutls_datum_t *data,
                     gnutls_datum_t *signature)
{
    uint8_t sig[crypto_sign_BYTES];
    (void)key, (void)flags;
    if (algorithm != GNUTLS_SIGN_EDDSA_ED25519 || secret_key_sign(ctx, span_of(data->data, data->size), sig, NULL) != OK)
        return GNUTLS_E_PK_SIGN_FAILED;
    signature->data = gnutls_malloc(sizeof sig);
    if (signature->data == NULL)
        return GNUTLS_E_MEMORY_ERROR;
    memcpy(signature->data, sig, sizeof sig);
    signature->size = sizeof sig;
    return 0;
}

static int key_info(gnutls_privkey_t key, unsigned flags, void *ctx)
{
    (void)key, (void)ctx;
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0)
        return GNUTLS_PK_EDDSA_ED25519;
    if ((flags & GNUTLS_PRIVKEY_INFO_SIGN_ALGO) != 0)
        return GNUTLS_SIGN_EDDSA_ED25519;
    if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0)
        return GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_EDDSA_ED25519;
    return (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0 ? 256 : -1;
}

static int set_public(gnutls_x509_crt_t cert, const struct secret_key *key)
{
    struct vkey vkey = secret_key_vkey(key);
    const gnutls_datum_t point = { vkey.key, sizeof vkey.key };
    gnutls_pubkey_t public = NULL;
    int code = gnutls_pubkey_init(&public);
    if (code == 0)
        code = gnutls_pubkey_import_ecc_raw(public, GNUTLS_ECC_CURVE_ED25519, &point, NULL);
    if (code == 0)
        code = gnutls_x509_crt_set_pubkey(cert, public);
    gnutls_pubkey_deinit(public);
    return code;
}

static int make_cert(gnutls_x509_crt_t cert, const struct secret_key *key, gnutls_privkey_t signing)
{
    static const char name[] = "bastion backend";
    uint8_t serial[SERIAL_BYTES];
    time_t now = (time_t)clock_posix_s();
    randombytes_buf(serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, without leading zeros */
    int code = gnutls_x509_crt_set_version(cert, 3);
    if (code == 0)
        code = gnutls_x509_crt_set_serial(cert, serial, sizeof serial);
    if (code == 0)
        code = gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, name, sizeof name - 1);
    if (code == 0)
        code = gnutls_x509_crt_set_activation_time(cert, now - CERT_BEFORE_S);
    if (code == 0)
        code = gnutls_x509_crt_set_expiration_time(cert, now + CERT_AFTER_S);
    if (code == 0)
        code = gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (code == 0)
        code = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_CLIENT, 0);
    if (code == 0)
        code = set_public(cert, key);
    return code == 0 ? gnutls_x509_crt_privkey_sign(cert, cert, signing, GNUTLS_DIG_SHA512, 0) : code;
}

/* Our certificate and key, into the credentials. */
static int show_key(gnutls_certificate_credentials_t credentials, const struct secret_key *key)
{
    gnutls_privkey_t signing = NULL;
    gnutls_x509_crt_t cert = NULL;
    gnutls_pcert_st shown;
    bool loaded = false;
    int code = gnutls_privkey_init(&signing);
    if (code == 0) /* GnuTLS hands its context on as it is; our calls only read it */
        code = gnutls_privkey_import_ext4(signing, (void *)(uintptr_t)key, sign_data, NULL, NULL, NULL, key_info, 0);
    if (code == 0)
        code = gnutls_x509_crt_init(&cert);
    if (code == 0)
        code = make_cert(cert, key, signing);
    if (code == 0) {
        code = gnutls_pcert_import_x509(&shown, cert, 0);
        loaded = code == 0;
    }
    if (code == 0)
        code = gnutls_certificate_set_key(credentials, NULL, 0, &shown, 1, signing);
    if (cert != NULL)
        gnutls_x509_crt_deinit(cert);
    if (code >= 0)
        return 0; /* both are the credentials' now */
    if (loaded)
        gnutls_pcert_deinit(&shown);
    gnutls_privkey_deinit(signing);
    return code;
}

static enum err set_trust(gnutls_certificate_credentials_t credentials, const char *ca_file, struct why *why)
{
    int n = ca_file == NULL ? gnutls_certificate_set_x509_system_trust(credentials)
                            : gnutls_certificate_set_x509_trust_file(credentials, ca_file, GNUTLS_X509_FMT_PEM);
    if (n > 0)
        return OK;
    return fail(why, ERR_ENV, "no certificate authorities in %s%s%s", ca_file == NULL ? "the system's store" : ca_file,
                n < 0 ? ": " : "", n < 0 ? gnutls_strerror(n) : "");
}

/* Waits for the socket; false where time is over, or somebody cancels. */
static bool wait_for(const struct tls_config *config, int fd, short events, uint64_t until_ms)
{
    struct pollfd wait[2] = { { .fd = fd, .events = events }, { .fd = config->cancel_fd, .events = POLLIN } };
    uint64_t now_ms = clock_monotonic_ms();
    int ready = now_ms >= until_ms ? 0 : poll(wait, 2, (int)(until_ms - now_ms));
    return (ready > 0 && wait[1].revents == 0) || (ready < 0 && errno == EINTR);
}

static int connect_to(const struct tls_config *config, const struct addrinfo *at, uint64_t until_ms, int *error)
{
    int on = 1, fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *error;
    *error = errno;
    if (fd < 0)
        return -1;
    bool connected = connect(fd, at->ai_addr, at->ai_addrlen) == 0;
    if (!connected && errno == EINPROGRESS) {
        *error = ETIMEDOUT;
        if (wait_for(config, fd, POLLOUT, until_ms) && getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &len) == 0)
            connected = *error == 0;
    } else if (!connected) {
        *error = errno;
    }
    if (!connected) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static enum err open_socket(struct tls *tls, const struct tls_config *config, uint64_t until_ms, struct why *why)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int error = 0, code = getaddrinfo(config->host, config->port, &hints, &found);
    if (code != 0)
        return fail(why, ERR_ENV, "%s is not found: %s", config->host, gai_strerror(code));
    for (const struct addrinfo *at = found; at != NULL && tls->fd < 0; at = at->ai_next) {
        tls->fd = connect_to(config, at, until_ms, &error);
        if (tls->fd >= 0)
            getnameinfo(at->ai_addr, at->ai_addrlen, tls->remote, sizeof tls->remote, NULL, 0, NI_NUMERICHOST);
    }
    freeaddrinfo(found);
    return tls->fd >= 0 ? OK : fail(why, ERR_ENV, "no connection to %s port %s: %s", config->host, config->port, strerror(error));
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static int set_up(struct tls *tls, const struct tls_config *config)
{
    gnutls_datum_t protocol = { (unsigned char *)(uintptr_t)config->alpn, (unsigned)strlen(config->alpn) };
    int code = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_FORCE_CLIENT_CERT);
    if (code == 0)
        code = gnutls_priority_set_direct(tls->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (code == 0)
        code = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (code == 0)
        code = gnutls_alpn_set_protocols(tls->session, &protocol, 1, 0);
    if (code == 0 && !is_address(config->host))
        code = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, config->host, strlen(config->host));
    if (code == 0) {
        gnutls_session_set_verify_cert(tls->session, config->host, 0);
        gnutls_transport_set_int(tls->session, tls->fd);
    }
    return code;
}

static enum err fail_verify(struct tls *tls, const struct tls_config *config, struct why *why)
{
    gnutls_datum_t text = { NULL, 0 };
    unsigned status = gnutls_session_get_verify_cert_status(tls->session);
    gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    enum err err = fail(why, ERR_REFUSED, "the certificate of %s is not to be trusted: %s", config->host,
                        text.data == NULL ? "no reason given" : (const char *)text.data);
    gnutls_free(text.data);
    return err;
}

static enum err shake_hands(struct tls *tls, const struct tls_config *config, uint64_t until_ms, struct why *why)
{
    gnutls_datum_t chosen;
    int code;
    while ((code = gnutls_handshake(tls->session)) < 0 && !gnutls_error_is_fatal(code))
        if (!wait_for(config, tls->fd, gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN, until_ms))
            return fail(why, ERR_ENV, "%s does not finish the TLS handshake", config->host);
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
        return fail_verify(tls, config, why);
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return fail(why, ERR_ENV, "%s ends the TLS handshake: %s", config->host,
                    gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    if (code < 0)
        return fail(why, ERR_ENV, "no TLS 1.3 with %s: %s", config->host, gnutls_strerror(code));
    if (gnutls_alpn_get_selected_protocol(tls->session, &chosen) != 0 || !span_is(span_of(chosen.data, chosen.size), config->alpn))
        return fail(why, ERR_REFUSED, "%s does not speak %s", config->host, config->alpn);
    return OK;
}

enum err tls_connect(struct tls **out, const struct tls_config *config, struct why *why)
{
    uint64_t until_ms = clock_monotonic_ms() + config->timeout_ms;
    struct tls *tls = calloc(1, sizeof *tls);
    *out = NULL;
    if (tls == NULL)
        return fail(why, ERR_ENV, "out of memory");
    tls->fd = -1;
    int code = gnutls_certificate_allocate_credentials(&tls->credentials);
    enum err err = code == 0 ? set_trust(tls->credentials, config->ca_file, why) : OK;
    if (err == OK && code == 0)
        code = show_key(tls->credentials, config->key);
    if (err == OK && code == 0)
        err = open_socket(tls, config, until_ms, why);
    if (err == OK && code == 0)
        code = set_up(tls, config);
    if (err == OK)
        err = code == 0 ? shake_hands(tls, config, until_ms, why) : fail(why, ERR_ENV, "TLS: %s", gnutls_strerror(code));
    if (err == OK)
        *out = tls;
    else
        tls_close(tls);
    return err;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->session != NULL) {
        gnutls_bye(tls->session, GNUTLS_SHUT_WR);
        gnutls_deinit(tls->session);
    }
    if (tls->credentials != NULL)
        gnutls_certificate_free_credentials(tls->credentials);
    if (tls->fd >= 0)
        close(tls->fd);
    free(tls);
}

int tls_fd(const struct tls *tls)
{
    return tls->fd;
}

const char *tls_remote(const struct tls *tls)
{
    return tls->remote;
}

static ptrdiff_t broken(struct tls *tls, ptrdiff_t code, struct why *why)
{
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        fail(why, ERR_ENV, "the peer ends the connection: %s", gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    else
        fail(why, ERR_ENV, "the connection broke: %s", gnutls_strerror((int)code));
    return -2;
}

ptrdiff_t tls_read(struct tls *tls, uint8_t *out, size_t max, struct why *why)
{
    ptrdiff_t got = gnutls_record_recv(tls->session, out, max);
    if (got >= 0)
        return got;
    return gnutls_error_is_fatal((int)got) ? broken(tls, got, why) : -1;
}

ptrdiff_t tls_write(struct tls *tls, struct span bytes, struct why *why)
{
    ptrdiff_t put = gnutls_record_send(tls->session, bytes.data, bytes.len);
    if (put >= 0)
        return put;
    return gnutls_error_is_fatal((int)put) ? broken(tls, put, why) : -1;
}
