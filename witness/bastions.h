/*
 * The bastions through which a witness behind NAT is reached (lib/sys/bastion.h): those of the configuration, and those that log
 * lists name, where the configuration takes them.
 *
 * They know the witness by a key of its own, DIR/bastion-key, made at first use: it lives in the process that speaks TLS and HTTP,
 * where the key that cosigns never is.
 */
#ifndef STELE_WITNESS_BASTIONS_H
#define STELE_WITNESS_BASTIONS_H

#include "lib/sys/bastion.h"
#include "witness/lists.h"

/* Reads DIR/bastion-key; makes it where it is missing. */
enum err bastion_key_take(struct secret_key **key, const char *dir, struct why *why);

struct bastions_config {
    const char *dir;
    const char *ca_file;           /* NULL: the system's roots */
    const struct config_list *own; /* "HOST:PORT" each */
    bool of_lists;                 /* take those that lists name, too */
    void (*handle)(void *ctx, struct http_request *request);
    void *ctx;
};

struct bastions;
/* Without any, now or from lists, *out is NULL. What `config` points at outlasts it. */
enum err bastions_start(struct bastions **out, const struct bastions_config *config, struct why *why);
/* Connects to the bastion that a log list names, "HOST:PORT" or an https URL, where lists are taken and it is new. NULL is fine. */
void bastions_add(struct bastions *bastions, struct span name);
void bastions_stop(struct bastions *bastions, unsigned grace_ms);

/* The witness's name at all of them: what its clients put behind a bastion's address. */
const char *bastions_name(const struct bastions *bastions);
/* How many there are, up to BASTIONS_MAX of which are in `out`; 0 for NULL. */
size_t bastions_status(struct bastions *bastions, struct bastion_status *out);

#endif
