/*
 * What can be learnt of a store path before it is judged: the upstream's narinfo, and proofs from the own store, the
 * upstream's sidecar, and the logs. The gate and `stele why` share it.
 */
#ifndef STELE_CLIENT_GATHER_H
#define STELE_CLIENT_GATHER_H

#include "client/judge.h"
#include "client/proofs.h"

enum { GATHER_SOURCES_MAX = 64, GATHER_SOURCE_BYTES_MAX = 2 << 20 };

struct gathered {
    struct buf narinfo;
    struct judge_source sources[GATHER_SOURCES_MAX]; /* filled by gather_sources: spans into `bundles` */
    struct buf bundles[GATHER_SOURCES_MAX];
    char *names[GATHER_SOURCES_MAX];
    size_t n;
    bool has_log[POLICY_LOGS_MAX]; /* that log of the policy is a source: two may have one name */
    bool looked_up;      /* every log of the policy was asked, and answered */
    bool has_sidecar;    /* the upstream carries proofs of it, good ones or not */
    struct buf troubles; /* a line for each source that could not be asked */
    bool sidecar_asked;  /* with the narinfo; then what came of it: */
    enum err sidecar_err;
    struct why sidecar_trouble;
    struct buf sidecar;
};

void gathered_free(struct gathered *gathered);

/* GET UPSTREAM/<hash part>.narinfo; *found is false where the cache says that it has none. ERR_ENV where it gives no answer or is
 * in trouble (408, 429, 5xx): the next time may be better; ERR_MALFORMED where its narinfo is too large; ERR_REFUSED for any other
 * answer. */
enum err gather_narinfo(struct gathered *gathered, struct http_client *client, const char *upstream, struct span hash_part,
                        bool *found, struct why *why);
/* The same, and in the same round trip the upstream's sidecar, which gather_sidecar then takes from here. */
enum err gather_narinfo_with_sidecar(struct gathered *gathered, struct http_client *client, const char *upstream,
                                     struct span hash_part, bool *found, struct why *why);
/* What follows adds proofs. Trouble with a source is noted, never an error: fewer proofs can only refuse. ERR_ENV where memory is
 * short. First, the own store's. */
enum err gather_own(struct gathered *gathered, const struct client_config *config, struct span hash_part, struct why *why);
/* The upstream's sidecar. */
enum err gather_sidecar(struct gathered *gathered, struct http_client *client, const char *upstream, struct span hash_part,
                        struct why *why);
/* What the policy's logs answer: all that builders of the trust file attested. */
enum err gather_logs(struct gathered *gathered, struct http_client *client, const struct client_config *config,
                     const struct policy *policy, const struct trust *trust, struct span hash_part, struct why *why);
/* The same by way of `asker`, which does what proofs_log and proofs_trim do, for each log that has a URL and is no source yet.
 * `anew` goes to the asker; where it is false, a log that knows nothing, too much, or is silent, is not noted, and there is room
 * left for a sidecar. */
struct gather_asker {
    enum err (*ask)(void *ctx, size_t log, struct span hash_part, bool anew, struct buf *bundles, struct why *why);
    void *ctx;
};
enum err gather_logs_by(struct gathered *gathered, const struct client_config *config, const struct policy *policy,
                        struct span hash_part, bool anew, const struct gather_asker *asker, struct why *why);
/* Adds to a refusal which source could not be asked, where there is one: it may have what the others lack. */
void gather_explain(const struct gathered *gathered, struct why *why);

/* An upstream's base URL and a narinfo's URL field joined. ERR_REFUSED for what leaves the upstream: another host or scheme, an
 * absolute path, "..", also percent-encoded, a fragment, white space. A query is kept. */
enum err gather_url(struct buf *out, const char *upstream, struct span url, struct why *why);

#endif
