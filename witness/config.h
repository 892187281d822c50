/*
 * DIR/config: `key value` lines (lib/config.h).
 */
#ifndef STELE_WITNESS_CONFIG_H
#define STELE_WITNESS_CONFIG_H

#include "witness/lists.h"

struct witness_config {
    char *listen;                /* `listen` */
    struct config_list lists;    /* `log-list`, repeatable */
    struct config_list bastions; /* `bastion HOST:PORT`, repeatable */
    bool bastions_of_lists;      /* `bastion lists`: those that log lists name, too */
    char *bastion_ca;            /* `bastion-ca`: whose certificates bastions have; relative to DIR;
                                   * NULL, where not given: the system's roots */
    uint64_t qpd;                /* `requests-per-day`: of a log without a limit of its own; 0, the default: none */
    uint64_t address_rate;       /* `address-rate`: requests a second; 0: no limit */
    uint64_t heads_max;          /* `heads-max`: after so many cosignatures the heads file is written anew */
    char *proxy;                 /* `proxy`: the address whose X-Forwarded-For counts; 127.0.0.1 where not given */
};

/* ERR_MALFORMED with file and line. Free it in any case. */
enum err witness_config_load(struct witness_config *config, const char *dir, struct why *why);
void witness_config_free(struct witness_config *config);

#endif
