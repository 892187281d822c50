/*
 * The client's configuration: --config, $STELE_CONFIG, $XDG_CONFIG_HOME/stele/stele.conf (or ~/.config/…),
 * CLIENT_CONFIG, the first that exists. `key value` lines (lib/config.h). Relative paths are relative to the
 * file's folder.
 */
#ifndef STELE_CLIENT_CONFIG_H
#define STELE_CLIENT_CONFIG_H

#include "lib/config.h"
#include "lib/policy.h"
#include "lib/trust.h"

#define CLIENT_CONFIG "/etc/stele/stele.conf"
#define GATE_LISTEN   "127.0.0.1:7382"

struct client_config {
    char *file; /* where it was read from; NULL where there is none */
    char *policy_file, *trust_file, *key_file, *outbox, *state, *listen, *netrc_file, *store_dir, *signing_key_file;
    char *log_url; /* `log`: overrides the policy's URLs */
    char *next_hook;
    char *sign_agent; /* the socket of the process that signs for the hooks; NULL: the hook signs by itself */
    struct config_list upstreams, redirects, attest_globs, skip_globs;
    bool warn;            /* mode warn */
    unsigned refuse_with; /* 404 or 451 */
    uint64_t hook_hash_max_bytes, fresh_for_s;
    uint64_t upstream_timeout_s; /* `upstream-timeout`: for a narinfo or proofs, and for the silence of a NAR */
};

/* `file` is --config's value, or NULL to look in the usual places. Where none exists all is default: state
 * /var/lib/stele as root, else $XDG_STATE_HOME/stele (~/.local/state/stele); outbox STATE/outbox; listen GATE_LISTEN.
 * ERR_ENV for a named file that is missing, ERR_MALFORMED with file and line. */
enum err client_config_load(struct client_config *out, const char *file, struct why *why);
void client_config_free(struct client_config *config);

/* STATE/evidence/<hex of SHA-256 of the origin><suffix>: what speaks against a log (client/memory.h); malloc'd. */
char *client_evidence_path(const struct client_config *config, struct span origin, const char *suffix);

/* The policy and the trust file that the configuration names; ERR_ENV "no `policy` in FILE" where it names none. Of the policy's
 * logs those that were seen to fork are marked, and the user is told on stderr, also of second heads without the quorum. */
enum err client_policy_read(const struct client_config *config, struct policy *out, struct why *why); /* without these marks */
enum err client_policy_load(const struct client_config *config, struct policy *out, struct why *why);
enum err client_trust_load(const struct client_config *config, struct trust *out, struct why *why);

#endif
