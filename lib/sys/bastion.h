/*
 * A server that is reached through an https-bastion (c2sp.org/https-bastion): one thread keeps a connection up to it, and answers
 * the requests that come down over HTTP/2 (lib/sys/http2.h). What fails is tried again, after a while that grows and varies, so
 * that a bastion that comes back is not run down.
 */
#ifndef STELE_SYS_BASTION_H
#define STELE_SYS_BASTION_H

#include "lib/sys/http_server.h"
#include "lib/sys/key.h"

enum { BASTION_ADDRESS_BYTES = 256 + 8 };

struct bastion;

struct bastion_config {
    const char *address;          /* "HOST:PORT"; copied */
    const char *ca_file;          /* PEM; NULL: the system's roots; outlasts it, as do: */
    const struct secret_key *key; /* SIG_ED25519: whose hash is our name at the bastion */
    size_t body_bytes_max;
    unsigned streams_max; /* requests at once */
    unsigned request_timeout_s;
    unsigned connect_timeout_ms;
    unsigned keepalive_ms;               /* of silence, then we PING; as long again, and the connection counts as dead */
    unsigned retry_min_ms, retry_max_ms; /* until the next try: from the one, doubled up to the other, each up to half shorter */
    void (*handle)(void *ctx, struct http_request *request); /* as http_server's */
    void *ctx;
};

/* ERR_USAGE where the address is no HOST:PORT. The key system must be started. */
enum err bastion_start(struct bastion **out, const struct bastion_config *config, struct why *why);
/* Lets requests under way be answered for up to `grace_ms`, ends the connection, frees. NULL is fine. */
void bastion_stop(struct bastion *bastion, unsigned grace_ms);

/* From any thread. */
struct bastion_status {
    char address[BASTION_ADDRESS_BYTES];
    bool connected;    /* the bastion speaks HTTP/2 with us: it has taken our key */
    uint64_t since_s;  /* POSIX; of `connected`, or of its opposite */
    uint64_t connects; /* that came to be, since the start, as all that follow */
    uint64_t failures; /* that did not, or broke */
    uint64_t requests, refused, too_slow;
    struct why why; /* of the last failure; empty where there was none since the last connection */
};
void bastion_status(struct bastion *bastion, struct bastion_status *out);

/* Is it "HOST:PORT", with an IPv6 address in brackets? */
bool bastion_address_ok(struct span address);
/* The hash of the key, in hex: what stands in the path of a bastion's requests. */
void bastion_name(const struct secret_key *key, char out[65]);

#endif
