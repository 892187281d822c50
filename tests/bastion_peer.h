/*
 * A bastion for tests (c2sp.org/https-bastion), right or wrong: it takes one backend's connection over TLS and asks it over HTTP/2.
 * Everything in the calling thread; what takes more than 20 s ends the test.
 */
#ifndef STELE_TESTS_BASTION_PEER_H
#define STELE_TESTS_BASTION_PEER_H

#include "lib/bytes.h"

struct bastion_peer;

enum { PEER_ANSWERS_MAX = 4096 };

struct peer_answer {
    unsigned status; /* 0: none */
    bool done;       /* the stream is closed */
    unsigned error;  /* with this code */
    struct buf body;
    char type[128]; /* content-type */
};

/* Listens on 127.0.0.1, and writes the certificate of its authority to `ca_file`. Its own is for `host`. */
struct bastion_peer *bastion_peer_new(const char *ca_file, const char *host, const char *alpn);
void bastion_peer_free(struct bastion_peer *peer);
unsigned bastion_peer_port(const struct bastion_peer *peer);

/* Takes a connection, and drops it at once. */
void bastion_peer_refuse(struct bastion_peer *peer);
/* Takes a connection and shakes hands; false where that fails. `name` is then the hash of the backend's key. Ends the one before. */
bool bastion_peer_accept(struct bastion_peer *peer, char name[65]);
void bastion_peer_hang_up(struct bastion_peer *peer);

/* Asks; the request's number, from 0 on with each connection. `headers` is a list of name and value, ended by NULL, or NULL.
 * Where `whole` is false, the body never ends. */
size_t bastion_peer_ask(struct bastion_peer *peer, const char *method, const char *path, const char *const *headers,
                        struct span body, bool whole);
/* Takes a request back that was sent. */
void bastion_peer_reset(struct bastion_peer *peer, size_t number);
/* Lets the backend send this much of bodies and no more, from the next connection on. */
void bastion_peer_window(struct bastion_peer *peer, unsigned bytes);
/* Sends and takes what there is until answer `number` is done, or the connection over; false where it is over. */
bool bastion_peer_wait(struct bastion_peer *peer, size_t number);
/* Until the backend ends the connection. */
void bastion_peer_wait_end(struct bastion_peer *peer);
const struct peer_answer *bastion_peer_answer(const struct bastion_peer *peer, size_t number);
/* Until it has sent a PING, which is answered. */
void bastion_peer_wait_ping(struct bastion_peer *peer);
/* Takes what comes for so long, without answering anything. */
void bastion_peer_deaf(struct bastion_peer *peer, unsigned ms);

#endif
