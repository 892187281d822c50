/*
 * DIR/config: `key value` lines (lib/config.h).
 */
#ifndef STELE_WITNESS_CONFIG_H
#define STELE_WITNESS_CONFIG_H

#include "witness/lists.h"

struct witness_config {
    char *listen;              /* `listen` */
    struct list_sources lists; /* `log-list`, repeatable */
    uint64_t qpd;              /* `requests-per-day`: of a log without a limit of its own; 0, the default: none */
    uint64_t address_per_s;    /* `address-requests-per-second`; 0: no limit */
};

/* ERR_MALFORMED with file and line. Free it in any case. */
enum err witness_config_load(struct witness_config *config, const char *dir, struct why *why);
void witness_config_free(struct witness_config *config);

#endif
