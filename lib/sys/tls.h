/*
 * A TLS 1.3 connection to a server that must name a protocol (ALPN), where we show a self-signed certificate of an Ed25519 key of
 * our own: what a backend of an https-bastion is (c2sp.org/https-bastion, "Backend to bastion connection"). Over GnuTLS; the secret
 * key stays in its guarded memory.
 */
#ifndef STELE_SYS_TLS_H
#define STELE_SYS_TLS_H

#include "lib/sys/key.h"

struct tls;

struct tls_config {
    const char *host, *port;
    const char *alpn;
    const char *ca_file;          /* PEM; NULL: the system's roots */
    const struct secret_key *key; /* SIG_ED25519; outlasts the connection */
    unsigned timeout_ms;          /* for connection and handshake */
    int cancel_fd;                /* readable: give up */
};

/* Connects, checks the server's certificate for `host`, and that it chose the protocol. ERR_ENV where there is no connection,
 * ERR_REFUSED where it is not to be trusted. */
enum err tls_connect(struct tls **out, const struct tls_config *config, struct why *why);
/* Says goodbye where the peer takes it at once; NULL is fine. */
void tls_close(struct tls *tls);

int tls_fd(const struct tls *tls); /* not blocking */
/* The peer's address, without port. */
const char *tls_remote(const struct tls *tls);
/* Bytes read or written; 0 at the end (reading); -1 where it would block; -2 with `why` where the connection is broken. What would
 * block when writing must be written again from the same byte on. */
ptrdiff_t tls_read(struct tls *tls, uint8_t *out, size_t max, struct why *why);
ptrdiff_t tls_write(struct tls *tls, struct span bytes, struct why *why);

#endif
