/*
 * DIR/config (spec/files.md, "A log's folder") and the builders file.
 */
#ifndef STELE_LOG_CONFIG_H
#define STELE_LOG_CONFIG_H

#include "lib/config.h"
#include "lib/note.h"
#include "lib/policy.h"

struct log_config {
    char *dir;
    char *origin, *listen;
    char *policy_file, *builders_file; /* whole paths; builders_file is NULL where builders_open */
    bool builders_open;
    uint64_t head_interval_ms, quorum_timeout_ms, free_space_floor_bytes;
    uint64_t connections_max, connections_per_ip_max;
    /* Attestations a second, and at once, of a builder's key and of an address; a rate of 0 for no limit. */
    uint64_t builder_rate, builder_burst, address_rate, address_burst;
    uint64_t heads_max; /* after so many signed heads the heads file is written anew */
    char *proxy;        /* the reverse proxy's address: X-Forwarded-For says who asks there; NULL for none */
};

#define LOG_LISTEN "127.0.0.1:7380"

/* Reads DIR/config. ERR_ENV, ERR_MALFORMED with file and line. */
enum err log_config_load(struct log_config *out, const char *dir, struct why *why);
void log_config_free(struct log_config *config);

/* The policy: witnesses and quorum. Refuses more witnesses than a note can carry. */
enum err log_policy_load(const struct log_config *config, struct policy *out, struct why *why);

/* Who may submit: one vkey a line. */
struct builders {
    bool open;         /* anybody */
    struct hash *keys; /* vkey_hash of each, sorted */
    size_t n;
};
enum err builders_load(const struct log_config *config, struct builders *out, struct why *why);
void builders_free(struct builders *builders);
bool builders_allow(const struct builders *builders, const struct hash *builder);

#endif
